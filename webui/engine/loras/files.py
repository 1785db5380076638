"""A LoRA file against the networks at hand: which tensors are for which weight, told from the header alone."""

import json
from collections.abc import Iterator, Mapping
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

from webui.core.errors import Unsupported
from webui.engine.loras.formats import Format, Shape, format_of, split
from webui.library.header import Header, read_header

PEFT_METADATA = "lora_adapter_metadata"  # where diffusers keeps peft's configuration, as JSON
DIFFERING = ("conv_in", "conv_out")  # have more channels in inpainting and instruct checkpoints
WIDTHS = {768: "sd15", 1024: "sd21", 2048: "sdxl"}  # of what the cross attention listens to
SIGNS = {  # a piece of a key that no other family's files have
    "lora_te2_": "sdxl",
    "text_encoder_2.": "sdxl",
    "double_blocks": "flux",
    "single_transformer_blocks": "flux",
    "joint_blocks": "sd3",
}
LABELS = {"sd15": "Stable Diffusion 1", "sd21": "Stable Diffusion 2", "sdxl": "SDXL", "flux": "FLUX", "sd3": "Stable Diffusion 3"}


class LoraFile(NamedTuple):
    """A LoRA to merge; `stamp` changes when the file does. The two weights are strengths, 1 as trained."""

    name: str
    path: Path
    stamp: tuple[int, int] = (0, 0)
    unet: float = 1.0
    text_encoder: float = 1.0
    rank: int | None = None  # keeps the first ranks only


class Target(NamedTuple):
    """One parameter of one component."""

    component: str
    module: str
    parameter: str  # "weight" or "bias"


class Layer(NamedTuple):
    """What a file adds to one target: the keys of its parts by role."""

    target: Target
    kind: Format
    keys: Mapping[str, str]
    alpha: float | None  # where the metadata has it and no tensor


class Reading(NamedTuple):
    """A file's layers, and a sentence about what of it was left out, if anything."""

    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()


class Networks(NamedTuple):
    """What there is to merge into: names by component (see `names.table`), and the shape of every target."""

    names: Mapping[str, Mapping[str, str]]
    shapes: Mapping[Target, Shape]


def family_of(header: Header) -> str | None:
    """The family that a LoRA was made for; None where its tensors do not say."""
    for key in header.tensors:
        for sign, family in SIGNS.items():
            if sign in key:
                return family
    for key, tensor in header.tensors.items():
        found = split(key)
        if found and found[2] == "down" and found[0].replace("_", ".").endswith("attn2.to.k"):
            return WIDTHS.get(tensor.shape[1] if len(tensor.shape) > 1 else 0)
    return None


def check_family(name: str, path: Path, family: str, label: str) -> None:
    """Raises `Unsupported` where a LoRA is for another family than the checkpoint `label`; `LoadFailed` for a broken file."""
    made_for = family_of(read_header(path))
    if made_for is not None and family in LABELS and made_for != family:
        raise Unsupported(
            f"The LoRA “{name}” was made for {LABELS[made_for]}, and “{label}” is {LABELS[family]}. "
            "Choose a checkpoint of its family, or leave it out.",
            field="loras",
        )


def read(file: LoraFile, networks: Networks, label: str) -> Reading:
    """Raises `Unsupported` where the file does not fit the checkpoint `label`; `LoadFailed` for a broken one."""
    header = read_header(file.path)
    grouped: dict[Target, dict[str, str]] = {}
    left: list[str] = []
    for key in header.tensors:
        found = split(key)
        target = _target(found[0], found[1], networks.names) if found else None
        if found is None or target is None:
            left.append(key)
        else:
            grouped.setdefault(target, {})[found[2]] = key
    layers = []
    for target, keys in grouped.items():
        kind = format_of(frozenset(keys))
        if kind is None or target not in networks.shapes:
            left.extend(keys.values())
        elif _fits(file, kind, header, keys, (target, networks.shapes[target], label)):
            layers.append(Layer(target, kind, keys, _alpha(header, target, keys)))
        else:
            left.extend(keys.values())
    if not layers:
        raise Unsupported(_nothing(file, header, label), field="loras")
    return Reading(tuple(layers), tuple(_told(file, header, left)))


def _target(called: str, parameter: str, names: Mapping[str, Mapping[str, str]]) -> Target | None:
    for component, table in names.items():
        if called in table:
            return Target(component, table[called], parameter)
    return None


def _fits(file: LoraFile, kind: Format, header: Header, keys: Mapping[str, str], place: tuple[Target, Shape, str]) -> bool:
    """False where only the number of the picture's channels differs. Raises `Unsupported` where anything else does."""
    target, shape, label = place
    if kind.fits({role: header.tensors[key].shape for role, key in keys.items()}, shape):
        return True
    if target.module in DIFFERING:
        return False
    made_for = family_of(header)
    why = f"It was made for {LABELS[made_for]}." if made_for else "It was made for another kind of checkpoint."
    wanted = " × ".join(map(str, shape))
    raise Unsupported(f"The LoRA “{file.name}” does not fit “{label}”: its {target.module} is no {wanted}. {why}", field="loras")


def _nothing(file: LoraFile, header: Header, label: str) -> str:
    made_for = family_of(header)
    if made_for:
        why = f"It was made for {LABELS[made_for]}."
    else:
        why = f"None of its {len(header.tensors)} tensors is known here (the first is called {next(iter(header.tensors), 'nothing')[:80]})."
    return f"The LoRA “{file.name}” does not fit “{label}”. {why}"


def _told(file: LoraFile, header: Header, left: list[str]) -> Iterator[str]:
    if left:
        yield f"{file.name}: {len(left)} of {len(header.tensors)} tensors are for nothing here, such as {left[0][:80]}."


def _alpha(header: Header, target: Target, keys: Mapping[str, str]) -> float | None:
    """peft's, which stands in the metadata: for the module by itself, or for its component."""
    said = header.metadata.get(PEFT_METADATA)
    if said is None or "alpha" in keys or "down" not in keys:
        return None
    try:
        settings = json.loads(said)
    except (ValueError, RecursionError):
        return None
    if not isinstance(settings, dict):
        return None
    alpha = _of_module(settings.get(f"{target.component}.alpha_pattern"), target.module, settings.get(f"{target.component}.lora_alpha"))
    if not isinstance(alpha, int | float):
        return None
    rank = header.tensors[keys["down"]].shape[0]
    return float(alpha) * (sqrt(rank) if settings.get(f"{target.component}.use_rslora") is True else 1.0)


def _of_module(pattern: Any, module: str, otherwise: Any) -> Any:
    """peft's rule: a pattern is the end of a module's name, from a point on."""
    if isinstance(pattern, dict):
        for end, value in pattern.items():
            if module == end or module.endswith(f".{end}"):
                return value
    return otherwise
