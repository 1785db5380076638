"""A LoRA's header: which layers it changes, with which ranks, and what its trainer wrote down."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from webui.core.records import LoraFacts
from webui.library.header import Header
from webui.library.signs import Shape
from webui.library.text import line

MAX_TAGS = 50
MAX_TRIGGERS = 12
MAX_WORD = 100  # characters
MAX_NAME = 500  # characters of a tensor's name
MAX_METADATA = 4_000_000  # characters of one value that are parsed; a large training set's tags take some hundred thousand
GENERIC_ALIASES = ("none", "addams")  # as A1111: what trainers write when they were not told a name
_PREFIX = re.compile(r"^base_model\.model\.")
_PART = re.compile(
    r"\.(?P<part>"
    r"lora_(?:up|down|mid)\.weight|lora_[AB]\.(?:\w+\.)?(?:weight|bias)|lora\.(?:up|down)\.weight|lora_linear_layer\.(?:up|down)\.weight|"
    r"hada_[wt]\d(?:_[ab])?|lokr_[wt]\d(?:_[ab])?|oft_blocks|oft_diag|oft_R\.weight|rescale|on_input|[ab][12]\.weight|"
    r"diff(?:_b)?|[wb]_norm|dora_scale|lora_magnitude_vector(?:\.\w+)*|alpha|scalar|weight|bias"
    r")$"
    r"|(?P<lora>_lora\d?)\.(?P<side>up|down)\.weight$"
)
_FOLDER = re.compile(r"^\d+_")  # kohya's folders: how often a picture is shown, then its words
_TEXT_ENCODER = re.compile(r"^(lora_te\d?_|text_encoder(_\d)?_|oft_te\d?_|lycoris_te\d?_|te\d?_)")
_HASH = re.compile(r"[0-9a-f]{64}")


class Module(NamedTuple):
    """One layer that is changed. `shape` is (out, in) of the layer, as far as the header tells; convolutions without their kernel."""

    name: str  # with "_" for ".": kohya's and diffusers' names then agree but for the prefix
    shape: Shape
    rank: int | None


def modules_of(header: Header) -> Iterator[Module]:
    """Every layer that the file changes."""
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, tensor in header.tensors.items():
        module, part = _split(name)
        if part:
            parts.setdefault(module, {})[part] = tensor.shape
    for module, shapes in parts.items():
        if not shapes.keys() <= {"alpha", "scalar", "bias"}:
            out, into, rank = _measured(shapes)
            yield Module(module.replace(".", "_"), (out, into), rank)


@lru_cache(maxsize=50_000)  # names recur from file to file
def _split(name: str) -> tuple[str, str]:
    """(module, part), the part under one name for all layouts; an empty part where it is none of a LoRA."""
    name = _PREFIX.sub("", name)
    found = _PART.search(name) if len(name) <= MAX_NAME else None
    if found is None:
        return name, ""
    if found["lora"]:
        number = found["lora"] if found["lora"] != "_lora" else ""
        return name[: found.start()] + number, found["side"]
    part = found["part"]
    if part.startswith("lora_magnitude_vector"):
        return name[: found.start()], "dora_scale"
    if part.startswith("lora_A"):
        return name[: found.start()], "down" if part.endswith("weight") else "bias"
    if part.startswith("lora_B"):
        return name[: found.start()], "up" if part.endswith("weight") else "bias"
    for side in ("up", "down"):
        if part in (f"lora_{side}.weight", f"lora.{side}.weight", f"lora_linear_layer.{side}.weight"):
            return name[: found.start()], side
    return name[: found.start()], part


def _measured(parts: Mapping[str, tuple[int, ...]]) -> tuple[int | None, int | None, int | None]:
    """(out, in, rank) of a layer from the shapes of what changes it; LyCORIS' papers have the formulas (arXiv 2309.14859)."""
    if "down" in parts:  # W + up · down
        return _at(parts, "up", 0), _at(parts, "down", 1), _at(parts, "down", 0)
    if "hada_w1_a" in parts:  # W + (w1_a · w1_b) ∘ (w2_a · w2_b); with a core t1 the first factor lies the other way round
        core = "hada_t1" in parts
        return _at(parts, "hada_w1_a", 1 if core else 0), _at(parts, "hada_w1_b", 1), _at(parts, "hada_w1_b", 0)
    if any(part.startswith("lokr_w") for part in parts):  # W + w1 ⊗ w2, either of which may be a product of low rank
        outs, ins = zip(*(_factor(parts, f"lokr_w{number}", f"lokr_t{number}") for number in (1, 2)), strict=True)
        rank = _at(parts, "lokr_w2_b", 0) or _at(parts, "lokr_w1_b", 0)
        return _product(outs), _product(ins), rank
    if "b2.weight" in parts:  # W + b1 · b2 + W · a1 · a2
        return _at(parts, "b1.weight", 0), _at(parts, "b2.weight", 1), _at(parts, "b2.weight", 0)
    for whole in ("diff", "weight"):
        if whole in parts and len(parts[whole]) >= 2 and "on_input" not in parts:
            return parts[whole][0], parts[whole][1], None
    return None, None, None


