"""The form and what it asks for: values of components ↔ `RequestDraft`. Pure; the components are made in `widgets/fields.py`."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from webui.core.errors import UserError
from webui.core.geometry import SIDE_MULTIPLE, Size, size_for_aspect, snap
from webui.core.records import CheckpointDefaults, ModelRecord
from webui.core.request import MAX_PROMPT, MAX_SEED, GenerationRequest, RequestDraft, Sampling

REQUEST_FIELDS: Mapping[str, str] = {  # field of the request → A1111's element id
    "checkpoint": "setting_sd_model_checkpoint",
    "prompt": "txt2img_prompt",
    "negative_prompt": "txt2img_neg_prompt",
    "width": "txt2img_width",
    "height": "txt2img_height",
    "count": "txt2img_batch_count",
    "batch_size": "txt2img_batch_size",
    "sampling.sampler": "txt2img_sampling",
    "sampling.schedule": "txt2img_scheduler",
    "sampling.steps": "txt2img_steps",
    "sampling.guidance": "txt2img_cfg_scale",
    "sampling.seed": "txt2img_seed",
    "sampling.clip_skip": "txt2img_clip_skip",
}
OWN_FIELDS: Mapping[str, str] = {  # what only the page keeps
    "shape": "txt2img_shape",
    "seed_fixed": "txt2img_seed_fixed",
    "applied": "txt2img_applied",
}
NO_COMPONENT = {  # fields of the request that have no component, and why
    "task": "decided by the tab",
    "loras": "written into the prompt",
    "embeddings": "found in the prompts",
    "vae": "the one that fits the checkpoint",
}
SHAPES: Mapping[str, tuple[int, int]] = {"1:1": (1, 1), "2:3": (2, 3), "3:2": (3, 2), "16:9": (16, 9)}
CUSTOM = "Custom"
FOLLOWING = (
    "width",
    "height",
    "sampling.steps",
    "sampling.guidance",
    "sampling.sampler",
    "sampling.schedule",
)  # set by a checkpoint's defaults

NUMBERS: Mapping[str, str] = {  # number fields of the form, and how a sentence calls them
    "width": "The width",
    "height": "The height",
    "count": "Pictures",
    "batch_size": "Pictures at once",
    "sampling.steps": "Steps",
    "sampling.guidance": "Guidance",
    "sampling.clip_skip": "Clip skip",
}


TEXTS: Mapping[str, str] = {"prompt": "The prompt", "negative_prompt": "The negative prompt"}


class Limits(NamedTuple):
    """Lowest and highest value of a request field, as its type says."""

    low: float
    high: float


def limits(field: str) -> Limits:
    """Read from the pydantic field, so that a limit is written once."""
    group, _, name = field.rpartition(".")
    info = (Sampling if group else GenerationRequest).model_fields[name]
    low = next(rule.ge for rule in info.metadata if hasattr(rule, "ge"))
    high = next(rule.le for rule in info.metadata if hasattr(rule, "le"))
    return Limits(low, high)


def draft(values: Mapping[str, Any]) -> RequestDraft:
    """What the form asks for. An open lock leaves the seed to be drawn. Raises `UserError` naming the field at fault."""
    for name in NUMBERS:
        _check(name, values.get(name))
    for name, called in TEXTS.items():
        _check_length(name, called, values.get(name) or "")
    flat: dict[str, Any] = {name: values[name] for name in REQUEST_FIELDS if values.get(name) not in (None, "")}
    flat["prompt"] = values.get("prompt") or ""
    flat["negative_prompt"] = values.get("negative_prompt") or ""
    if values.get("seed_fixed"):
        flat["sampling.seed"] = seed_of(values.get("sampling.seed"))
    else:
        flat.pop("sampling.seed", None)
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        group, _, field = name.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[field] = _whole(value)
    return RequestDraft.parse(nested)


def _check(field: str, value: Any) -> None:
    if value is None or value == "":
        return
    low, high = limits(field)
    unit = " px" if field in ("width", "height") else ""
    if not low <= value <= high:
        raise UserError(f"{NUMBERS[field]} can be {low:g} to {high:g}{unit}, not {value:.15g}.", field=field)
    if unit and value % SIDE_MULTIPLE:
        raise UserError(f"{NUMBERS[field]} must be a multiple of {SIDE_MULTIPLE} px; {snap(value)} is the nearest.", field=field)


def _check_length(field: str, called: str, text: str) -> None:
    if len(text) > MAX_PROMPT:
        raise UserError(f"{called} can have {_grouped(MAX_PROMPT)} characters; this one has {_grouped(len(text))}.", field=field)


def _whole(value: Any) -> Any:
    """20.0 → 20: a number field gives floats, and the request is strict about them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def seed_of(text: object) -> int:
    """The number in a seed field, which may be grouped by spaces. Raises `UserError`."""
    digits = "".join(str("" if text is None else text).split())
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20 or int(digits) > MAX_SEED:
        raise UserError(
            "A fixed seed must be a whole number from 0 to 4 294 967 295. Unlock it to get a new one each time.", field="sampling.seed"
        )
    return int(digits)


def shown_seed(seed: int) -> str:
    """2918447013 → "2 918 447 013", with thin non-breaking groups as people read them."""
    return _grouped(seed)


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def values(asked: RequestDraft) -> dict[str, Any]:
    """The form's values for what a draft names; fields that it leaves open are absent."""
    plain = asked.model_dump(exclude_none=True)
    sampling = plain.pop("sampling", {})
    flat = plain | {f"sampling.{name}": value for name, value in sampling.items()}
    found = {name: value for name, value in flat.items() if name in REQUEST_FIELDS}
    if "sampling.seed" in found:
        found["sampling.seed"] = shown_seed(found["sampling.seed"])
        found["seed_fixed"] = True
    return found


def defaults(record: ModelRecord | None) -> dict[str, Any]:
    """What a checkpoint wants of the fields that follow it; without one, what a family's would."""
    wanted = (record.defaults if record else CheckpointDefaults()).model_dump()
    return {name: wanted[name.rpartition(".")[2]] for name in FOLLOWING}


def following(current: Mapping[str, Any], before: ModelRecord | None, after: ModelRecord) -> dict[str, Any]:
    """New values for the fields that nobody touched: those that still hold what the checkpoint before wanted."""
    old = defaults(before) if before is not None else {}
    new = defaults(after)
    size_untouched = all(_same(current.get(side), old.get(side)) for side in ("width", "height"))
    changed = {}
    for name, value in new.items():
        untouched = size_untouched if name in ("width", "height") else _same(current.get(name), old.get(name))
        if (before is None or untouched) and not _same(current.get(name), value):
            changed[name] = value
    return changed


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)


def size_of(shape: str, record: ModelRecord | None) -> Size | None:
    """The size that a shape means on a checkpoint: one it was trained at, else one of its native area. None for custom."""
    if shape not in SHAPES:
        return None
    across, down = SHAPES[shape]
    native = native_size(record)
    for size in (native, *(record.sizes if record else ())):
        if Fraction(size.width, size.height) == Fraction(across, down):
            return size
    return size_for_aspect(native, across, down)


def shape_of(width: float, height: float, record: ModelRecord | None) -> str:
    """The shape that a size is on a checkpoint, or custom."""
    return next((shape for shape in SHAPES if size_of(shape, record) == (width, height)), CUSTOM)


def native_size(record: ModelRecord | None) -> Size:
    """What a checkpoint was made for."""
    wanted = record.defaults if record else CheckpointDefaults()
    return Size(wanted.width, wanted.height)
