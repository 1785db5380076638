"""Every format's delta is what its formula says, computed by hand in `made`; what does not fit is seen by shapes alone."""

import pytest
import torch

from tests.engine.loras import made
from webui.engine.loras.formats import delta, format_of, split

SHAPES = {"linear": (32, 24), "convolution": (32, 24, 3, 3), "1 × 1": (32, 24, 1, 1)}


def parts_of(case):
    found = {}
    for end, tensor in case.parts.items():
        _, parameter, role = split(f"module{end}")
        assert parameter == "weight"
        found[role] = tensor
    return found


def cases():
    for make in made.CONVOLUTION:
        for label, shape in SHAPES.items():
            if make in made.LINEAR or label == "convolution":
                yield pytest.param(make, shape, id=f"{make.__name__}, {label}")


@pytest.mark.parametrize(("make", "shape"), list(cases()))
def test_the_delta_is_the_formulas(make, shape):
    weight = made.noise(*shape, seed=9)
    case = make(weight)
    parts = parts_of(case)
    kind = format_of(frozenset(parts))
    assert kind.fits({role: tuple(part.shape) for role, part in parts.items()}, shape)
    got = delta(kind, parts, weight, None)
    assert got.shape == weight.shape
    assert torch.allclose(got, case.delta, atol=2e-6, rtol=1e-5)
    assert case.delta.abs().max() > 1e-3


@pytest.mark.parametrize("make", made.LINEAR, ids=lambda make: make.__name__)
def test_another_shape_is_seen(make):
    parts = parts_of(make(made.noise(32, 24, seed=9)))
    kind = format_of(frozenset(parts))
    assert not kind.fits({role: tuple(part.shape) for role, part in parts.items()}, (40, 52))


def test_a_1x1_convolution_takes_a_linear_layers_lora():
    case = made.lora(made.noise(32, 24))
    parts = parts_of(case)
    kind = format_of(frozenset(parts))
    weight = made.noise(32, 24, 1, 1)
    assert kind.fits({role: tuple(part.shape) for role, part in parts.items()}, weight.shape)
    assert torch.equal(delta(kind, parts, weight, None), case.delta.reshape(weight.shape)) or torch.allclose(
        delta(kind, parts, weight, None), case.delta.reshape(weight.shape), atol=1e-6
    )


def test_a_part_of_the_ranks_is_used_where_asked():
    """DyLoRA is trained so that its first ranks are a LoRA by themselves; the scale stays that of all."""
    parts = parts_of(made.lora(made.noise(32, 24)))
    kind = format_of(frozenset(parts))
    got = delta(kind, parts, made.noise(32, 24), 2)
    assert torch.allclose(got, made.by_hand(parts["up"][:, :2], parts["down"][:2]) * (2.0 / made.RANK), atol=1e-6)
    assert torch.equal(delta(kind, parts, made.noise(32, 24), 99), delta(kind, parts, made.noise(32, 24), None))


def test_an_unheld_rotation_keeps_lengths():
    weight = made.noise(32, 24, seed=9)
    blocks = made.noise(4, 8, 8)
    kind = format_of(frozenset(("blocks",)))
    turned = weight + delta(kind, {"blocks": blocks, "alpha": torch.tensor(0.0)}, weight, None)
    assert torch.allclose(turned.norm(dim=0), weight.norm(dim=0), atol=1e-5)
    assert not torch.allclose(turned, weight, atol=1e-2)


def test_what_is_no_format_is_none():
    assert split("lora_unet_conv_in.a1.weight") is not None  # ends in .weight, which alone is no format
    assert format_of(frozenset(("scale",))) is None
    assert format_of(frozenset(("down", "alpha"))) is None
    assert split("emb_params") is None
