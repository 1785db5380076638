"""A weight file's passport: all that its header tells a person, without a tensor read and without a word that could do harm."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from webui.core.records import Kind, LoraFacts, ModelRecord
from webui.core.request import Frozen
from webui.library.header import Header, read_header
from webui.library.kinds import tell
from webui.library.loras import facts, trained_as
from webui.library.text import clean, line

MAX_KEYS = 200  # of the metadata
MAX_VALUE = 2000  # characters
MAX_TOTAL = 64_000  # characters of all metadata together
MAX_NAME = 200


class Part(NamedTuple):
    """A component by the beginnings of its tensors' names."""

    name: str
    prefix: str  # a regular expression


PARTS: tuple[Part, ...] = (
    Part("control network", r"control_model\.|controlnet_|lora_controlnet$"),
    Part("VAE", r"first_stage_model\.|vae\."),
    Part(
        "text encoder",
        r"cond_stage_model\.|conditioner\.embedders\.0\.|text_encoder\.|text_encoders\.clip_l\.|lora_te1?_|clip_l$|emb_params$|text_encoders_0$",
    ),
    Part("text encoder 2", r"conditioner\.embedders\.1\.|text_encoder_2\.|text_encoders\.clip_g\.|lora_te2_|clip_g$|text_encoders_1$"),
    Part("text encoder 3", r"text_encoder_3\.|text_encoders\.t5xxl\.|lora_te3_|t5xxl$"),
    Part("second set of weights (EMA)", r"model_ema\."),
    Part(
        "unet or transformer",
        r"(base_model\.model\.)?(model\.diffusion_model|diffusion_model|unet|transformer)\.|(lora|lycoris|oft)_(unet|transformer)_|lllite_unet_",
    ),
)
_PARTS = tuple((part.name, re.compile(part.prefix)) for part in PARTS)
_WHOLE: Mapping[Kind, str] = {
    "vae": "VAE",
    "denoiser": "unet or transformer",
    "text_encoder": "text encoder",
    "control_network": "control network",
    "upscaler": "upscaler",
    "lora": "unet or transformer",  # diffusers' oldest layout has no prefix
    "embedding": "text encoder",
}
TRAINING: tuple[tuple[str, str], ...] = (
    ("ss_sd_model_name", "Trained on"),
    ("ss_base_model_version", "Version of that"),
    ("ss_resolution", "Resolution"),
    ("ss_num_train_images", "Pictures"),
    ("ss_num_epochs", "Epochs"),
    ("ss_steps", "Steps"),
    ("ss_learning_rate", "Learning rate"),
    ("ss_unet_lr", "Learning rate of the unet"),
    ("ss_text_encoder_lr", "Learning rate of the text encoder"),
    ("ss_optimizer", "Optimizer"),
    ("ss_network_module", "Method"),
    ("ss_clip_skip", "Clip skip"),
    ("ss_noise_offset", "Noise offset"),
    ("modelspec.prediction_type", "Predicts"),
    ("modelspec.author", "Author"),
    ("modelspec.date", "Date"),
    ("modelspec.license", "License"),
    ("modelspec.usage_hint", "How to use it"),
)


class Share(Frozen):
    """A part of the file: a component, or all tensors of one dtype."""

    name: str
    bytes: int = Field(ge=0)
    tensors: int = Field(ge=0)


class Passport(Frozen):
    """What a person may want to know of a file before using it."""

    kind: Kind | None
    variant: str
    family: str | None
    fits: tuple[str, ...]
    problem: str
    layout: Literal["diffusers", "single_file"]
    bytes: int
    tensors: int
    dtypes: tuple[Share, ...]  # the largest first
    components: tuple[Share, ...]  # the largest first
    lora: LoraFacts | None
    vectors: int | None
    training: tuple[tuple[str, str], ...]  # what is said about its making, in words
    metadata: tuple[tuple[str, str], ...]  # the rest of it as it stands, cut where it is long
    left_out: int  # how many keys of the metadata are not among them


