import os
from pathlib import Path

import pytest

from webui.core.request import GenerationRequest, Sampling
from webui.engine.config import EngineConfig


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """A folder with tiny checkpoints in models/ and an extension that loads one of them."""
    import torch  # which tests of the fake engine do without

    from tests.engine import tiny

    torch.set_num_threads(1)  # networks this small only wait for each other's threads
    os.environ["OMP_NUM_THREADS"] = "1"  # for engines in processes of their own
    return tiny.write_models(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def config(home) -> EngineConfig:
    return EngineConfig(home / "models", device="cpu", extensions_dir=home / "extensions", probed=("cpu", "fp32", "tiled"))


@pytest.fixture(scope="session")
def diffusion(config):
    """One engine for all tests that leave it as they found it."""
    from webui.engine.diffusion import DiffusionEngine

    engine = DiffusionEngine(config)
    yield engine
    engine.close()


@pytest.fixture
def pipeline(diffusion):
    """The tiny checkpoint, loaded."""
    with diffusion._manager.borrow(diffusion._spec(diffusion._library.find("tiny"))) as borrowed:
        yield borrowed


def a_request(checkpoint: str = "tiny", **changes) -> GenerationRequest:
    sampling = {"sampler": "Euler", "schedule": "Karras", "steps": 2, "seed": 7} | changes.pop("sampling", {})
    fields = {"checkpoint": checkpoint, "prompt": "a (cat:1.2), dog", "width": 64, "height": 64} | changes
    return GenerationRequest(sampling=Sampling(**sampling), **fields)


def never() -> bool:
    return False
