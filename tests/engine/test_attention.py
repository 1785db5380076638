import copy

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tests.engine import tiny
from webui.engine.attention import TiledAttention, tiled


@pytest.mark.parametrize(("tokens", "keys", "size"), [(64, 64, 16), (513, 513, 40), (1200, 77, 24), (512, 1024, 8)])
def test_tiles_are_attention(tokens, keys, size):
    source = torch.Generator().manual_seed(tokens)
    q, k, v = (torch.randn(2, 3, length, size, generator=source) for length in (tokens, keys, keys))
    assert torch.allclose(tiled(q, k, v), scaled_dot_product_attention(q, k, v), atol=2e-6)


def test_in_bf16_the_error_is_that_of_bf16():
    source = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, 600, 40, generator=source) for _ in range(3))
    exact = scaled_dot_product_attention(q, k, v)
    low = [part.bfloat16() for part in (q, k, v)]
    ours, theirs = ((made.float() - exact).abs().mean() for made in (tiled(*low), scaled_dot_product_attention(*low)))
    assert ours < 2 * theirs
    assert ours < 0.01 * exact.abs().mean()


@torch.no_grad()
@pytest.mark.parametrize("side", [8, 32])
def test_networks_give_the_same_with_it(side):
    """Side 8 stays below the length from which tiles are used, 32 does not."""
    unet, vae, _ = tiny.networks()
    latents, prompt = torch.randn(2, 4, side, side), torch.randn(2, 77, 32)
    wanted = unet(latents, torch.tensor(500.0), prompt).sample
    decoded = vae.decode(latents[:1]).sample
    other_unet, other_vae = copy.deepcopy(unet), copy.deepcopy(vae)
    other_unet.set_attn_processor(TiledAttention())
    other_vae.set_attn_processor(TiledAttention())
    assert torch.allclose(other_unet(latents, torch.tensor(500.0), prompt).sample, wanted, atol=1e-5)
    assert torch.allclose(other_vae.decode(latents[:1]).sample, decoded, atol=1e-5)