def passport(record: ModelRecord) -> Passport:
    """Reads the headers of a record's file or folder. Raises `LoadFailed` naming the file that is damaged, `OSError` when it is gone."""
    if record.layout == "diffusers":
        found = [(path.parent.name, read_header(path)) for path in sorted(record.path.glob("*/*.safetensors")) if _counts(path)]
        return _folder(record, found)
    header = read_header(record.path)
    return of_header(header, record.path.stat().st_size)


def _counts(path: Path) -> bool:
    """A second copy in half precision is not a second component."""
    return ".fp16." not in path.name or not path.with_name(path.name.replace(".fp16.", ".")).exists()


def _folder(record: ModelRecord, found: list[tuple[str, Header]]) -> Passport:
    sizes = [(name, tensor.dtype, tensor.end - tensor.begin) for name, header in found for tensor in header.tensors.values()]
    merged = {key: value for _, header in found for key, value in header.metadata.items()}
    known, training, left_out = described(merged)
    return Passport(
        kind="checkpoint",
        variant="diffusers folder",
        family=record.family,
        fits=record.fits,
        problem=record.problem,
        layout="diffusers",
        bytes=record.bytes,
        tensors=len(sizes),
        dtypes=_shares((dtype, size) for _, dtype, size in sizes),
        components=_shares((name.replace("_", " "), size) for name, _, size in sizes),
        lora=None,
        vectors=None,
        training=training,
        metadata=known,
        left_out=left_out,
    )


def of_header(header: Header, size: int) -> Passport:
    """The passport of one file of `size` bytes, from its header alone."""
    told = tell(header)
    known, training, left_out = described(header.metadata)
    whole = _WHOLE.get(told.kind, "other") if told.kind else "other"
    tensors = [(name, tensor.dtype, tensor.end - tensor.begin) for name, tensor in header.tensors.items()]
    return Passport(
        kind=told.kind,
        variant=trained_as(told.variant, header.metadata),
        family=told.family,
        fits=told.fits,
        problem=told.problem,
        layout="single_file",
        bytes=size,
        tensors=len(tensors),
        dtypes=_shares((dtype, length) for _, dtype, length in tensors),
        components=_shares((_component(name, whole), length) for name, _, length in tensors),
        lora=facts(header) if told.kind == "lora" else None,
        vectors=vectors_of(header) if told.kind == "embedding" else None,
        training=training,
        metadata=known,
        left_out=left_out,
    )


def _component(name: str, whole: str) -> str:
    return next((part for part, prefix in _PARTS if prefix.match(name)), whole)


def _shares(sizes: Iterable[tuple[str, int]]) -> tuple[Share, ...]:
    totals: dict[str, tuple[int, int]] = {}
    for name, size in sizes:
        whole, count = totals.get(name, (0, 0))
        totals[name] = whole + size, count + 1
    ranked = sorted(totals.items(), key=lambda row: (-row[1][0], row[0]))
    return tuple(Share(name=name, bytes=whole, tensors=count) for name, (whole, count) in ranked)


def vectors_of(header: Header) -> int | None:
    """How many words of the text encoder an embedding stands for."""
    rows = [tensor.shape[0] if len(tensor.shape) == 2 else 1 for tensor in header.tensors.values() if 1 <= len(tensor.shape) <= 2]
    return max(rows, default=None)


def described(metadata: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], int]:
    """(metadata as it stands, what is known of the training in words, how many keys were left out)."""
    training = tuple((label, line(metadata[key], MAX_NAME)) for key, label in TRAINING if _says(metadata.get(key, "")))
    shown: list[tuple[str, str]] = []
    total = 0
    for key in sorted(metadata)[:MAX_KEYS]:
        value = _value(metadata[key])
        total += len(key[:MAX_NAME]) + len(value)
        if total > MAX_TOTAL:
            break
        shown.append((line(key, MAX_NAME), value))
    return tuple(shown), training, len(metadata) - len(shown)


def _says(value: str) -> bool:
    return value.strip() not in ("", "None")


def _value(text: str) -> str:
    if text.startswith("data:"):
        return f"(a picture or another file, {len(text):,} characters)"
    return clean(text, MAX_VALUE)
