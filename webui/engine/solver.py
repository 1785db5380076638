"""`Solver`: one walk from noise to a latent on a diffusers scheduler, over noise levels of our own."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import diffusers
import numpy as np
import torch
from torch import Tensor

from webui.core.parts import SamplerInfo
from webui.engine import repaired
from webui.engine.schedules import ENDLESS, Levels, Noise

NEARLY_ZERO = 1e-5  # σ instead of 0 where its logarithm is taken


class Call(NamedTuple):
    """One evaluation of the network. `ends` is whether a step (1-based `step`) is done after it."""

    timestep: float
    sigma: float
    step: int
    ends: bool


class Solver:
    """Latents between `begin` and the end are in the scheduler's own scale; `estimate` and the last `advance` are not.

    With zero terminal SNR the step from σ ≈ 4096 is taken here, by Euler's rule, which is exact where the network can
    only predict a mean: schedulers of higher order would divide differences of predictions by it.
    """

    def __init__(self, sampler: SamplerInfo, noise: Noise, levels: Levels) -> None:
        self._noise = noise
        self._first = float(levels[0])
        self._lead = float(levels[1]) if levels[0] > ENDLESS else None  # σ after the first step
        rest = levels if self._lead is None else levels[1:]
        self.calls: list[Call] = []
        if self._lead is not None:
            self.calls.append(Call(float(noise.timestep(self._first)), self._first, 1, True))
        self._index = 0
        self._scheduler: Any = None
        self._small = False  # whether the scheduler keeps latents at variance 1
        if len(rest) > 1:
            self._scheduler = _scheduler(sampler, noise)
            self._small = isinstance(self._scheduler.init_noise_sigma, float)
            installer = INSTALLERS.get(sampler.implementation, _install_levels)
            timesteps, ends = installer(self._scheduler, noise, rest)
            if hasattr(self._scheduler, "set_begin_index"):
                self._scheduler.set_begin_index(0)
            step = len(self.calls) + 1
            for timestep, end in zip(timesteps, ends, strict=True):
                self.calls.append(Call(timestep, float(noise.sigma(timestep)), step, end))
                step += end
            self._timesteps = self._scheduler.timesteps
            self._takes_generator = "generator" in inspect.signature(self._scheduler.step).parameters

    def begin(self, noise: Tensor) -> Tensor:
        """The first latents from noise of variance 1."""
        sigma = self._first
        small = self._small and self._lead is None
        scale: float = sigma / (1 + sigma**2) ** 0.5 if small else sigma
        return noise * scale

    def input(self, latents: Tensor, call: Call) -> Tensor:
        """What the network sees at the next call: variance about 1."""
        if self._leading:
            return latents * float((1 + call.sigma**2) ** -0.5)
        scaled: Tensor = self._scheduler.scale_model_input(latents, self._timesteps[self._index])
        return scaled

    def estimate(self, latents: Tensor, output: Tensor, call: Call) -> Tensor:
        """x₀ as the network sees it now, from its output for `input(latents)`."""
        sigma = call.sigma
        size: float = (1 + sigma**2) ** 0.5
        noisy = latents * size if self._small and not self._leading else latents
        if self._noise.prediction == "epsilon":
            return noisy - sigma * output
        if self._noise.prediction == "v_prediction":
            return noisy / (1 + sigma**2) - output * (sigma / size)
        return output

    def advance(self, latents: Tensor, output: Tensor, call: Call, generators: Sequence[torch.Generator]) -> Tensor:
        """The latents after this call. Noise is drawn from each picture's own generator."""
        if self._leading:
            clean = self.estimate(latents, output, call)
            goal, self._lead = self._lead or 0.0, None
            moved = clean + (latents - clean) * (goal / call.sigma)
            return moved * float((1 + goal**2) ** -0.5) if self._small else moved
        extra = {"generator": list(generators)} if self._takes_generator else {}
        timestep = self._timesteps[self._index]
        self._index += 1
        stepped: Tensor = self._scheduler.step(output, timestep, latents, return_dict=False, **extra)[0]
        return stepped

    @property
    def _leading(self) -> bool:
        return self._lead is not None


