"""Sizes in pixels: pure arithmetic."""

from typing import NamedTuple

MIN_SIDE = 64
MAX_SIDE = 4096
SIDE_MULTIPLE = 8  # the autoencoder's factor: one latent is 8 × 8 px


class Size(NamedTuple):
    """Width and height in px."""

    width: int
    height: int


def snap(side: float) -> int:
    """The nearest allowed side: a multiple of 8 within [64, 4096]."""
    return max(MIN_SIDE, min(MAX_SIDE, round(side / SIDE_MULTIPLE) * SIDE_MULTIPLE))


def size_for_aspect(native: Size, across: float, down: float) -> Size:
    """The size with aspect `across`:`down` and about the native area, both sides allowed.

    Side lengths follow from w · h = A and w / h = a: w = √(A · a), h = √(A / a).
    """
    area = native.width * native.height
    aspect = across / down
    return Size(snap((area * aspect) ** 0.5), snap((area / aspect) ** 0.5))
