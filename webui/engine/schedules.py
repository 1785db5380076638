"""Noise levels: which σ a denoising run passes through. Pure arithmetic on a checkpoint's α̅; no torch.

σ is in k-space, where a noisy latent is x₀ + σ·noise (Karras et al. 2022, https://arxiv.org/abs/2206.00364).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Levels = NDArray[np.float64]

CLAMPED_ALPHA = 2.0**-24  # what a terminal ᾱ of zero is taken as, as in diffusers: σ = 4096
ENDLESS = 200.0  # a largest σ beyond this means zero terminal SNR: the first input is noise alone
ZERO_SNR_START = 50.0  # with zero terminal SNR, spacings by σ go on from here after the first step
KARRAS_RHO = 7.0

# Sabour et al. 2024, "Align Your Steps", https://research.nvidia.com/labs/toronto-ai/AlignYourSteps/howto.html (SD 1.5)
ALIGN_YOUR_STEPS = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """A checkpoint's training noise: σ ascending, one for each of its timesteps, and what its network predicts."""

    sigmas: Levels
    prediction: str = "epsilon"  # or "v_prediction", "sample"

    @property
    def smallest(self) -> float:
        return float(self.sigmas[0])

    @property
    def largest(self) -> float:
        return float(self.sigmas[-1])

    @property
    def zero_snr(self) -> bool:
        return self.largest > ENDLESS

    def sigma(self, timestep: Any) -> Any:
        """σ at (fractional) timesteps, interpolated in log σ."""
        return np.exp(np.interp(timestep, np.arange(len(self.sigmas)), np.log(self.sigmas)))

    def timestep(self, sigma: Any) -> Any:
        """The (fractional) timestep of σ; outside of what was trained, the nearest end."""
        return np.interp(np.log(sigma), np.log(self.sigmas), np.arange(len(self.sigmas)))

    def betas(self) -> list[float]:
        """β of each training step, for diffusers' schedulers."""
        alphas = 1 / (1 + self.sigmas**2)
        ratios = alphas / np.concatenate([[1.0], alphas[:-1]])
        return [float(beta) for beta in 1 - ratios]


def noise_of(config: Mapping[str, Any]) -> Noise:
    """From a checkpoint's scheduler_config.json; Stable Diffusion 1's where it leaves something open."""
    count = int(config.get("num_train_timesteps", 1000))
    start, end = float(config.get("beta_start", 0.00085)), float(config.get("beta_end", 0.012))
    kind = config.get("beta_schedule", "scaled_linear")
    if config.get("trained_betas") is not None:
        betas = np.asarray(config["trained_betas"], dtype=np.float64)
    elif kind == "scaled_linear":
        betas = np.linspace(math.sqrt(start), math.sqrt(end), count) ** 2
    elif kind == "linear":
        betas = np.linspace(start, end, count)
    else:
        raise ValueError(f"a noise schedule of the kind “{kind}”")
    roots = np.sqrt(np.cumprod(1 - betas))
    if config.get("rescale_betas_zero_snr"):
        # Lin et al. 2023, algorithm 1, https://arxiv.org/abs/2305.08891
        roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    alphas = np.maximum(roots**2, CLAMPED_ALPHA)
    return Noise(np.sqrt((1 - alphas) / alphas), str(config.get("prediction_type", "epsilon")))


@dataclass(frozen=True, slots=True)
class Span:
    """What a spacing has to divide: from `high` to `low` in `count` levels, with the noise they come from."""

    noise: Noise
    high: float
    low: float
    count: int


def uniform(span: Span) -> Levels:
    """Even timesteps, both ends included (k-diffusion's default; A1111's "Uniform" and "Normal")."""
    return np.asarray(span.noise.sigma(np.linspace(len(span.noise.sigmas) - 1, 0, span.count)))


def trailing(span: Span) -> Levels:
    """Even timesteps from the last one, the first left out (A1111's "SGM Uniform", diffusers' "trailing")."""
    return np.asarray(span.noise.sigma(np.linspace(len(span.noise.sigmas) - 1, 0, span.count + 1)[:-1]))


def simple(span: Span) -> Levels:
    """Every (N/n)-th trained level from the last one."""
    stride = len(span.noise.sigmas) / span.count
    return span.noise.sigmas[[-(1 + int(number * stride)) for number in range(span.count)]]


