"""What LoRA files call a network's modules, as a table made from the modules' own names. No torch.

Sources of the layouts: kohya-ss/sd-scripts `networks/lora.py`, KohakuBlueleaf/LyCORIS, diffusers `utils/state_dict_utils.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple


class Naming(NamedTuple):
    """How files call one component of a pipeline. A new family adds rows of these."""

    component: str  # the pipeline's attribute
    weight: str  # the field of `LoraUse` that says how strongly
    flat: tuple[str, ...]  # before names in which "_" stands for "."
    dotted: tuple[str, ...]  # before names as they are
    below: tuple[str, ...] = ("",)  # what may stand between the two: older versions of a library had a level more


UNET = Naming(
    "unet",
    "unet",
    ("lora_unet_", "oft_unet_", "lycoris_"),
    ("unet.", "diffusion_model.", "base_model.model.unet.", "base_model.model.", ""),
)
TEXT_ENCODER = Naming(
    "text_encoder",
    "text_encoder",
    ("lora_te_", "lora_te1_"),
    ("text_encoder.", "base_model.model.text_encoder."),
    ("", "text_model."),
)
STABLE_DIFFUSION = (UNET, TEXT_ENCODER)

PROCESSORS = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out.0": "to_out"}  # diffusers before 0.18: attn.processor.to_q_lora
PROJECTIONS = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}  # the same for text encoders

# Stable Diffusion's own names, which SDXL's LoRAs use
OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def table(modules: Iterable[str], naming: Naming) -> dict[str, str]:
    """Every name that a file may use → the module's own name."""
    modules = tuple(modules)
    original = dict(_original(modules))
    found: dict[str, str] = {}
    for module in modules:
        called = [f"{between}{module}" for between in naming.below]
        if module in original:
            called.append(original[module])
        for name in called:
            for prefix in naming.flat:
                found[prefix + name.replace(".", "_")] = module
            for prefix in naming.dotted:
                found[prefix + name] = module
        for prefix in naming.dotted:
            for name in _of_processors(module, naming.below):
                found[prefix + name] = module
    return found


def _of_processors(module: str, below: Iterable[str]) -> Iterator[str]:
    """`attn1.to_out.0` was `attn1.processor.to_out_lora`, `self_attn.q_proj` was `self_attn.to_q_lora`."""
    for end, called in PROCESSORS.items():
        if module.endswith(f".{end}"):
            yield f"{module.removesuffix(end)}processor.{called}_lora"
    for end, called in PROJECTIONS.items():
        if module.endswith(f".{end}"):
            yield from (f"{between}{module.removesuffix(end)}{called}_lora" for between in below)


def _original(modules: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Modules of a diffusers UNet and what the original Stable Diffusion calls them; nothing for other networks."""
    if "conv_in" not in modules:
        return
    starts = _starts(modules)
    for module in modules:
        if module in OUTSIDE:
            yield module, OUTSIDE[module]
            continue
        side, *rest = module.split(".")
        if side == "mid_block":
            kind, number, *inner = rest
            place = "1" if kind == "attentions" else str(2 * int(number))
            yield module, ".".join(("middle_block", place, _inner(kind, inner)))
        elif side in ("down_blocks", "up_blocks"):
            block, kind, number, *inner = rest
            start = starts[side, block]
            yield module, ".".join((*_place(side, kind, int(number), start), _inner(kind, inner)))


class _Start(NamedTuple):
    """Where a block begins in the original's numbering."""

    first: int
    resnets: int
    attention: bool


def _starts(modules: Iterable[str]) -> Mapping[tuple[str, str], _Start]:
    counts: dict[tuple[str, str], dict[str, set[str]]] = {}
    for module in modules:
        parts = module.split(".")
        if parts[0] in ("down_blocks", "up_blocks"):
            counts.setdefault((parts[0], parts[1]), {}).setdefault(parts[2], set()).add(parts[3])
    made = {}
    first = {"down_blocks": 1, "up_blocks": 0}
    for (side, block), kinds in sorted(counts.items(), key=lambda item: (item[0][0], int(item[0][1]))):
        resnets = len(kinds["resnets"])
        made[side, block] = _Start(first[side], resnets, "attentions" in kinds)
        first[side] += resnets + (1 if side == "down_blocks" and "downsamplers" in kinds else 0)
    return made


def _place(side: str, kind: str, number: int, start: _Start) -> tuple[str, str, str]:
    """(input_blocks or output_blocks, block, which of its parts)."""
    if kind == "downsamplers":
        return "input_blocks", str(start.first + start.resnets), "0"
    if kind == "upsamplers":
        return "output_blocks", str(start.first + start.resnets - 1), "2" if start.attention else "1"
    blocks = "input_blocks" if side == "down_blocks" else "output_blocks"
    return blocks, str(start.first + number), "1" if kind == "attentions" else "0"


def _inner(kind: str, parts: list[str]) -> str:
    if kind == "resnets":
        parts = [RESNET[parts[0]], *parts[1:]]
    elif kind == "downsamplers":
        parts = ["op" if part == "conv" else part for part in parts]
    return ".".join(parts)
