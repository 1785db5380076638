"""Whatever is sent as a request: an answer in our shape, and never a failure of ours."""

import json
import string
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import client_of, error
from tests.library.weights import diffusers_folder
from webui.app import build
from webui.settings import Settings

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["tiny", "Euler a", "Karras", "../x", "\x00", ""]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SAMPLING = st.dictionaries(st.sampled_from(["sampler", "schedule", "steps", "guidance", "seed", "clip_skip", "eta"]), ANY, max_size=4)
FIELDS = ["checkpoint", "prompt", "negative_prompt", "task", "width", "height", "count", "batch_size", "sampling", "id"]
NEARLY = st.dictionaries(st.sampled_from(FIELDS), ANY | st.integers(0, 5000), max_size=5)
WITH_SAMPLING = st.builds(lambda request, sampling: request | {"sampling": sampling}, NEARLY, SAMPLING)


@pytest.fixture(scope="module")
def paused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("fuzz")
    diffusers_folder(folder / "models" / "checkpoints" / "tiny")
    gesso = build(Settings(data_dir=folder, fake_engine=True, extensions=False), 7860, page=False)
    with client_of(gesso) as client:
        client.post("/api/queue", json={"paused": True}).raise_for_status()
        yield client
    gesso.studio.close()


def check(client: TestClient, body: Any) -> None:
    answer = client.post("/api/jobs", content=json.dumps(body), headers={"Content-Type": "application/json"})
    if answer.status_code == 202:
        job_id = answer.json()["id"]
        assert client.get(f"/api/jobs/{job_id}").json()["request"] == answer.json()["request"]
        assert client.delete(f"/api/jobs/{job_id}").json()["status"] == "cancelled"
    else:
        assert 400 <= answer.status_code < 500, (body, answer.text)
        error(answer)


@given(NEARLY | WITH_SAMPLING | ANY)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request(paused: TestClient, body: Any) -> None:
    check(paused, body)


@pytest.mark.long
@given(NEARLY | WITH_SAMPLING | ANY)
@settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_very_many_requests(paused: TestClient, body: Any) -> None:
    check(paused, body)


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/plain", "multipart/form-data; boundary=x", "image/png", ""]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_anywhere(paused: TestClient, body: bytes, kind: str) -> None:
    for path in ("/api/jobs", "/api/parameters", "/api/images/trash", "/api/queue", "/api/jobs/x/move"):
        answer = paused.post(path, content=body, headers={"Content-Type": kind})
        assert answer.status_code < 500, (path, answer.text)
        if answer.status_code >= 400:
            error(answer)


@given(st.text(string.printable, max_size=60), st.text(max_size=30))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_search_and_any_name(paused: TestClient, query: str, name: str) -> None:
    from urllib.parse import quote

    assert paused.get("/api/images", params={"query": query}).status_code == 200
    for path in ("/api/images/{}", "/api/jobs/{}", "/api/draft/{}"):
        safe = quote(name.encode("utf-8", "surrogatepass"), safe="")
        answer = paused.get(path.format(f"x{safe}"))
        assert answer.status_code < 500, (name, answer.text)
