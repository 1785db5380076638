"""Training of the text encoder and the UNet on codes that were computed once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from webui.starter.captions import caption, describe
from webui.starter.data import Bytes, Size, seeds_of
from webui.starter.gang import Gang
from webui.starter.loop import Budget, Plan, Report, Trainer, generator
from webui.starter.scenes import CLOUDS, EXTRAS, LANDS, TIMES, Scene, sample
from webui.starter.tokens import encode
from webui.starter.vae import to_tensor

DROPOUT: Final = 0.12  # captions left out, for guidance (Ho & Salimans 2022, 2207.12598)
LANDSCAPE_SHARE: Final = 0.1  # of the batches, and as many upright ones


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes of one size's pictures, scaled to unit variance."""

    size: Size
    codes: Tensor  # n × 4 × h/8 × w/8, float16
    seeds: range


@torch.inference_mode()
def encode_pictures(vae: AutoencoderKL, pictures: Bytes, report: Report, batch: int = 8) -> Tensor:
    """The mean codes of pictures, unscaled: n × 4 × h/8 × w/8, float16."""
    found = []
    for start in range(0, len(pictures), batch):
        chunk = to_tensor(pictures[start : start + batch]).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            found.append(vae.encode(chunk).latent_dist.mean.half().contiguous())
        if start % (batch * 125) == 0:
            report(f"encoding {start} of {len(pictures)}")
    return torch.cat(found)


def load_codes(vae: AutoencoderKL, size: Size, pictures: Bytes, folder: Path, report: Report) -> Codes:
    """The codes of `pictures`, read from disk where they were computed before."""
    path = folder / f"codes-{size[0]}x{size[1]}-{len(pictures)}.pt"
    if not path.exists():
        torch.save(encode_pictures(vae, pictures, report), path)
    return Codes(size, torch.load(path, weights_only=True), seeds_of(size, len(pictures)))


def scaling_of(codes: Tensor) -> float:
    """The factor that brings codes to unit standard deviation (Rombach et al. 2022, 2112.10752, appendix G)."""
    return float(1.0 / codes.float().std())


def labels_of(scene: Scene, named: dict[str, bool]) -> list[int]:
    """What a caption says of time, land, clouds and each extra: 0 where it says nothing."""
    time = TIMES.index(scene.time) + 1 if named["time"] else 0
    land = LANDS.index(scene.land) + 1 if named["land"] else 0
    clouds = CLOUDS.index(scene.clouds) + 1 if named["clouds"] else 0
    return [time, land, clouds, *(int(named.get(extra, False)) for extra in EXTRAS)]


_KINDS: Final = (len(TIMES) + 1, len(LANDS) + 1, len(CLOUDS) + 1, *(2,) * len(EXTRAS))


def train_words(encoder: CLIPTextModel, batches: "Batches", budget: Budget, folder: Path, report: Report, gang: Gang | None = None) -> None:
    """Teach the encoder to tell from its 77 vectors what a caption names, before any picture is seen."""
    torch.manual_seed(21)
    heads = nn.Linear(encoder.config.hidden_size, sum(_KINDS))
    plan = Plan("words", budget, rate=1.5e-3, warmup=20, log_every=20)
    trainer = Trainer(plan, {"encoder": encoder, "heads": heads}, folder, report, gang)

    def losses(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((21, step * batches.members + batches.rank))
        scenes = [sample(int(seed)) for seed in rng.integers(0, 1 << 24, 3 * batches.batch // batches.members)]
        told = [(scene, *describe(scene, rng)) for scene in scenes]
        tokens = torch.tensor(encode(batches.tokenizer, [text for _, text, _ in told]))
        wanted = torch.tensor([labels_of(scene, named) for scene, _, named in told])
        with torch.autocast("cpu", torch.bfloat16):
            vectors = encoder(tokens).last_hidden_state.mean(1)
        parts = heads(vectors.float()).split(_KINDS, 1)
        errors = [functional.cross_entropy(part, wanted[:, i]) for i, part in enumerate(parts)]
        right = torch.stack([(part.argmax(1) == wanted[:, i]).float().mean() for i, part in enumerate(parts)])
        return {"loss": torch.stack(errors).sum(), "right": right.mean()}

    trainer.run(losses)


def noise(codes: Tensor, extra: Tensor, times: Tensor, scheduler: DDIMScheduler) -> tuple[Tensor, Tensor]:
    """Noisy codes and the velocity to predict: Salimans & Ho 2022 (2202.00512), eq. of appendix D."""
    return scheduler.add_noise(codes, extra, times), scheduler.get_velocity(codes, extra, times)


@dataclass(frozen=True, slots=True)
class Batches:
    """Draws the batches of UNet training: one size each, captions new every time."""

    pools: Sequence[Codes]  # square, landscape, upright
    tokenizer: CLIPTokenizer
    scale: float
    batch: int
    rank: int = 0  # of `members` processes that each draw their part of a batch
    members: int = 1

    def draw(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Codes, tokens, times and noise of one step."""
        which = float(torch.rand(1, generator=generator(25, step)))  # the same size for every member
        rng = generator(22, step * self.members + self.rank)
        words = np.random.default_rng((22, step * self.members + self.rank))
        pool = self.pools[min(len(self.pools) - 1, int(which < 2 * LANDSCAPE_SHARE) + int(which < LANDSCAPE_SHARE))]
        count = max(1, self.batch * 1024 // self.members // (pool.codes.shape[2] * pool.codes.shape[3]))
        rows = torch.randint(len(pool.codes), (count,), generator=rng)
        codes = pool.codes[rows].float() * self.scale
        texts = [caption(sample(pool.seeds[row]), words) if words.random() > DROPOUT else "" for row in rows.tolist()]
        spread = (torch.arange(count) + torch.rand(count, generator=rng)) / count  # one time from each slice
        times = (spread * 1000).long().clamp(max=999)
        return codes, torch.tensor(encode(self.tokenizer, texts)), times, torch.randn(codes.shape, generator=rng)


def train_unet(
    networks: tuple[CLIPTextModel, UNet2DConditionModel],
    batches: Batches,
    scheduler: DDIMScheduler,
    trainer: Trainer,
    on_save: Callable[[], None] | None = None,
) -> None:
    """Train the UNet until the trainer's budget is spent; the encoder has learnt its words and stays as it is."""
    encoder, unet = networks

    def losses(step: int) -> dict[str, Tensor]:
        codes, tokens, times, extra = batches.draw(step)
        noisy, wanted = noise(codes, extra, times, scheduler)
        noisy = noisy.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                words = encoder(tokens).last_hidden_state
            made = unet(noisy, times, words).sample
        return {"loss": (made.float() - wanted).square().mean()}

    trainer.run(losses, on_save=on_save)


def unet_plan(budget: Budget) -> Plan:
    """The schedule of UNet training."""
    return Plan("unet", budget, rate=1.2e-3, warmup=150, ema=0.997, settle=0.3)