def _scheduler(sampler: SamplerInfo, noise: Noise) -> Any:
    made: Callable[..., Any] = getattr(repaired, sampler.implementation, None) or getattr(diffusers, sampler.implementation)
    known = inspect.signature(made).parameters
    config: dict[str, Any] = {
        "num_train_timesteps": len(noise.sigmas),
        "trained_betas": noise.betas(),
        "prediction_type": noise.prediction,
        "clip_sample": False,
        "lower_order_final": True,
        "use_exponential_sigmas": sampler.implementation in OWN_LEVELS,
    }
    return made(**{key: value for key, value in config.items() if key in known} | dict(sampler.options))


Plan = tuple[list[float], list[bool]]  # the timestep of each call, and whether it ends a step


def _floats(values: Any) -> list[float]:
    return [float(value) for value in values]


def _install_levels(scheduler: Any, noise: Noise, levels: Levels) -> Plan:
    """One call a step, from one level to the next."""
    timesteps = noise.timestep(levels[:-1])
    scheduler.set_timesteps(len(timesteps))
    scheduler.sigmas = torch.tensor(levels, dtype=torch.float32)
    scheduler.timesteps = torch.tensor(timesteps, dtype=torch.float32)
    return _floats(timesteps), [True] * len(timesteps)


def _install_deis(scheduler: Any, noise: Noise, levels: Levels) -> Plan:
    return _install_levels(scheduler, noise, np.append(levels[:-1], NEARLY_ZERO))


def _install_halves(scheduler: Any, noise: Noise, levels: Levels) -> Plan:
    """A single-step solver of order 2: a call at each level and one half-way (in log σ) to the next, but none to 0."""
    halves = np.sqrt(levels[:-2] * levels[1:-1])
    doubled = np.empty(len(levels) + len(halves))
    doubled[0 : 2 * len(halves) : 2] = levels[:-2]
    doubled[1 : 2 * len(halves) : 2] = halves
    doubled[-2:] = levels[-2:]
    timesteps, _ = _install_levels(scheduler, noise, doubled)
    scheduler.order_list = [1, 2] * len(halves) + [1]
    return timesteps, [False, True] * len(halves) + [True]


def _install_own(scheduler: Any, noise: Noise, levels: Levels) -> Plan:
    """A solver of two calls a step that arranges the levels itself: they come in where it would space them evenly in log σ."""
    steps = len(levels) - 1
    scheduler._convert_to_exponential = lambda in_sigmas, num_inference_steps: levels[:-1]
    scheduler.set_timesteps(steps)
    return _floats(scheduler.timesteps), [False, True] * (steps - 1) + [True]


def _install_lcm(scheduler: Any, noise: Noise, levels: Levels) -> Plan:
    """Whole timesteps only, and nothing beyond them."""
    timesteps = np.round(noise.timestep(levels[:-1])).astype(np.int64)
    scheduler.num_inference_steps = len(timesteps)
    scheduler.timesteps = torch.from_numpy(timesteps)
    return _floats(timesteps), [True] * len(timesteps)


def _install_plms(scheduler: Any, noise: Noise, levels: Levels) -> Plan:
    """Even whole timesteps, the second one twice (Liu et al. 2022, https://arxiv.org/abs/2202.09778)."""
    timesteps = np.round(noise.timestep(levels[:-1])).astype(np.int64)
    stride = int(timesteps[0] - timesteps[1]) if len(timesteps) > 1 else int(timesteps[0])
    scheduler.set_timesteps(max(1, len(noise.sigmas) // max(1, stride)))
    twice = np.insert(timesteps, 1, timesteps[1]) if len(timesteps) > 1 else timesteps
    scheduler.timesteps = torch.from_numpy(twice)
    return _floats(twice), [False] * (len(twice) > len(timesteps)) + [True] * len(timesteps)


OWN_LEVELS = ("HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler")
INSTALLERS: dict[str, Callable[[Any, Noise, Levels], Plan]] = {
    "DEISMultistepScheduler": _install_deis,
    "DPMSolverSinglestepScheduler": _install_halves,
    "LCMScheduler": _install_lcm,
    "PNDMScheduler": _install_plms,
} | dict.fromkeys(OWN_LEVELS, _install_own)
