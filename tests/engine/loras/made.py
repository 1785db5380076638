"""Small LoRA files of every format, with the delta that each means computed here by its formula, element by element where it matters."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

RANK = 4


class Made(NamedTuple):
    """Parts of one module by the end of their keys, and what they add to its weight."""

    parts: dict[str, Tensor]
    delta: Tensor


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.3


def by_hand(up: Tensor, down: Tensor) -> Tensor:
    """Σ over the rank, one product at a time."""
    return sum(up[:, r, None] * down[None, r, :] for r in range(down.shape[0]))  # type: ignore[return-value]


def lora(weight: Tensor, rank: int = RANK) -> Made:
    up = noise(weight.shape[0], rank, *[1] * (weight.ndim - 2))
    down = noise(rank, *weight.shape[1:], seed=1)
    made = by_hand(up.flatten(1), down.flatten(1)).reshape(weight.shape) * (2.0 / rank)
    return Made({".lora_up.weight": up, ".lora_down.weight": down, ".alpha": torch.tensor(2.0)}, made)


def without_alpha(weight: Tensor) -> Made:
    parts, delta = lora(weight)
    del parts[".alpha"]
    return Made(parts, delta * RANK / 2)


def tucker(weight: Tensor) -> Made:
    out, inside, height, width = weight.shape
    up, down, mid = noise(out, RANK, 1, 1), noise(RANK, inside, 1, 1, seed=1), noise(RANK, RANK, height, width, seed=2)
    made = torch.zeros_like(weight)
    for i in range(RANK):
        for j in range(RANK):
            made += up[:, i][:, :, :, None].reshape(out, 1, 1, 1) * down[j].reshape(1, inside, 1, 1) * mid[i, j]
    return Made({".lora_up.weight": up, ".lora_down.weight": down, ".lora_mid.weight": mid, ".alpha": torch.tensor(1.0)}, made / RANK)


def loha(weight: Tensor) -> Made:
    rows, columns = weight.shape[0], weight.flatten(1).shape[1]
    w1_a, w1_b, w2_a, w2_b = noise(rows, RANK), noise(RANK, columns, seed=1), noise(rows, RANK, seed=2), noise(RANK, columns, seed=3)
    made = (by_hand(w1_a, w1_b) * by_hand(w2_a, w2_b)).reshape(weight.shape) * (3.0 / RANK)
    parts = {".hada_w1_a": w1_a, ".hada_w1_b": w1_b, ".hada_w2_a": w2_a, ".hada_w2_b": w2_b, ".alpha": torch.tensor(3.0)}
    return Made(parts, made)


def loha_tucker(weight: Tensor) -> Made:
    out, inside, height, width = weight.shape
    parts = {".alpha": torch.tensor(3.0)}
    sides = []
    for number in (1, 2):
        core, rows, columns = (
            noise(RANK, RANK, height, width, seed=number),
            noise(RANK, out, seed=number),
            noise(RANK, inside, seed=number + 5),
        )
        parts |= {f".hada_t{number}": core, f".hada_w{number}_a": rows, f".hada_w{number}_b": columns}
        side = torch.zeros_like(weight)
        for i in range(RANK):
            for j in range(RANK):
                side += rows[i].reshape(out, 1, 1, 1) * columns[j].reshape(1, inside, 1, 1) * core[i, j]
        sides.append(side)
    return Made(parts, sides[0] * sides[1] * (3.0 / RANK))


def kron_by_hand(outer: Tensor, inner: Tensor, shape: torch.Size) -> Tensor:
    """outer: a × b, inner: c × d (× kernel) → a·c × b·d (× kernel)"""
    made = torch.zeros(shape)
    rows, columns = inner.shape[:2]
    for i in range(outer.shape[0]):
        for j in range(outer.shape[1]):
            made[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns] = outer[i, j] * inner
    return made


def lokr(weight: Tensor) -> Made:
    outer, inner = noise(2, 4), noise(weight.shape[0] // 2, weight.shape[1] // 4, *weight.shape[2:], seed=1)
    parts = {".lokr_w1": outer, ".lokr_w2": inner, ".alpha": torch.tensor(7.0)}  # says nothing of two whole matrices
    return Made(parts, kron_by_hand(outer, inner, weight.shape))


def lokr_low_rank(weight: Tensor) -> Made:
    outer = noise(2, 4)
    rows, columns = noise(weight.shape[0] // 2, RANK), noise(RANK, weight.flatten(1).shape[1] // 4, seed=1)
    inner = by_hand(rows, columns).reshape(weight.shape[0] // 2, weight.shape[1] // 4, *weight.shape[2:])
    parts = {".lokr_w1": outer, ".lokr_w2_a": rows, ".lokr_w2_b": columns, ".alpha": torch.tensor(2.0)}
    return Made(parts, kron_by_hand(outer, inner, weight.shape) * (2.0 / RANK))


def lokr_both(weight: Tensor) -> Made:
    parts, _ = lokr_low_rank(weight)
    w1_a, w1_b = noise(2, RANK), noise(RANK, 4, seed=1)
    del parts[".lokr_w1"]
    inner = by_hand(parts[".lokr_w2_a"], parts[".lokr_w2_b"]).reshape(weight.shape[0] // 2, weight.shape[1] // 4, *weight.shape[2:])
    made = kron_by_hand(by_hand(w1_a, w1_b), inner, weight.shape) * (2.0 / RANK)
    return Made(parts | {".lokr_w1_a": w1_a, ".lokr_w1_b": w1_b}, made)


def ia3_out(weight: Tensor) -> Made:
    factor = noise(weight.shape[0])
    made = torch.stack([row * scale for row, scale in zip(weight, factor, strict=True)])
    return Made({".weight": factor, ".on_input": torch.tensor(False)}, made)


def ia3_in(weight: Tensor) -> Made:
    factor = noise(weight.shape[1])
    made = torch.stack([weight[:, i] * factor[i] for i in range(weight.shape[1])], 1)
    return Made({".weight": factor.reshape(1, -1, *[1] * (weight.ndim - 2)), ".on_input": torch.tensor(True)}, made)


def full(weight: Tensor) -> Made:
    diff = noise(*weight.shape)
    return Made({".diff": diff}, diff)


def oft(weight: Tensor) -> Made:
    """Each block of rows is turned by the transpose of Cayley's rotation; alpha × rows holds the norm down."""
    count = 4
    size = weight.shape[0] // count
    blocks = noise(count, size, size)
    skew = blocks - blocks.transpose(1, 2)
    most = 0.02 * weight.shape[0]
    assert skew.norm() > most
    skew = skew * most / skew.norm()
    done = weight.clone()
    for block in range(count):
        turn = (torch.eye(size) + skew[block]) @ torch.inverse(torch.eye(size) - skew[block])
        rows = slice(block * size, (block + 1) * size)
        done[rows] = (turn.T @ weight[rows].flatten(1)).reshape(weight[rows].shape)
    return Made({".oft_blocks": blocks, ".alpha": torch.tensor(0.02)}, done - weight)


