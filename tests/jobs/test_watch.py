"""Watchers that come early, late, twice, after the end, or read slowly: each sees how it ended."""

import threading
from collections.abc import Iterator

import pytest

from tests.jobs.conftest import ask, keep_picture
from webui.core.events import Changed, Finished, JobEvent, Progress, Saved
from webui.core.job import HOST, Job, Status
from webui.core.picture import Picture
from webui.database import Database
from webui.engine.fake import FakeEngine
from webui.extensions import Extensions
from webui.jobs.bus import Bus
from webui.jobs.dispatcher import Dispatcher
from webui.jobs.store import JobStore
from webui.jobs.watch import watch

SOON = 10.0


class Room:
    """A queue with a dispatcher, to be watched."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = JobStore(database)
        self.bus = Bus()
        self.dispatcher = Dispatcher(self.store, self.bus, {"fake": FakeEngine(delay=0.01)}, self.save, Extensions())

    def save(self, job: Job, index: int, image: object, seed: int, facts: object) -> Picture:
        keep_picture(self.database, job.id, index)
        return Picture(
            id=f"{job.id}-{index}", job_id=job.id, index=index, owner=job.owner, path="x.png", width=64, height=64, bytes=1, seed=seed,
            checkpoint="c", prompt="", negative_prompt="", created_at=0,
        )  # fmt: skip

    def watch(self, job: Job, timeout: float = SOON) -> Iterator[JobEvent]:
        return watch(self.store, self.bus, self.dispatcher.progress, job.id, timeout)


@pytest.fixture
def room(database: Database) -> Iterator[Room]:
    made = Room(database)
    yield made
    made.dispatcher.close()


def names(events: list[JobEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_an_early_watcher_sees_everything_in_order(room: Room) -> None:
    job = room.store.add(ask(count=2), HOST)
    watcher = room.watch(job)
    events = [next(watcher)]
    room.dispatcher.start()
    events += watcher
    assert [event.job.status for event in events if isinstance(event, Changed)] == ["queued", "running"]
    assert [event.picture.index for event in events if isinstance(event, Saved)] == [0, 1]
    assert isinstance(events[-1], Finished)
    assert events[-1].job.status is Status.DONE


def test_a_late_watcher_starts_with_the_latest_progress(room: Room) -> None:
    job = room.store.add(ask(steps=150), HOST)
    room.dispatcher.start()
    first = room.watch(job)
    assert any(isinstance(event, Progress) and event.step > 2 for event in first)
    late = room.watch(job)
    assert names([next(late), next(late)]) == ["Changed", "Progress"]
    room.store.cancel(job.id)
    (*_, last) = late
    assert isinstance(last, Finished)
    assert last.job.status is Status.CANCELLED


def test_a_watcher_after_the_end_is_told_at_once(room: Room) -> None:
    job = room.store.add(ask(), HOST)
    room.dispatcher.start()
    list(room.watch(job))
    for _ in range(2):
        (only,) = room.watch(job)
        assert isinstance(only, Finished)


def test_no_watcher_ever_misses_the_end(room: Room) -> None:
    """Fifty watchers, each attaching at another moment of a job's short life."""
    room.dispatcher.start()
    ends: list[JobEvent] = []

    def look(job: Job) -> None:
        *_, last = room.watch(job)
        ends.append(last)

    threads = []
    for _ in range(10):
        job = room.store.add(ask(count=1), HOST)
        room.dispatcher.wake()
        for _ in range(5):
            threads.append(threading.Thread(target=look, args=(job,)))
            threads[-1].start()
            threading.Event().wait(0.005)
    for thread in threads:
        thread.join(SOON)
    assert len(ends) == 50
    assert all(isinstance(event, Finished) for event in ends)


def test_a_slow_reader_keeps_the_last_progress_and_every_picture(room: Room) -> None:
    job = room.store.add(ask(count=3, steps=10), HOST)
    watcher = room.watch(job)
    first = next(watcher)
    room.dispatcher.start()
    list(room.watch(job))  # another one reads to the end meanwhile
    events = [first, *watcher]
    assert names(events) == ["Changed", "Changed", "Progress", "Saved", "Progress", "Saved", "Progress", "Saved", "Finished"]
    assert [event.step for event in events if isinstance(event, Progress)] == [10, 10, 10]


def test_a_watcher_that_gives_up_is_forgotten(room: Room) -> None:
    job = room.store.add(ask(), HOST)
    watcher = room.watch(job)
    next(watcher)
    assert len(room.bus._listeners) == 1
    watcher.close()  # type: ignore[attr-defined]  # a generator
    assert len(room.bus._listeners) == 0


def test_waiting_has_an_end(room: Room) -> None:
    job = room.store.add(ask(), HOST)
    with pytest.raises(TimeoutError, match="did not end within"):
        list(room.watch(job, timeout=0.05))
    assert len(room.bus._listeners) == 0


def test_other_jobs_are_not_heard(room: Room) -> None:
    job, other = room.store.add(ask(), HOST), room.store.add(ask(), HOST)
    room.dispatcher.start()
    events = list(room.watch(other))
    assert {event.job_id if isinstance(event, Progress | Saved) else event.job.id for event in events} == {other.id}
    assert room.store.get(job.id).status is Status.DONE
