import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from tests.api.conftest import client_of, error, finished, make
from webui.app import Gesso


def test_a_job_is_accepted_made_and_found_again(client: TestClient) -> None:
    answer = client.post("/api/jobs", json={"prompt": "hills", "width": 64, "height": 72, "count": 2, "sampling": {"steps": 2, "seed": 5}})
    assert answer.status_code == 202
    accepted = answer.json()
    assert answer.headers["location"] == f"/api/jobs/{accepted['id']}"
    assert accepted["request"]["checkpoint"] == "tiny"
    job = finished(client, accepted["id"])
    assert (job["status"], job["made"], len(job["pictures"])) == ("done", 2, 2)
    first = job["pictures"][0]
    assert (first["width"], first["height"], first["seed"], first["owner"]) == (64, 72, 5, "host")
    assert client.get(f"/api/images/{first['id']}/file").content.startswith(b"\x89PNG")


def test_absent_fields_take_the_checkpoints_defaults(client: TestClient) -> None:
    request = client.post("/api/jobs", json={"sampling": {"seed": None}, "prompt": None}).json()["request"]
    assert (request["width"], request["prompt"]) == (512, "")
    assert 0 <= request["sampling"]["seed"] < 2**32


BAD = [
    ({"prmpt": "x"}, 422, "prmpt"),
    ({"width": 10_000}, 422, "width"),
    ({"width": 10_000, "height": 10_000}, 422, "width"),
    ({"height": 65}, 422, "height"),
    ({"width": "wide"}, 422, "width"),
    ({"width": True}, 422, "width"),
    ({"count": 0}, 422, "count"),
    ({"count": 10**30}, 422, "count"),
    ({"prompt": 7}, 422, "prompt"),
    ({"prompt": "x" * 20_001}, 422, "prompt"),
    ({"prompt": ["a"]}, 422, "prompt"),
    ({"checkpoint": "tinny"}, 404, "checkpoint"),
    ({"checkpoint": ""}, 422, "checkpoint"),
    ({"checkpoint": "../../etc/passwd"}, 404, "checkpoint"),
    ({"sampling": {"sampler": "DPM++ 2N"}}, 404, "sampling.sampler"),
    ({"sampling": {"schedule": "Karas"}}, 404, "sampling.schedule"),
    ({"sampling": {"steps": 151}}, 422, "sampling.steps"),
    ({"sampling": {"guidance": 31}}, 422, "sampling.guidance"),
    ({"sampling": {"seed": -1}}, 422, "sampling.seed"),
    ({"sampling": {"seed": 2**32}}, 422, "sampling.seed"),
    ({"sampling": []}, 422, "sampling"),
    ({"task": {"kind": "fly"}}, 422, "task.kind"),
    ([], 422, None),
    ("x", 422, None),
    (7, 422, None),
]


@pytest.mark.parametrize(("body", "status", "field"), BAD, ids=[json.dumps(row[0])[:40] for row in BAD])
def test_a_bad_request_names_the_field(client: TestClient, body: object, status: int, field: str | None) -> None:
    answer = client.post("/api/jobs", json=body)
    assert answer.status_code == status, answer.text
    assert error(answer)["field"] == field
    assert client.get("/api/jobs").json()["jobs"] == []


def test_a_misspelt_name_is_guessed(client: TestClient) -> None:
    answer = client.post("/api/jobs", json={"sampling": {"sampler": "DPM++ 2N"}})
    assert "Did you mean" in error(answer)["message"]


RAW = [
    (b"{", 400),
    (b"", 422),
    (b"null", 422),
    (b"\xff\xfe{}", 400),
    (b'{"sampling": {"guidance": NaN}}', 400),
    (b'{"sampling": {"guidance": Infinity}}', 400),
    (b'{"sampling": {"guidance": -Infinity}}', 400),
    (b'{"sampling": {"guidance": 1e999}}', 422),
    (b'{"width": ' + b"9" * 5000 + b"}", 400),
    (b"[" * 100_000, 400),
    (b'{"a":' * 100 + b"1" + b"}" * 100, 400),
    (b'{"prompt": "\\ud800"}', 422),
    (b'{"prompt": "a\\u0000b"} trailing', 400),
]


