"""The formulas of LoRA and its relatives: from the parts that a file holds to what is added to a weight.

LoRA: Hu et al., arXiv 2106.09685, eq. 3. LoCon, LoHa, LoKr, IA3, DyLoRA, full: Yeh et al., arXiv 2309.14859 (LyCORIS), sec. 3.
OFT: Qiu et al., arXiv 2306.07280, eq. 5, with kohya-ss/sd-scripts' constraint. DoRA: Liu et al., arXiv 2402.09353, eq. 5.
"""

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

Parts = Mapping[str, Tensor]  # role → tensor, in fp32
Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

WEIGHT, BIAS = "weight", "bias"
ENDINGS: Mapping[str, tuple[str, str]] = {  # end of a key → (the parameter it is for, its role)
    ".lora_down.weight": (WEIGHT, "down"),
    ".lora_up.weight": (WEIGHT, "up"),
    ".lora_mid.weight": (WEIGHT, "mid"),
    ".lora_A.weight": (WEIGHT, "down"),
    ".lora_B.weight": (WEIGHT, "up"),
    ".lora_A.default.weight": (WEIGHT, "down"),
    ".lora_B.default.weight": (WEIGHT, "up"),
    ".lora.down.weight": (WEIGHT, "down"),
    ".lora.up.weight": (WEIGHT, "up"),
    ".lora_linear_layer.down.weight": (WEIGHT, "down"),
    ".lora_linear_layer.up.weight": (WEIGHT, "up"),
    ".down.weight": (WEIGHT, "down"),
    ".up.weight": (WEIGHT, "up"),
    ".alpha": (WEIGHT, "alpha"),
    ".dora_scale": (WEIGHT, "magnitude"),
    ".lora_magnitude_vector": (WEIGHT, "magnitude"),
    ".lora_magnitude_vector.weight": (WEIGHT, "magnitude"),
    **{f".hada_{part}": (WEIGHT, part) for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{part}": (WEIGHT, f"k{part}") for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    ".weight": (WEIGHT, "scale"),
    ".on_input": (WEIGHT, "on_input"),
    ".diff": (WEIGHT, "diff"),
    ".diff_b": (BIAS, "diff"),
    ".w_norm": (WEIGHT, "diff"),
    ".b_norm": (BIAS, "diff"),
    ".oft_blocks": (WEIGHT, "blocks"),
    ".rescale": (WEIGHT, "rescale"),
}
_LONGEST_FIRST = sorted(ENDINGS, key=len, reverse=True)


class Format(NamedTuple):
    """`needs` are the roles that tell it; `fits` compares shapes, `delta` gives what is added to a weight at strength 1."""

    label: str
    needs: frozenset[str]
    fits: Callable[[Shapes, Shape], bool]
    delta: Callable[[Parts, Tensor, int | None], Tensor]


def split(key: str) -> tuple[str, str, str] | None:
    """(module as the file calls it, parameter, role); None for a key of no known format."""
    for ending in _LONGEST_FIRST:
        if key.endswith(ending):
            return key.removesuffix(ending), *ENDINGS[ending]
    return None


def format_of(roles: frozenset[str]) -> Format | None:
    return next((kind for kind in FORMATS if kind.needs <= roles), None)


def delta(kind: Format, parts: Parts, weight: Tensor, rank: int | None) -> Tensor:
    """What is added at strength 1 to `weight` (fp32, as in the checkpoint); of its shape. `rank` keeps the first ranks only."""
    made = kind.delta(parts, weight, rank).reshape(weight.shape)
    return _decomposed(weight, made, parts["magnitude"]) if "magnitude" in parts else made


def _matches(rows: int, columns: int, weight: Shape) -> bool:
    return (rows, columns) == (weight[0], prod(weight[1:]))


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(tensor.shape[0], -1)


def _scale(parts: Parts, rank: int) -> float:
    return float(parts["alpha"]) / rank if "alpha" in parts else 1.0


def _tucker(core: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """core: ranks, ranks, … ; rows: rank, out; columns: rank, in → out, in, …"""
    return torch.einsum("ij...,ip,jr->pr...", core, rows, columns)


# --- LoRA, LoCon, DyLoRA ---


def _lora_fits(shapes: Shapes, weight: Shape) -> bool:
    up, down = shapes["up"], shapes["down"]
    mid = shapes.get("mid")
    inside = up[1:2] == down[:1] if mid is None else (up[1], down[0]) == mid[:2]
    return inside and _matches(up[0], prod(down[1:]) * prod(mid[2:] if mid else ()), weight)


def _lora(parts: Parts, weight: Tensor, rank: int | None) -> Tensor:
    up, down = _flat(parts["up"]), _flat(parts["down"])
    scale = _scale(parts, down.shape[0])
    if "mid" in parts:
        return _tucker(parts["mid"], up.T, down) * scale
    return up[:, :rank] @ down[:rank] * scale


# --- LoHa: the product, element by element, of two of them ---


def _loha_fits(shapes: Shapes, weight: Shape) -> bool:
    rows, columns = shapes["w1_a"], shapes["w1_b"]
    if shapes["w2_a"][0] != rows[0] or shapes["w2_b"][1:] != columns[1:]:
        return False
    if "t1" in shapes:
        return "t2" in shapes and _matches(rows[1], columns[1] * prod(shapes["t1"][2:]), weight)
    return _matches(rows[0], prod(columns[1:]), weight)


def _loha(parts: Parts, weight: Tensor, rank: int | None) -> Tensor:
    scale = _scale(parts, parts["w1_b"].shape[0])
    if "t1" in parts:
        return _tucker(parts["t1"], parts["w1_a"], parts["w1_b"]) * _tucker(parts["t2"], parts["w2_a"], parts["w2_b"]) * scale
    return (parts["w1_a"] @ _flat(parts["w1_b"])) * (parts["w2_a"] @ _flat(parts["w2_b"])) * scale


# --- LoKr: the Kronecker product of two matrices, each whole or a product itself ---


def _lokr_fits(shapes: Shapes, weight: Shape) -> bool:
    sides = []
    for side in ("kw1", "kw2"):
        if side in shapes:
            sides.append((shapes[side][0], prod(shapes[side][1:])))
            continue
        rows, columns = shapes.get(f"{side}_a"), shapes.get(f"{side}_b")
        if rows is None or columns is None:
            return False
        core = shapes.get("kt2") if side == "kw2" else None
        sides.append((rows[1], columns[1] * prod(core[2:])) if core else (rows[0], prod(columns[1:])))
    (rows1, columns1), (rows2, columns2) = sides
    return _matches(rows1 * rows2, columns1 * columns2, weight)


def _lokr(parts: Parts, weight: Tensor, rank: int | None) -> Tensor:
    outer = parts["kw1"] if "kw1" in parts else parts["kw1_a"] @ parts["kw1_b"]
    if "kw2" in parts:
        inner = parts["kw2"]
    elif "kt2" in parts:
        inner = _tucker(parts["kt2"], parts["kw2_a"], parts["kw2_b"])
    else:
        inner = parts["kw2_a"] @ _flat(parts["kw2_b"])
    divided = next((parts[name] for name in ("kw1_b", "kw2_b") if name in parts), None)
    scale = 1.0 if divided is None else _scale(parts, divided.shape[0])  # of two whole matrices alpha says nothing
    return torch.kron(_flat(outer), _flat(inner)) * scale


# --- those that scale, turn or replace ---


def _ia3_fits(shapes: Shapes, weight: Shape) -> bool:
    return len(weight) > 1 and prod(shapes["scale"]) in weight[:2]


def _ia3(parts: Parts, weight: Tensor, rank: int | None) -> Tensor:
    along = 1 if bool(parts["on_input"].flatten()[0]) else 0
    return weight * parts["scale"].reshape([-1 if side == along else 1 for side in range(weight.ndim)])


def _full_fits(shapes: Shapes, weight: Shape) -> bool:
    return shapes["diff"][0] == weight[0] and prod(shapes["diff"]) == prod(weight)


def _full(parts: Parts, weight: Tensor, rank: int | None) -> Tensor:
    return parts["diff"]


def _oft_fits(shapes: Shapes, weight: Shape) -> bool:
    blocks = shapes["blocks"]
    return len(blocks) == 3 and blocks[1] == blocks[2] and blocks[0] * blocks[1] == weight[0]


def _oft(parts: Parts, weight: Tensor, rank: int | None) -> Tensor:
    """Turns the rows block by block: Rᵀ W with R = (I + Q)(I − Q)⁻¹ (Cayley). ‖Q‖ is held below alpha · rows where alpha > 0."""
    blocks = parts["blocks"]
    skew = blocks - blocks.transpose(1, 2)
    most = float(parts.get("alpha", torch.zeros(()))) * weight.shape[0]
    norm = float(skew.norm())
    if 0 < most < norm:
        skew = skew * (most / norm)
    unit = torch.eye(blocks.shape[1], device=blocks.device)
    turned = torch.linalg.solve(unit - skew, unit + skew, left=False)
    rows = weight.reshape(blocks.shape[0], blocks.shape[1], -1)
    done = torch.einsum("knm,kn...->km...", turned, rows).reshape(weight.shape)
    if "rescale" in parts:
        done = done * parts["rescale"].reshape(-1, *[1] * (weight.ndim - 1))
    return done - weight


FORMATS = (
    Format("LoRA", frozenset(("up", "down")), _lora_fits, _lora),
    Format("LoHa", frozenset(("w1_a", "w1_b", "w2_a", "w2_b")), _loha_fits, _loha),
    Format("LoKr", frozenset(("kw1",)), _lokr_fits, _lokr),
    Format("LoKr", frozenset(("kw1_a", "kw1_b")), _lokr_fits, _lokr),
    Format("IA3", frozenset(("scale", "on_input")), _ia3_fits, _ia3),
    Format("full", frozenset(("diff",)), _full_fits, _full),
    Format("OFT", frozenset(("blocks",)), _oft_fits, _oft),
)


def _decomposed(weight: Tensor, made: Tensor, magnitude: Tensor) -> Tensor:
    """DoRA: the direction of weight + made at a magnitude of its own, for each row, or each column where a file has it so."""
    whole = weight + made
    rows = magnitude.ndim == 1 or magnitude.shape[0] == weight.shape[0]
    kept = 0 if rows else 1
    others = [side for side in range(weight.ndim) if side != kept]
    norm: Tensor = torch.linalg.vector_norm(whole, dim=others, keepdim=True) + torch.finfo(whole.dtype).eps
    return whole * (magnitude.reshape(norm.shape) / norm) - weight
