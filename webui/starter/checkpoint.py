"""The finished checkpoint: a diffusers folder with half-precision weights, its card and its own defaults."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from webui.starter.captions import known_words
from webui.starter.data import Bytes
from webui.starter.networks import PlainAttention
from webui.starter.scenes import SIZES
from webui.starter.tokens import load_tokenizer
from webui.starter.vae import to_tensor

DEFAULTS: Final[dict[str, Any]] = {
    "width": 256,
    "height": 256,
    "steps": 20,
    "guidance": 4.5,
    "sampler": "DDIM",
    "schedule": "Uniform",
}
SUGGESTIONS: Final = (
    "a majestic mountain landscape at sunset with golden clouds",
    "snowy mountains at night with a full moon, stars and a cabin",
    "a serene lake in green hills at dawn with pink clouds and birds",
    "the sea at sunset with a sailboat and the sun",
    "tropical islands during the day with white clouds and a boat",
    "a quiet forest in the morning with a lake",
)
_INDEX: Final[dict[str, Any]] = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.42.1",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The networks of a checkpoint, ready to run."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler


@torch.inference_mode()
def latent_rgb(vae: AutoencoderKL, pictures: Bytes) -> dict[str, list[Any]]:
    """The linear map from scaled codes to colours 0..1 that errs least: `weights` 4 × 3, `bias` 3."""
    scale = float(vae.config.scaling_factor)
    codes, colours = [], []
    for picture in pictures:
        shown = to_tensor(picture[None])
        codes.append((vae.encode(shown).latent_dist.mean * scale)[0].flatten(1).T)
        small = torch.nn.functional.avg_pool2d(shown, 8)[0]
        colours.append(((small + 1) / 2).flatten(1).T)
    known = torch.cat(codes)
    known = torch.cat([known, torch.ones(len(known), 1)], 1)
    fit = torch.linalg.lstsq(known, torch.cat(colours)).solution
    return {"weights": _rounded(fit[:4]), "bias": _rounded(fit[4])}


def _rounded(values: Tensor) -> list[Any]:
    return [_rounded(row) if row.ndim else round(float(row), 5) for row in values]


def write_checkpoint(parts: Parts, tokenizer_files: Path, preview: dict[str, list[Any]], out: Path, card: str) -> None:
    """Write the folder beside `out` and swap it in, so that a reader never meets half a checkpoint."""
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name, module in (("unet", parts.unet), ("vae", parts.vae), ("text_encoder", parts.encoder)):
        _save_half(module, part / name)
    parts.scheduler.save_pretrained(str(part / "scheduler"))
    shutil.copytree(tokenizer_files, part / "tokenizer")
    _write_json(part / "model_index.json", _INDEX)
    _write_json(part / "gesso.json", describe_checkpoint(preview))
    (part / "README.md").write_text(card, encoding="utf-8")
    _swap(part, out)


def describe_checkpoint(preview: dict[str, list[Any]]) -> dict[str, Any]:
    """What the program shows of the checkpoint and starts a form with."""
    return {
        "label": "Starter landscapes",
        "license": "CC0-1.0",
        "starter": True,
        "defaults": DEFAULTS,
        "sizes": [list(size) for size in SIZES],
        "words": known_words(),
        "suggestions": list(SUGGESTIONS),
        "latent_rgb": preview,
    }


def _save_half(module: nn.Module, folder: Path) -> None:
    before = next(module.parameters()).dtype
    module.half()
    module.save_pretrained(str(folder))  # type: ignore[operator]  # both libraries have it
    module.to(before)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _swap(part: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        out.replace(old)
    part.replace(out)
    shutil.rmtree(old, ignore_errors=True)


def load_parts(folder: Path, dtype: torch.dtype = torch.bfloat16) -> Parts:
    """Load a checkpoint folder from disk alone; the denoiser and the picture's code run in `dtype`."""
    local = {"local_files_only": True}
    unet = UNet2DConditionModel.from_pretrained(str(folder / "unet"), torch_dtype=dtype, **local)
    vae = AutoencoderKL.from_pretrained(str(folder / "vae"), torch_dtype=dtype, **local)
    encoder = CLIPTextModel.from_pretrained(str(folder / "text_encoder"), dtype=torch.float32, **local)
    unet.set_attn_processor(PlainAttention())
    for module in (unet, vae):
        module.to(memory_format=torch.channels_last).eval()
    scheduler = DDIMScheduler.from_pretrained(str(folder / "scheduler"), **local)
    return Parts(unet, vae, encoder.eval(), load_tokenizer(folder / "tokenizer"), scheduler)
