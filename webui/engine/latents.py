"""First noise and finished pictures: tensors in, tensors out."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

FACTOR = 8  # px of a latent's side


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One for each picture, on the CPU whatever the device, so that a seed means the same everywhere."""
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def first_noise(sources: Sequence[torch.Generator], channels: int, width: int, height: int) -> Tensor:
    """Noise of variance 1, shape pictures, channels, height / 8, width / 8; each picture's from its own generator."""
    shape = (channels, height // FACTOR, width // FACTOR)
    return torch.stack([torch.randn(shape, generator=source) for source in sources])


def to_images(pixels: Tensor) -> list[Image.Image]:
    """From −1 … 1, shape pictures, 3, height, width."""
    levels = ((pixels.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return [Image.fromarray(picture.numpy()) for picture in levels.permute(0, 2, 3, 1).contiguous().cpu()]