def _factor(parts: Mapping[str, tuple[int, ...]], name: str, core: str) -> tuple[int | None, int | None]:
    if name in parts:
        return _at(parts, name, 0), _at(parts, name, 1)
    return _at(parts, f"{name}_a", 1 if core in parts else 0), _at(parts, f"{name}_b", 1)


def _at(parts: Mapping[str, tuple[int, ...]], part: str, side: int) -> int | None:
    shape = parts.get(part, ())
    return shape[side] if side < len(shape) else None


def _product(sides: tuple[int | None, ...]) -> int | None:
    known = [side for side in sides if side is not None]
    return math.prod(known) if len(known) == len(sides) else None


def facts(header: Header) -> LoraFacts:
    """All that the header and its metadata tell. Metadata that makes no sense is passed over."""
    modules = list(modules_of(header))
    texts = sum(_TEXT_ENCODER.match(module.name) is not None for module in modules)
    metadata = header.metadata
    return LoraFacts(
        ranks=tuple(sorted({module.rank for module in modules if module.rank is not None})),
        alpha=_number(metadata.get("ss_network_alpha", "")),
        modules=len(modules),
        denoiser=texts < len(modules),
        text_encoder=texts > 0,
        dora=any(name.endswith(".dora_scale") or ".lora_magnitude_vector" in name for name in header.tensors),
        alias=_alias(metadata),
        triggers=_triggers(metadata),
        tags=_tags(metadata),
        hash=found[0] if (found := _HASH.fullmatch(metadata.get("sshs_model_hash", "").removeprefix("0x"))) else "",
    )


def trained_as(variant: str, metadata: Mapping[str, str]) -> str:
    """DyLoRA's files have the shape of any LoRA; only the trainer's name for the method tells them apart."""
    method = f"{metadata.get('ss_network_module', '')[:100]} {_json(metadata, 'ss_network_args').get('algo', '')}".lower()
    return "DyLoRA" if variant == "kohya" and "dylora" in method else variant


def _alias(metadata: Mapping[str, str]) -> str:
    name = line(metadata.get("ss_output_name", ""), MAX_WORD)
    return "" if name.casefold() in GENERIC_ALIASES else name


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _json(metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    text = metadata.get(key, "")
    if not text.startswith("{") or len(text) > MAX_METADATA:
        return {}
    try:
        made = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}


def _tags(metadata: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    for tags in _json(metadata, "ss_tag_frequency").values():
        if isinstance(tags, dict):
            for tag, count in tags.items():
                if type(count) is int and 0 < count < 2**31:
                    counts[tag[:MAX_WORD].strip()] += count
    found = ((line(tag, MAX_WORD), count) for tag, count in counts.most_common(2 * MAX_TAGS))
    return tuple((tag, count) for tag, count in found if tag)[:MAX_TAGS]


def _triggers(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What its maker says the trigger is; else the words in the names of kohya's training folders (“10_sks dog”)."""
    said = metadata.get("modelspec.trigger_phrase", "")
    if said.strip():
        words = [word for word in re.split(r"[,\n;]", said[:2000]) if word.strip()]
    else:
        folders = list(_json(metadata, "ss_dataset_dirs")) or list(_json(metadata, "ss_tag_frequency"))
        words = [_FOLDER.sub("", folder[:200]) for folder in folders if _FOLDER.match(folder)]
    found = dict.fromkeys(line(word, MAX_WORD) for word in words[: 4 * MAX_TRIGGERS])
    return tuple(word for word in found if word)[:MAX_TRIGGERS]