@pytest.mark.parametrize(("body", "status"), RAW, ids=range(len(RAW)))
def test_a_broken_body_is_a_sentence(client: TestClient, body: bytes, status: int) -> None:
    answer = client.post("/api/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    error(answer)


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_json_must_say_that_it_is(client: TestClient, kind: str | None) -> None:
    """A form of another site can be sent as these three without asking; so nothing is read from them."""
    headers = {"Content-Type": kind} if kind else {}
    answer = client.post("/api/jobs", content=b'{"prompt": "x"}', headers=headers)
    assert answer.status_code == 415
    error(answer)


def test_a_huge_body_is_refused(client: TestClient) -> None:
    answer = client.post("/api/jobs", content=b'{"prompt": "' + b"x" * 3_000_000 + b'"}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    error(answer)


def test_prompts_of_any_language_come_back_as_they_were(client: TestClient) -> None:
    prompt = "Bergsee 🏔️ 山の夕焼け \u202e\x00 <script>"
    assert make(client, prompt=prompt)["request"]["prompt"] == prompt


def test_a_waiting_job_is_moved_and_cancelled(client: TestClient) -> None:
    assert client.post("/api/queue", json={"paused": True}).json() == {"paused": True, "paused_because": ""}
    first, second, third = (client.post("/api/jobs", json={"prompt": name}).json()["id"] for name in "abc")
    assert client.get(f"/api/jobs/{third}").json()["position"] == 2
    client.post(f"/api/jobs/{third}/move", json={"before": first}).raise_for_status()
    order = [job["id"] for job in client.get("/api/jobs", params={"active": True}).json()["jobs"]]
    assert order == [third, first, second]
    assert client.delete(f"/api/jobs/{first}").json()["status"] == "cancelled"
    again = client.delete(f"/api/jobs/{first}")
    assert (again.status_code, error(again)["kind"]) == (409, "Conflict")
    assert len(client.post("/api/jobs/cancel").json()["jobs"]) == 2
    assert client.get("/api/jobs", params={"active": True}).json() == {"jobs": [], "paused": True, "paused_because": ""}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/jobs/nope"), ("DELETE", "/api/jobs/nope"), ("POST", "/api/jobs/nope/move"), ("GET", "/api/jobs/nope/events")],
)
def test_a_job_that_is_not_there(client: TestClient, method: str, path: str) -> None:
    answer = client.request(method, path, json={} if method == "POST" else None)
    assert (answer.status_code, error(answer)["kind"]) == (404, "NotFound")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=-1", "offset=1e9", "active=perhaps"])
def test_windows_have_limits(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/jobs?{query}")
    assert answer.status_code == 422
    assert error(answer)["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("PUT", "/api/jobs", "GET, POST"), ("PATCH", "/api/jobs/x", "DELETE, GET"), ("DELETE", "/api/queue", "POST")],
)
def test_a_wrong_method_says_which_are_right(client: TestClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    error(answer)


def test_an_unknown_path_is_a_sentence(client: TestClient) -> None:
    answer = client.get("/api/nothing/here")
    assert answer.status_code == 404
    error(answer)


def test_ten_people_at_once_lose_no_job(gesso: Gesso) -> None:
    def ask(number: int) -> str:
        with client_of(gesso) as client:
            return str(
                client.post("/api/jobs", json={"prompt": str(number), "width": 64, "height": 64, "sampling": {"steps": 1}}).json()["id"]
            )

    with ThreadPoolExecutor(10) as pool:
        ids = list(pool.map(ask, range(30)))
    assert len(set(ids)) == 30
    with client_of(gesso) as client:
        for job_id in ids:
            assert finished(client, job_id)["status"] == "done"


def test_an_unexpected_error_is_told_without_its_innards(gesso: Gesso, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret innards")

    monkeypatch.setattr(gesso.studio, "jobs", broken)
    with client_of(gesso) as client:
        answer = client.get("/api/jobs")
    assert answer.status_code == 500
    assert "innards" not in error(answer)["message"]


def test_a_path_writes_no_line_of_its_own_into_the_log(
    gesso: Gesso, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gesso.studio, "job", lambda name: 1 / 0)
    with client_of(gesso) as client:
        assert client.get("/api/jobs/x%0a2026-01-01 ERROR forged").status_code == 500
    assert "forged" in caplog.text
    assert not [line for record in caplog.records for line in record.getMessage().splitlines()[1:]]


def test_the_queue_has_a_limit(client: TestClient, gesso: Gesso, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webui.studio.MAX_QUEUED", 1)
    client.post("/api/queue", json={"paused": True})
    assert client.post("/api/jobs", json={}).status_code == 202
    answer = client.post("/api/jobs", json={})
    assert (answer.status_code, error(answer)["kind"]) == (429, "TooMany")
    assert "retry-after" in answer.headers


def test_asking_does_not_wait_for_the_engine(client: TestClient) -> None:
    began = time.monotonic()
    job = client.post("/api/jobs", json={"count": 50, "sampling": {"steps": 150}}).json()
    assert time.monotonic() - began < 2
    client.delete(f"/api/jobs/{job['id']}").raise_for_status()
    assert finished(client, job["id"])["status"] == "cancelled"
