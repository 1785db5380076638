"""A gallery in a temporary folder, with one tiny checkpoint to be named in pictures."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.library.weights import FAMILY, single_file
from webui.core.job import Job, Status
from webui.core.parts import SamplerInfo, ScheduleInfo
from webui.core.registry import Registry
from webui.core.request import GenerationRequest, Sampling
from webui.database import Database
from webui.gallery.gallery import Gallery
from webui.library.store import Library


def job(job_id: str = "a" * 32, **request: Any) -> Job:
    sampling = Sampling(**request.pop("sampling", {"seed": 100}))
    asked = GenerationRequest(checkpoint="sub/tiny", sampling=sampling, **{"width": 64, "height": 96, "count": 4} | request)
    owner = {"owner": "host", "owner_name": "Host"}
    return Job(id=job_id, **owner, request=asked, status=Status.RUNNING, place=1, made=0, attempts=1, created_at=time.time())


def picture(seed: int = 0, size: tuple[int, int] = (64, 96)) -> Image.Image:
    return Image.new("RGB", size, (seed * 40 % 256, seed * 70 % 256, 90))


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def library(tmp_path: Path) -> Library:
    single_file(tmp_path / "models" / "checkpoints" / "sub" / "tiny.safetensors")
    return Library(tmp_path / "models", [FAMILY])


@pytest.fixture
def database(outputs: Path) -> Iterator[Database]:
    made = Database(outputs / "gesso.sqlite3")
    yield made
    made.close()


@pytest.fixture
def gallery(outputs: Path, database: Database, library: Library) -> Gallery:
    return Gallery(outputs, database, library)


@pytest.fixture
def samplers() -> Registry[SamplerInfo]:
    rows = [("Euler", ()), ("Euler a", ("k_euler_a",)), ("DPM++ 2M", ("k_dpmpp_2m",))]
    return Registry("sampler", [SamplerInfo(id=name, aliases=aliases, implementation="X") for name, aliases in rows])


@pytest.fixture
def schedules() -> Registry[ScheduleInfo]:
    return Registry("schedule", [ScheduleInfo(id=name) for name in ("Automatic", "Karras", "Exponential", "SGM Uniform")])
