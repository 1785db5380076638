"""What we know of a weight file without loading it."""

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from webui.core.geometry import Size
from webui.core.request import Frozen, Sampling

Kind = Literal["checkpoint", "lora", "vae", "embedding", "control_network", "upscaler", "text_encoder", "denoiser"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # a denoiser is a checkpoint's unet or transformer in a file of its own


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


class LoraFacts(Frozen):
    """What a LoRA's header says. The alpha of each module is a tensor's value, which is not read: `alpha` is the trainer's word for all."""

    ranks: tuple[int, ...] = ()  # all that occur, ascending; none for kinds that have no rank (full, IA3, OFT)
    alpha: float | None = None
    modules: int = 0  # how many layers it changes
    denoiser: bool = False  # whether it changes the unet or transformer
    text_encoder: bool = False  # whether it changes a text encoder
    dora: bool = False  # weights decomposed into magnitude and direction
    alias: str = ""  # the trainer's name for it, which `<lora:alias:1>` may use (A1111)
    triggers: tuple[str, ...] = ()  # words to put into the prompt
    tags: tuple[tuple[str, int], ...] = ()  # the training captions' most frequent tags, with how often each occurs
    hash: str = ""  # sha256 of the tensors, as the trainer wrote it down (`sshs_model_hash`)


class ModelRecord(Frozen):
    """A checkpoint, lora, vae … on disk. `id` is its path below the models folder without the kind's folder and suffix."""

    id: str
    kind: Kind = "checkpoint"  # what the header says; where it says nothing, what the folder is for
    variant: str = ""  # "LoKr", "T2I-Adapter", "DAT" …; empty where the header says nothing
    label: str
    path: Path
    layout: Literal["diffusers", "single_file"]
    family: str | None  # None: several families (`fits`), or none: then it is listed, with `problem`, but not offered
    fits: tuple[str, ...] = ()  # the families whose shapes it has; a VAE of SD 1 has those of SDXL too
    problem: str = ""
    convertible: bool = False  # a pickle, which `webui.quarantine` may turn into safetensors
    bytes: int
    sha256: str | None = None
    starter: bool = False
    license: str = ""
    defaults: CheckpointDefaults = CheckpointDefaults()
    sizes: tuple[Size, ...] = ()
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # known words by group, for suggestions
    suggestions: tuple[str, ...] = ()  # whole prompts that work
    latent_rgb: LatentRgb | None = None
    lora: LoraFacts | None = None
    vectors: int | None = None  # of an embedding: how many tokens it takes

    @property
    def usable(self) -> bool:
        """Whether it is offered: its family is known, or the few that it may be of."""
        return self.family is not None or bool(self.fits)
