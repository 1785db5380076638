"""Evaluation: does the checkpoint draw what it is asked for, and how well does its code keep a picture?"""

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from webui.starter.captions import describe
from webui.starter.checkpoint import DEFAULTS, load_parts
from webui.starter.data import HELD_OUT, Bytes
from webui.starter.judge import KINDS, Judge, Score, judge_accuracy, truth
from webui.starter.loop import Report
from webui.starter.sampling import paint
from webui.starter.scenes import EXTRAS, Scene, draw, sample
from webui.starter.vae import psnr

BARS: Final = {"time": 0.95, "land": 0.90, "clouds": 0.85, "extras": 0.80}
PSNR_BAR: Final = 30.0  # dB
JUDGE_BAR: Final = 0.98
_GROUP: Final = 40  # pictures that a process paints in one go


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt, the scene it was written for, and which attributes it names."""

    prompt: str
    scene: Scene
    named: dict[str, bool]


def unseen_prompts(count: int) -> list[Asked]:
    """Captions of scenes that nothing was trained on."""
    found = []
    for seed in range(HELD_OUT + 2_000_000, HELD_OUT + 2_000_000 + count):
        scene = sample(seed)
        text, named = describe(scene, np.random.default_rng((23, seed)))
        found.append(Asked(text, scene, named))
    return found


def marks(asked: Sequence[Asked], answers: Sequence[Sequence[int]]) -> dict[str, Score]:
    """Scores over what the prompts name: time, land, clouds, each extra, and "extras" over all of these."""
    scores = dict.fromkeys((*KINDS, "extras"), Score())
    for one, row in zip(asked, answers, strict=True):
        for kind, said, right in zip(KINDS, row, truth(one.scene), strict=True):
            if not one.named.get(kind, False):
                continue
            scores[kind] = scores[kind].plus(said == right)
            if kind in EXTRAS:
                scores["extras"] = scores["extras"].plus(said == right)
    return scores


def uncalled(asked: Sequence[Asked], answers: Sequence[Sequence[int]]) -> Score:
    """How often a picture holds an extra that its scene does not (told, not judged: a caption may leave things out)."""
    score = Score()
    for one, row in zip(asked, answers, strict=True):
        for kind, said in zip(KINDS, row, strict=True):
            if kind in EXTRAS and kind not in one.scene.extras:
                score = score.plus(said == 1)
    return score


def passes(scores: dict[str, Score], decibels: float, judged: dict[str, Score]) -> bool:
    """Whether every bar is reached, the judge's own included."""
    seen = all(scores[kind].share >= bar for kind, bar in BARS.items())
    return seen and decibels >= PSNR_BAR and all(score.share >= JUDGE_BAR for score in judged.values())


def paint_all(folder: Path, prompts: Sequence[str], guidance: float, report: Report, workers: int = 2) -> Bytes:
    """One picture for each prompt, at the checkpoint's own size and steps; `workers` processes of one thread."""
    groups = [(folder, list(prompts[i : i + _GROUP]), 7_000_000 + i, guidance) for i in range(0, len(prompts), _GROUP)]
    if workers <= 1:
        return np.concatenate([_paint_group(group) for group in groups])
    found = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for pictures in pool.map(_paint_group, groups):
            found.append(pictures)
            report(f"painted {min(len(found) * _GROUP, len(prompts))} of {len(prompts)}")
    return np.concatenate(found)


def _paint_group(group: tuple[Path, list[str], int, float]) -> Bytes:
    """Pictures for some prompts: folder of the checkpoint, prompts, first seed, guidance."""
    folder, prompts, seed, guidance = group
    parts = load_parts(folder)
    size, steps = (int(DEFAULTS["width"]), int(DEFAULTS["height"])), int(DEFAULTS["steps"])
    found = []
    for start in range(0, len(prompts), 4):
        asked = prompts[start : start + 4]
        seeds = [seed + start + i for i in range(len(asked))]
        found.append(paint(parts, asked, seeds, size, steps, guidance))
    return np.concatenate(found)


def contact_sheet(pictures: Bytes, columns: int = 8) -> Image.Image:
    """Pictures of one size side by side."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * (width + 4), rows * (height + 4)))
    for i, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), ((i % columns) * (width + 4), (i // columns) * (height + 4)))
    return sheet


def evaluate(folder: Path, judge: Judge, count: int, guidance: float, out: Path, report: Report) -> dict[str, Any]:
    """Measure everything, write `report.json` and `contact-sheet.png` into `out`, and give the figures back."""
    held = np.stack([np.asarray(draw(sample(HELD_OUT + i))) for i in range(48)])
    decibels = psnr(load_parts(folder).vae, held)
    report(f"VAE PSNR on unseen scenes: {decibels:.2f} dB")
    judged = judge_accuracy(judge, 1000)
    _tell("the judge on unseen drawn scenes", judged, report)
    asked = unseen_prompts(count)
    pictures = paint_all(folder, [one.prompt for one in asked], guidance, report)
    answers = [row for start in range(0, count, 50) for row in judge.answers(pictures[start : start + 50])]
    scores = marks(asked, answers)
    _tell(f"{count} pictures at guidance {guidance}", scores, report)
    figures = {
        "vae_psnr_db": round(decibels, 2),
        "judge": _plain(judged),
        "pictures": count,
        "defaults": {**DEFAULTS, "guidance": guidance},
        "scores": _plain(scores),
        "extras_not_asked_for": round(uncalled(asked, answers).share, 4),
        "bars": {**BARS, "vae_psnr_db": PSNR_BAR, "judge": JUDGE_BAR},
        "passed": passes(scores, decibels, judged),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    contact_sheet(pictures[:64]).save(out / "contact-sheet.png")
    report(f"passed: {figures['passed']}")
    return figures


def _plain(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    return {kind: {"share": round(one.share, 4), "asked": one.asked} for kind, one in scores.items()}


def _tell(title: str, scores: dict[str, Score], report: Report) -> None:
    told = [f"{kind} {score.share:.1%} of {score.asked}" for kind, score in scores.items()]
    report(f"{title}: {', '.join(told)}")
