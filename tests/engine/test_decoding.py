import pytest
import torch

from tests.engine.conftest import a_request, never
from webui.core.errors import NoPicture
from webui.core.events import Produced
from webui.engine import decoding
from webui.engine.config import EngineConfig
from webui.engine.diffusion import DiffusionEngine


@pytest.fixture
def half(home):
    engine = DiffusionEngine(EngineConfig(home / "models", "cpu", probed=("cpu", "bf16", "sdpa")))
    with engine._manager.borrow(engine._spec(engine._library.find("tiny"))) as pipeline:
        yield engine, pipeline


def overflowing(vae, dtype):
    """What some autoencoders do in low precision, on purpose."""
    return vae.decoder.register_forward_hook(
        lambda module, inputs, output: output * float("nan") if next(module.parameters()).dtype == dtype else output
    )


def test_an_overflow_is_decoded_again_in_fp32_and_said(half):
    engine, pipeline = half
    plain = [event for event in engine.run(a_request(), cancelled=never) if isinstance(event, Produced)][0]
    handle = overflowing(pipeline.vae, torch.bfloat16)
    retried = [event for event in engine.run(a_request(), cancelled=never) if isinstance(event, Produced)][0]
    handle.remove()
    assert "Retry" not in plain.facts
    assert retried.facts["Retry"] == "decoded in fp32, since bf16 overflowed"
    assert pipeline.vae.dtype == torch.bfloat16
    assert max(abs(ours - theirs) for ours, theirs in zip(retried.image.tobytes(), plain.image.tobytes(), strict=True)) < 12
    again = [event for event in engine.run(a_request(), cancelled=never) if isinstance(event, Produced)][0]
    assert again.image.tobytes() == plain.image.tobytes()


def test_latents_without_numbers_are_an_error(half):
    _, pipeline = half
    with pytest.raises(NoPicture, match="not a number"):
        decoding.decode(pipeline, torch.full((1, 4, 8, 8), float("nan")))
    assert pipeline.vae.dtype == torch.bfloat16
