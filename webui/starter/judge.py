"""The judge: a small network, trained on drawn scenes alone, that says what is in a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from webui.starter.data import HELD_OUT, Bytes, draw_all
from webui.starter.loop import Budget, Plan, Report, Trainer, generator
from webui.starter.scenes import CLOUDS, EXTRAS, LANDS, TIMES, Scene, sample

SIDE: Final = 128  # pixels; pictures are halved before they are judged
KINDS: Final = ("time", "land", "clouds", *EXTRAS)
_CHOICES: Final = (len(TIMES), len(LANDS), len(CLOUDS), *(2,) * len(EXTRAS))


def truth(scene: Scene) -> list[int]:
    """The right answers about a scene, in the order of `KINDS`."""
    known = [TIMES.index(scene.time), LANDS.index(scene.land), CLOUDS.index(scene.clouds)]
    return known + [int(extra in scene.extras) for extra in EXTRAS]


class Judge(nn.Module):
    """Five strided convolutions and a linear head over a coarse map, so that places count."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        sizes = (3, width, width * 2, width * 3, width * 4, width * 4)
        layers: list[nn.Module] = []
        for before, after in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.1))
        self.head = nn.Linear(sizes[-1] * (SIDE // 32) ** 2, sum(_CHOICES))

    def forward(self, pictures: Tensor) -> Tensor:
        """n × 3 × 128 × 128 in -1..1 to one row of scores per picture."""
        scores: Tensor = self.head(self.body(pictures).float())
        return scores

    @torch.inference_mode()
    def answers(self, pictures: Bytes) -> list[list[int]]:
        """For each picture (n × h × w × 3 bytes) the index of each kind's answer, in the order of `KINDS`."""
        self.eval()
        parts = self(shrink(pictures)).split(_CHOICES, 1)
        rows: list[list[int]] = torch.stack([part.argmax(1) for part in parts], 1).tolist()
        return rows


def shrink(pictures: Bytes) -> Tensor:
    """Bytes of any size to n × 3 × 128 × 128 in -1..1."""
    wanted = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)
    return functional.interpolate(wanted, (SIDE, SIDE), mode="area")


def worn(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures with the faults that generated ones may have: blur, noise, a shift of brightness and contrast."""
    count = len(pictures)
    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    soft = torch.rand(count, 1, 1, 1, generator=rng)
    mixed = pictures + (blurred - pictures) * soft
    contrast = 1.0 + 0.24 * (torch.rand(count, 1, 1, 1, generator=rng) - 0.5)
    tint = 0.10 * torch.randn(count, 3, 1, 1, generator=rng)
    level = 0.06 * torch.rand(count, 1, 1, 1, generator=rng)
    return mixed * contrast + tint + level * torch.randn(pictures.shape, generator=rng)


def train_judge(sources: Sequence[tuple[Bytes, range]], budget: Budget, folder: Path, report: Report) -> Judge:
    """Train (or load) the judge on drawn training scenes: pictures and their seeds."""
    torch.manual_seed(30)
    judge = Judge()
    trainer = Trainer(Plan("judge", budget, rate=1.5e-3, warmup=50, ema=0.995), {"judge": judge}, folder, report)
    if budget.progress(trainer.step, trainer.spent) < 1.0:
        pictures = torch.cat([_small(source, report) for source, _ in sources])
        wanted = torch.tensor([truth(sample(seed)) for _, seeds in sources for seed in seeds])

        def losses(step: int) -> dict[str, Tensor]:
            rng = generator(30, step)
            rows = torch.randint(len(pictures), (64,), generator=rng)
            shown = worn(pictures[rows].float(), rng).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                scores = judge(shown)
            parts = scores.float().split(_CHOICES, 1)
            errors = [functional.cross_entropy(part, wanted[rows, i]) for i, part in enumerate(parts)]
            return {"loss": torch.stack(errors).sum()}

        judge.train()
        trainer.run(losses)
    trainer.use_average()
    return judge.eval()


def _small(pictures: Bytes, report: Report) -> Tensor:
    report(f"judge: reading {len(pictures)} pictures")
    return torch.cat([shrink(pictures[i : i + 64]).half() for i in range(0, len(pictures), 64)])


@dataclass(frozen=True, slots=True)
class Score:
    """How often something held, of how many times it was asked."""

    right: int = 0
    asked: int = 0

    @property
    def share(self) -> float:
        """0..1; nothing asked counts as nothing right."""
        return self.right / self.asked if self.asked else 0.0

    def plus(self, right: bool) -> "Score":
        """The score with one more answer."""
        return Score(self.right + int(right), self.asked + 1)


def judge_accuracy(judge: Judge, count: int) -> dict[str, Score]:
    """The judge's own marks on drawn scenes that nothing was trained on."""
    scores = dict.fromkeys(KINDS, Score())
    seeds = range(HELD_OUT + 1_000_000, HELD_OUT + 1_000_000 + count)
    done = 0
    for group in draw_all(seeds, (256, 256), 2):
        for row, seed in zip(judge.answers(group), seeds[done : done + len(group)], strict=True):
            for kind, said, right in zip(KINDS, row, truth(sample(seed)), strict=True):
                scores[kind] = scores[kind].plus(said == right)
        done += len(group)
    return scores
