"""Server-sent events: late, twice, slow, and at the end."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi.testclient import TestClient

from tests.api.conftest import error, make
from webui.api.streams import MAX_WAITING, WINDOW, Mailbox, snapshot
from webui.app import Gesso
from webui.core.events import Changed, Progress, QueueChanged
from webui.core.job import HOST, Person
from webui.core.request import RequestDraft
from webui.door.server import Server


def serve(gesso: Gesso) -> tuple[Server, threading.Thread, str]:
    """The program on a real socket, since a test client cannot read a stream as it comes: server, its thread, its address."""
    ready = threading.Event()
    server = Server(gesso.door, ready.set)
    server.config.port = 0
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(20)
    return server, thread, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@pytest.fixture
def served(gesso: Gesso) -> Iterator[str]:
    server, thread, url = serve(gesso)
    yield url
    server.handle_exit(2, None)
    thread.join(10)
    assert not thread.is_alive()


def read(lines: Iterator[str]) -> Iterator[tuple[int, str, Any]]:
    """(id, name, data) of each event."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            if "event" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


def until(lines: Iterator[str], last: str) -> list[tuple[int, str, Any]]:
    found = []
    for event in read(lines):
        found.append(event)
        if event[1] == last:
            return found
    raise AssertionError(f"the stream ended before {last}: {found}")


SMALL = {"prompt": "hills", "width": 64, "height": 64, "count": 2, "sampling": {"steps": 3, "seed": 1}}


def test_a_job_is_told_from_its_beginning_to_its_end(served: str) -> None:
    with httpx.Client(base_url=served, timeout=30) as client:
        client.post("/api/queue", json={"paused": True})
        job_id = client.post("/api/jobs", json=SMALL).json()["id"]
        with client.stream("GET", f"/api/jobs/{job_id}/events?previews=1") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = stream.iter_lines()
            assert until(lines, "job")[0][2]["status"] == "queued"
            httpx.post(f"{served}/api/queue", json={"paused": False})
            told = until(lines, "finished")
            assert list(lines) == []  # the stream ends with the job
    names = [name for _, name, _ in told]
    assert names.count("saved") == 2
    assert "progress" in names
    assert told[-1][2]["job"]["status"] == "done"
    assert [number for number, _, _ in told] == list(range(2, len(told) + 2))
    assert any(data.get("preview") for _, name, data in told if name == "progress")


def test_a_late_watcher_and_one_who_comes_twice_see_the_end(client: TestClient) -> None:
    job_id = make(client, **SMALL)["id"]
    for _ in range(2):
        told = until(iter(client.get(f"/api/jobs/{job_id}/events").text.split("\n")), "finished")
        assert [name for _, name, _ in told] == ["job", "finished"]
        assert len(told[0][2]["pictures"]) == 2


def test_everything_begins_with_a_snapshot_and_goes_on(served: str) -> None:
    with httpx.Client(base_url=served, timeout=30) as client, client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        snapshot = until(lines, "snapshot")[-1][2]
        assert set(snapshot) == {"jobs", "progress", "paused", "paused_because", "engines", "you", "active"}
        assert snapshot["you"]["host"] is True
        job_id = httpx.post(f"{served}/api/jobs", json=SMALL).json()["id"]
        told = until(lines, "finished")
    assert told[-1][2]["job"]["id"] == job_id
    progress = [data for _, name, data in told if name == "progress"]
    assert progress
    assert all(data["preview"] is None for data in progress)


def test_a_snapshot_tells_of_ones_own_jobs_behind_everyone_elses(gesso: Gesso) -> None:
    studio, guest = gesso.studio, Person(id="guest", name="Guest")
    studio.pause(True, HOST)
    draft = RequestDraft.parse({"prompt": "hills", "width": 64, "height": 64})
    others = [studio.submit(draft, HOST).id for _ in range(WINDOW + 3)]
    own = [studio.submit(draft, guest).id for _ in range(2)]
    seen = snapshot(studio, guest, previews=False)
    assert [job.id for job in seen.jobs] == others[:WINDOW] + own
    assert seen.active == WINDOW + 5
    assert [job.id for job in snapshot(studio, HOST, previews=False).jobs] == others


def test_every_change_of_the_queue_says_how_long_it_is(served: str) -> None:
    with httpx.Client(base_url=served, timeout=30) as client, client.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        assert until(lines, "snapshot")[-1][2]["active"] == 0
        httpx.post(f"{served}/api/queue", json={"paused": True})
        job_id = httpx.post(f"{served}/api/jobs", json=SMALL).json()["id"]
        assert until(lines, "changed")[-1][2]["active"] == 1
        httpx.delete(f"{served}/api/jobs/{job_id}")
        assert until(lines, "finished")[-1][2]["active"] == 0


