"""Server-sent events: what happens, to any number of listeners, without a thread for any of them."""

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from webui.api.schema import JobView, ProgressView, Snapshot
from webui.core.events import BusEvent, Changed, Finished, Progress, QueueChanged, Saved
from webui.core.job import Person
from webui.core.parts import EngineState
from webui.studio import Studio

HEARTBEAT = 15.0  # seconds of silence after which a comment keeps the connection open
LOOK = 1.0  # seconds between looks at the engines' states, which change without an event
WINDOW = 200  # of all jobs that wait and run, those that a snapshot tells of; it tells of all that are the listener's own
MAX_WAITING = 500  # events that a slow listener may leave unread, before it is told to begin anew
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Mailbox:
    """What one listener has not read yet. Of a job's progress only the latest is kept; `put` may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wanted: str | None = None) -> None:
        """`wanted` is the one job to hear of; None hears everything."""
        self._loop = loop
        self._wanted = wanted
        self._lock = threading.Lock()
        self._waiting: dict[object, BusEvent] = {}
        self._numbers = itertools.count()
        self._lost = False
        self._wake = asyncio.Event()

    def put(self, event: BusEvent) -> None:
        if self._wanted is not None and _job_of(event) != self._wanted:
            return
        with self._lock:
            if isinstance(event, Progress):
                stale = self._waiting.pop(event.job_id, None)
                if isinstance(stale, Progress) and event.preview is None and stale.index == event.index:
                    event = replace(event, preview=stale.preview)
                self._waiting[event.job_id] = event
            else:
                self._waiting[next(self._numbers)] = event
            if len(self._waiting) > MAX_WAITING:
                self._waiting.clear()
                self._lost = True
        with contextlib.suppress(RuntimeError):  # the loop has ended, and the listener with it
            self._loop.call_soon_threadsafe(self._wake.set)

    async def take(self, seconds: float) -> list[BusEvent] | None:
        """All that waits, after at most `seconds`; None when some was lost, and the listener must look at everything anew."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        with self._lock:
            self._wake.clear()
            taken, lost = list(self._waiting.values()), self._lost
            self._waiting.clear()
            self._lost = False
        return None if lost else taken


def _job_of(event: BusEvent) -> str | None:
    match event:
        case Progress(job_id=job_id) | Saved(job_id=job_id):
            return job_id
        case Changed(job=job) | Finished(job=job):
            return job.id
        case QueueChanged():
            return None


def told(event: BusEvent, previews: bool, active: int | None = None) -> tuple[str, dict[str, Any]]:
    """An event's name and its data. `active` is how many jobs wait and run, None for who watches one of them."""
    counted = {} if active is None else {"active": active}
    match event:
        case Progress():
            return "progress", ProgressView.of(event, preview=previews).model_dump()
        case Saved(job_id=job_id, picture=picture):
            return "saved", {"job_id": job_id, "picture": picture.model_dump()}
        case Changed(job=job, message=message):
            return "changed", {"job": job.model_dump(mode="json"), "message": message} | counted
        case Finished(job=job):
            return "finished", {"job": job.model_dump(mode="json")} | counted
        case QueueChanged(paused=paused, message=message, level=level, because=because):
            return "queue", {"paused": paused, "paused_because": because, "message": message, "level": level}


class _Writer:
    """Numbers the events of one stream."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def event(self, name: str, data: BaseModel | dict[str, Any]) -> bytes:
        text = data.model_dump_json() if isinstance(data, BaseModel) else json.dumps(data, ensure_ascii=False, allow_nan=False)
        return f"id: {next(self._numbers)}\nevent: {name}\ndata: {text}\n\n".encode("utf-8", "replace")


def snapshot(studio: Studio, person: Person, previews: bool) -> Snapshot:
    jobs = studio.jobs(active=True, limit=WINDOW)
    known = {job.id for job in jobs}
    jobs += [job for job in studio.active_of(person) if job.id not in known]
    latest = [progress for job in jobs if (progress := studio.progress(job.id)) is not None]
    return Snapshot(
        jobs=tuple(jobs),
        active=max(studio.active_count(), len(jobs)),
        progress=tuple(ProgressView.of(progress, preview=previews) for progress in latest),
        paused=studio.paused,
        paused_because=studio.paused_because,
        engines=_engines(studio),
        you=person,
    )


def _engines(studio: Studio) -> tuple[EngineState, ...]:
    return studio.capabilities().engines


async def everything(studio: Studio, person: Person, previews: bool) -> AsyncIterator[bytes]:
    """A snapshot, then every event; `engines` where their states change, a comment where nothing does."""
    writer, mailbox = _Writer(), Mailbox(asyncio.get_running_loop())
    with _listening(studio, mailbox):
        yield b"retry: 1000\n\n"
        first = await run_in_threadpool(snapshot, studio, person, previews)
        engines, spoke = first.engines, _now()
        yield writer.event("snapshot", first)
        while True:
            batch = await mailbox.take(LOOK)
            counts = any(isinstance(event, Changed | Finished) for event in batch or ())
            active = await run_in_threadpool(studio.active_count) if counts else None
            parts = [writer.event(*told(event, previews, active)) for event in batch or ()]
            if batch is None:
                parts = [writer.event("snapshot", await run_in_threadpool(snapshot, studio, person, previews))]
            if (states := _engines(studio)) != engines:
                engines = states
                parts.append(writer.event("engines", {"engines": [state.model_dump() for state in states]}))
            if not parts and _now() - spoke >= HEARTBEAT:
                parts = [b": still here\n\n"]
            if parts:
                spoke = _now()
                yield b"".join(parts)


async def one_job(studio: Studio, job_id: str, previews: bool) -> AsyncIterator[bytes]:
    """The job as it stands, then what happens to it, ending with `finished`: at once for one that has ended."""
    writer, mailbox = _Writer(), Mailbox(asyncio.get_running_loop(), wanted=job_id)
    with _listening(studio, mailbox):
        spoke = 0.0
        batch: list[BusEvent] | None = None  # as after a loss: begin with the whole
        while True:
            if batch is None:
                job = await run_in_threadpool(lambda: JobView.of(studio, studio.job(job_id), preview=previews))
                parts = [writer.event("job", job)]
                final = job.status.final
                if final:
                    parts.append(writer.event("finished", {"job": studio.job(job_id).model_dump(mode="json")}))
            else:
                parts = [writer.event(*told(event, previews)) for event in batch]
                final = any(isinstance(event, Finished) for event in batch)
            if not parts and _now() - spoke >= HEARTBEAT:
                parts = [b": still here\n\n"]
            if parts:
                spoke = _now()
                yield b"".join(parts)
            if final:
                return
            batch = await mailbox.take(HEARTBEAT)


@contextlib.contextmanager
def _listening(studio: Studio, mailbox: Mailbox) -> Any:
    stop: Callable[[], None] = studio.listen(mailbox.put)
    try:
        yield
    finally:
        stop()


def _now() -> float:
    return asyncio.get_running_loop().time()


def respond(stream: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)