def leading(span: Span) -> Levels:
    """Every (N/n)-th trained level from the second one: DDIM's own, which stays below the largest σ, but for a single step."""
    if span.count == 1:
        return np.array([span.high])
    stride = max(1, len(span.noise.sigmas) // span.count)
    return span.noise.sigmas[[1 + stride * number for number in range(span.count)]][::-1]


def karras(span: Span, rho: float = KARRAS_RHO) -> Levels:
    """Karras et al. 2022, equation 5."""
    ramp = np.linspace(0, 1, span.count)
    high, low = span.high ** (1 / rho), span.low ** (1 / rho)
    return np.asarray((high + ramp * (low - high)) ** rho)


def exponential(span: Span, rho: float = 1.0) -> Levels:
    """Even in log σ; `rho` bends it (A1111's "Polyexponential")."""
    ramp = np.linspace(1, 0, span.count) ** rho
    return np.asarray(np.exp(ramp * (math.log(span.high) - math.log(span.low)) + math.log(span.low)))


def kl_optimal(span: Span) -> Levels:
    """Align Your Steps, section 3.2: even in arctan σ."""
    ramp = np.arange(span.count) / span.count
    return np.asarray(np.tan(ramp * math.atan(span.low) + (1 - ramp) * math.atan(span.high)))


def align_your_steps(span: Span) -> Levels:
    """The list published for Stable Diffusion 1.5, interpolated in log σ for other numbers of steps."""
    levels = ALIGN_YOUR_STEPS if span.high < ZERO_SNR_START else (ZERO_SNR_START, *ALIGN_YOUR_STEPS)
    where = np.linspace(0, len(levels) - 1, span.count)
    return np.asarray(np.exp(np.interp(where, np.arange(len(levels)), np.log(levels))))


def beta(span: Span, alpha: float = 0.6, beta: float = 0.6) -> Levels:
    """Lee et al. 2024, https://arxiv.org/abs/2407.12173, its quantiles laid over σ as A1111 does."""
    from scipy.special import betaincinv  # only this spacing needs it, and the page's process never does

    quantiles = betaincinv(alpha, beta, 1 - np.linspace(0, 1, span.count))
    return np.asarray(span.low + quantiles * (span.high - span.low))


@dataclass(frozen=True, slots=True)
class Spacing:
    """A function from a span to `count` falling levels; `by_sigma` ones know nothing of timesteps."""

    levels: Callable[..., Levels]
    by_sigma: bool = False
    zero_snr_start: float = ZERO_SNR_START


SPACINGS: dict[str, Spacing] = {
    "uniform": Spacing(uniform),
    "trailing": Spacing(trailing),
    "simple": Spacing(simple),
    "leading": Spacing(leading),
    "karras": Spacing(karras, by_sigma=True),
    "exponential": Spacing(exponential, by_sigma=True),
    "kl_optimal": Spacing(kl_optimal, by_sigma=True),
    "align_your_steps": Spacing(align_your_steps, by_sigma=True),
    "beta": Spacing(beta, by_sigma=True, zero_snr_start=15.0),  # even in σ: from 50 too few levels would be left below 1
}


def levels(options: Mapping[str, Any], noise: Noise, steps: int, *, discards: bool = False) -> Levels:
    """`steps + 1` falling σ, the last 0. `options` are a `ScheduleInfo`'s: a `spacing` and its parameters.

    With `discards` (a `SamplerInfo`'s) they are those of one step more without the last one above 0, whose step in log σ
    is too wide for some solvers: A1111's "discard next-to-last sigma".
    With zero terminal SNR every run begins at the largest σ, or a grey veil would stay (arXiv:2305.08891, section 3.3);
    from there spacings by σ go on at their `zero_snr_start`, where those by timestep go on of themselves.
    """
    if discards:
        return np.delete(levels(options, noise, steps + 1), -2)
    parameters = dict(options)
    spacing = SPACINGS[parameters.pop("spacing")]
    if noise.zero_snr and spacing.by_sigma:
        rest = steps - 1
        tail = spacing.levels(Span(noise, spacing.zero_snr_start, noise.smallest, rest), **parameters) if rest else np.empty(0)
        body = np.concatenate([[noise.largest], tail])
    else:
        body = spacing.levels(Span(noise, noise.largest, noise.smallest, steps), **parameters)
        if noise.zero_snr:
            body = np.concatenate([[noise.largest], body[1:]])
    return np.concatenate([body, [0.0]])
