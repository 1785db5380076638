import pytest
import torch

from webui.engine.latents import first_noise, generators, to_images


def test_noise_comes_from_each_pictures_own_seed():
    three = first_noise(generators([5, 6, 7]), 4, 64, 128)
    assert three.shape == (3, 4, 16, 8)
    assert torch.equal(three[1:2], first_noise(generators([6]), 4, 64, 128))


def test_noise_is_torchs_on_the_cpu():
    """Stored pictures are made again from these numbers, so they may not change with a version of torch."""
    noise = first_noise(generators([42]), 4, 512, 512)
    assert noise.flatten()[:4].tolist() == pytest.approx([1.9269153, 1.4872841, 0.9007172, -2.1055214])


def test_pixels():
    pixels = torch.zeros(2, 3, 1, 2)
    pixels[0, 0], pixels[0, 1], pixels[1] = -1.5, 1.5, 1 / 255
    first, second = to_images(pixels)
    assert first.getpixel((0, 0)) == (0, 255, 128)
    assert second.size == (2, 1)