def test_two_listeners_hear_the_same(served: str) -> None:
    heard: list[list[str]] = []

    def listen() -> None:
        with httpx.stream("GET", f"{served}/api/events", timeout=30) as stream:
            lines = stream.iter_lines()
            until(lines, "snapshot")
            began.release()
            heard.append([name for _, name, _ in until(lines, "finished") if name not in ("progress", "engines")])

    began = threading.Semaphore(0)
    threads = [threading.Thread(target=listen) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert began.acquire(timeout=20)
    httpx.post(f"{served}/api/jobs", json=SMALL)
    for thread in threads:
        thread.join(30)
    assert len(heard) == 2
    assert heard[0] == heard[1]
    assert heard[0].count("saved") == 2


def test_a_listener_that_goes_is_forgotten(served: str, gesso: Gesso) -> None:
    listeners = gesso.studio._bus._listeners
    before = len(listeners)
    with httpx.stream("GET", f"{served}/api/events", timeout=30) as stream:
        lines = stream.iter_lines()
        until(lines, "snapshot")
        assert len(listeners) == before + 1
    deadline = time.monotonic() + 10
    while len(listeners) > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(listeners) == before


def test_open_streams_do_not_hold_up_the_end(gesso: Gesso) -> None:
    server, thread, url = serve(gesso)
    with httpx.stream("GET", f"{url}/api/events", timeout=30) as stream:
        lines = stream.iter_lines()
        until(lines, "snapshot")
        began = time.monotonic()
        server.handle_exit(2, None)
        list(lines)
        thread.join(10)
        assert not thread.is_alive()
        assert time.monotonic() - began < 1.0 + server.config.timeout_graceful_shutdown


def test_a_stream_of_a_job_that_is_not_there_is_an_error_and_not_a_stream(client: TestClient) -> None:
    answer = client.get("/api/jobs/nope/events")
    assert (answer.status_code, error(answer)["kind"]) == (404, "NotFound")


def mailbox_test(story: Any) -> Any:
    async def run() -> Any:
        return await story(Mailbox(asyncio.get_running_loop()))

    return asyncio.run(run())


def step(number: int, job: str = "a", preview: bytes | None = None) -> Progress:
    return Progress(job, "host", 0, number, 100, preview=preview)


def test_stale_progress_gives_way_and_its_preview_stays() -> None:
    async def story(mailbox: Mailbox) -> Any:
        for number in range(1000):
            mailbox.put(step(number, preview=b"x" if number == 998 else None))
            mailbox.put(step(number, job="b"))
        mailbox.put(QueueChanged(True))
        return await mailbox.take(1)

    assert mailbox_test(story) == [step(999, preview=b"x"), step(999, job="b"), QueueChanged(True)]


def test_whoever_falls_behind_too_far_begins_anew() -> None:
    async def story(mailbox: Mailbox) -> Any:
        for _ in range(MAX_WAITING + 1):
            mailbox.put(QueueChanged(True))
        return [await mailbox.take(1), await mailbox.take(0.01)]

    assert mailbox_test(story) == [None, []]


def test_a_mailbox_for_one_job_keeps_nothing_of_others(gesso: Gesso, client: TestClient) -> None:
    job_id = make(client, **SMALL)["id"]
    job = gesso.studio.job(job_id)

    async def story(_: Mailbox) -> Any:
        mailbox = Mailbox(asyncio.get_running_loop(), wanted=job_id)
        for event in (step(1, job="other"), QueueChanged(True), Changed(job), step(2, job=job_id)):
            mailbox.put(event)
        return await mailbox.take(1)

    assert mailbox_test(story) == [Changed(job), step(2, job=job_id)]


def test_putting_after_the_loop_ended_harms_nobody() -> None:
    made: list[Mailbox] = []

    async def story(mailbox: Mailbox) -> None:
        made.append(mailbox)

    mailbox_test(story)
    made[0].put(QueueChanged(True))


def test_the_server_is_uvicorn_without_its_noise() -> None:
    config = Server(lambda *_: None, lambda: None).config  # type: ignore[arg-type]
    assert (config.access_log, config.server_header, config.proxy_headers) == (False, False, False)
    assert isinstance(config, uvicorn.Config)
