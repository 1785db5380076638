"""The whole program but for the page, on a `FakeEngine` and a tiny checkpoint, behind its door."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.library.weights import diffusers_folder
from webui.app import Gesso, build
from webui.settings import Settings

HERE = "http://127.0.0.1:7860"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    diffusers_folder(tmp_path / "models" / "checkpoints" / "tiny")
    return Settings(data_dir=tmp_path, fake_engine=True, extensions=False, browser=False)


@pytest.fixture
def gesso(settings: Settings) -> Iterator[Gesso]:
    made = build(settings, 7860, page=False)
    yield made
    made.studio.close()


def client_of(gesso: Gesso, peer: str = "127.0.0.1", base: str = HERE) -> TestClient:
    return TestClient(gesso.door, base_url=base, client=(peer, 50000), raise_server_exceptions=False)


@pytest.fixture
def client(gesso: Gesso) -> Iterator[TestClient]:
    with client_of(gesso) as made:
        yield made


def finished(client: TestClient, job_id: str, seconds: float = 60) -> dict[str, Any]:
    """The job once it has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(f"/api/jobs/{job_id}").json()
        if job["status"] in ("done", "failed", "cancelled"):
            return job
        time.sleep(0.02)
    raise AssertionError(f"{job_id} did not end: {job}")


def make(client: TestClient, **request: Any) -> dict[str, Any]:
    """Queue a small job and wait for it."""
    asked = {"prompt": "hills", "width": 64, "height": 64, "sampling": {"steps": 2}} | request
    return finished(client, client.post("/api/jobs", json=asked).json()["id"])


def error(answer: httpx.Response) -> dict[str, Any]:
    """The one shape of every refusal."""
    body = answer.json()
    assert set(body) == {"error"}, body
    found: dict[str, Any] = body["error"]
    assert set(found) == {"message", "field", "kind"}
    assert found["message"].rstrip("”").endswith((".", "?", "…")), found
    assert "Traceback" not in answer.text
    return found