def oft_rescaled(weight: Tensor) -> Made:
    parts, turned = oft(weight)
    rescale = 1 + noise(weight.shape[0], *[1] * (weight.ndim - 1))
    return Made(parts | {".rescale": rescale}, (weight + turned) * rescale - weight)


def dora_rows(weight: Tensor) -> Made:
    parts, delta = lora(weight)
    whole = weight + delta
    magnitude = 1 + noise(weight.shape[0]).abs()
    made = torch.stack([row * size / row.norm() for row, size in zip(whole, magnitude, strict=True)])
    return Made(parts | {".dora_scale": magnitude.reshape(-1, *[1] * (weight.ndim - 1))}, made - weight)


def dora_columns(weight: Tensor) -> Made:
    parts, delta = loha(weight)
    whole = weight + delta
    magnitude = 1 + noise(weight.shape[1]).abs()
    made = torch.stack([whole[:, i] * magnitude[i] / whole[:, i].norm() for i in range(weight.shape[1])], 1)
    return Made(parts | {".dora_scale": magnitude.reshape(1, -1, *[1] * (weight.ndim - 2))}, made - weight)


LINEAR: tuple[Callable[[Tensor], Made], ...] = (
    lora,
    without_alpha,
    loha,
    lokr,
    lokr_low_rank,
    lokr_both,
    ia3_out,
    ia3_in,
    full,
    oft,
    oft_rescaled,
    dora_rows,
    dora_columns,
)
CONVOLUTION = (*LINEAR, tucker, loha_tucker)


def flat(prefix: str, module: str) -> str:
    """Kohya's name: lora_unet_down_blocks_0_…"""
    return prefix + module.replace(".", "_")


def keys(name: str, weight: Tensor, make: Callable[[Tensor], Made] = lora) -> dict[str, Tensor]:
    """The parts for one module under the file's name for it."""
    return {name + end: part for end, part in make(weight.detach()).parts.items()}


def write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, metadata)
    return path


def kohya(path: Path, weights: dict[str, Tensor], prefix: str = "lora_unet_", make: Callable[[Tensor], Made] = lora) -> Path:
    """A file for these modules: name → weight as in the checkpoint."""
    return write(path, {flat(prefix, name) + end: part for name, weight in weights.items() for end, part in make(weight).parts.items()})
