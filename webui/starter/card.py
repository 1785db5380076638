"""The model card of the starter checkpoint."""

import json
from pathlib import Path
from typing import Any, Final

_CARD: Final = """# Starter landscapes

A very small Stable Diffusion 1 checkpoint that draws flat, poster-like landscapes. It comes with Gesso so that a fresh
clone can make a picture at once, without a graphics card, an account or a download. It knows landscapes and nothing else.

* **Licence**: CC0 1.0 (public domain). No picture by anybody was used: it was trained on scenes that
  `webui/starter/scenes.py` draws and `webui/starter/captions.py` describes.
* **What it knows**: dawn, day, sunset, night · mountains, snowy mountains, hills, dunes, sea, islands, forest ·
  white, golden, pink, grey or no clouds · sun, moon, stars, lake, cabin, pine trees, sailboat, birds.
* **Sizes**: 256 × 256, 384 × 256, 256 × 384.
* **Architecture**: CLIPTextModel (4 layers, width 192, own tokenizer of about 1,200 entries), UNet2DConditionModel
  (11 M parameters), AutoencoderKL (1.6 M, 8 × down, 4 channels); weights in half precision.
* **Training**: `python -m webui.starter train`, on two CPU cores. v-prediction (2202.00512) with zero terminal signal
  and trailing steps (2305.08891), caption dropout 12 %, averaged weights.
* **Defaults**: in `gesso.json`, with the words it knows and a linear map from latents to colours for previews.

## Measured

{measured}
"""
_NAMES: Final = {"time": "time of day", "land": "land", "clouds": "cloud colour", "extras": "extras"}


def card_text(figures: dict[str, Any] | None = None) -> str:
    """The card, with what `evaluate` measured where it has run."""
    return _CARD.format(measured=_measured(figures) if figures else "Not yet: run `python -m webui.starter evaluate`.")


def _measured(figures: dict[str, Any]) -> str:
    defaults = figures["defaults"]
    rows = [f"| {_NAMES[kind]} | {figures['scores'][kind]['share']:.1%} |" for kind in _NAMES]
    return "\n".join(
        [
            f"`python -m webui.starter evaluate`: {figures['pictures']} pictures for unseen captions, {defaults['steps']} steps of "
            f"{defaults['sampler']} at guidance {defaults['guidance']}, judged by a classifier that was trained on drawn scenes only.",
            "",
            "| asked for | drawn |",
            "|---|---|",
            *rows,
            "",
            f"PSNR of the autoencoder on unseen scenes: {figures['vae_psnr_db']} dB.",
        ]
    )


def update_card(folder: Path, report_file: Path) -> None:
    """Write the card of the checkpoint in `folder` with the figures of a finished evaluation."""
    figures = json.loads(report_file.read_text(encoding="utf-8"))
    (folder / "README.md").write_text(card_text(figures), encoding="utf-8")
