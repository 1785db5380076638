"""What we know of a weight file without loading it."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from webui.core.geometry import Size
from webui.core.request import Frozen, Sampling


class CheckpointDefaults(Frozen):
    """What a request takes when it leaves a field open. From the checkpoint's `gesso.json`, else its family."""

    width: int = 512
    height: int = 512
    steps: int = 20
    guidance: float = 7.0
    sampler: str = Sampling().sampler
    schedule: str = Sampling().schedule


class LatentRgb(Frozen):
    """A linear map from one scaled latent (4 channels) to RGB in 0..1, for previews that need no weights."""

    weights: tuple[tuple[float, float, float], ...]  # one row a latent channel
    bias: tuple[float, float, float]


class ModelRecord(Frozen):
    """A checkpoint, lora, vae … on disk. `id` is its path below the models folder without the kind's folder and suffix."""

    id: str
    kind: Literal["checkpoint"] = "checkpoint"
    label: str
    path: Path
    layout: Literal["diffusers", "single_file"]
    family: str | None  # None: listed, with `problem`, but not offered
    problem: str = ""
    bytes: int
    sha256: str | None = None
    starter: bool = False
    license: str = ""
    defaults: CheckpointDefaults = CheckpointDefaults()
    sizes: tuple[Size, ...] = ()
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # known words by group, for suggestions
    suggestions: tuple[str, ...] = ()  # whole prompts that work
    latent_rgb: LatentRgb | None = None
