import io

import pytest
import torch
from PIL import Image

from webui.core.records import LatentRgb
from webui.engine.preview import MAX_BYTES, STANDARD, linear, webp


def test_a_linear_map_is_applied_to_every_latent():
    rgb = LatentRgb(weights=((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)), bias=(0.0, 0.5, 1.0))
    clean = torch.zeros(4, 2, 3)
    clean[0, 0, 1] = 1.0
    image = linear(clean, rgb)
    assert image.size == (3, 2)
    assert image.getpixel((0, 0)) == (0, 128, 255)
    assert image.getpixel((1, 0)) == (255, 128, 255)


def test_numbers_that_are_none_do_not_break_it():
    assert linear(torch.full((4, 2, 2), float("nan")), STANDARD).getpixel((0, 0)) == (128, 128, 128)
    assert linear(torch.full((4, 2, 2), float("inf")), STANDARD).size == (2, 2)


@pytest.mark.parametrize("side", [8, 64, 128])
def test_the_hardest_picture_stays_small(side):
    noise = torch.rand(side, side, 3, generator=torch.Generator().manual_seed(0))
    data = webp(Image.fromarray((noise * 255).byte().numpy()))
    assert len(data) <= (MAX_BYTES if side < 128 else 3 * MAX_BYTES)
    assert Image.open(io.BytesIO(data)).size == (side, side)
