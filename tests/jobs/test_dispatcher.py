"""Jobs run by fake engines: what is told, what is kept, and what becomes of a job when something goes wrong."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.jobs.conftest import ask, keep_picture
from webui.core.errors import (
    Cancelled,
    EngineDied,
    EngineError,
    LoadFailed,
    NoPicture,
    OutOfMemory,
    StorageError,
    UnknownName,
    Unsupported,
)
from webui.core.events import BusEvent, Changed, Finished, Produced, Progress, QueueChanged, Saved, Step
from webui.core.job import HOST, Job, Status
from webui.core.picture import Picture
from webui.database import Database
from webui.engine.fake import FakeEngine, colour
from webui.extensions import Extensions
from webui.jobs.bus import Bus
from webui.jobs.dispatcher import Dispatcher
from webui.jobs.store import JobStore

SOON = 10.0  # seconds; nothing here takes one


class Shelf:
    """Keeps pictures as the gallery does: once for each (job, index)."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.pictures: dict[tuple[str, int], tuple[Picture, Image.Image]] = {}
        self.calls: list[tuple[str, int]] = []
        self.trouble: list[Exception] = []

    def save(self, job: Job, index: int, image: Image.Image, seed: int, facts: Mapping[str, str]) -> Picture:
        self.calls.append((job.id, index))
        if self.trouble:
            raise self.trouble.pop(0)
        if (job.id, index) not in self.pictures:
            keep_picture(self.database, job.id, index)
            picture = Picture(
                id=f"{job.id}-{index}", job_id=job.id, index=index, owner=job.owner, path="x.png", width=64, height=64, bytes=1, seed=seed,
                checkpoint=job.request.checkpoint, prompt=job.request.prompt, negative_prompt="", created_at=0,
            )  # fmt: skip
            self.pictures[job.id, index] = (picture, image)
        return self.pictures[job.id, index][0]

    def seeds(self, job_id: str) -> list[int | None]:
        return [picture.seed for (of, _), (picture, _) in sorted(self.pictures.items()) if of == job_id]


class Rig:
    """A queue and its dispatcher; every event is written down."""

    def __init__(self, database: Database, shelf: Shelf, engines: Mapping[str, FakeEngine], extensions: Extensions) -> None:
        self.store = JobStore(database)
        self.bus = Bus()
        self.shelf = shelf
        self.events: list[BusEvent] = []
        self._heard = threading.Condition()
        self.bus.listen(self._hear)
        self.dispatcher = Dispatcher(self.store, self.bus, engines, shelf.save, extensions)

    def _hear(self, event: BusEvent) -> None:
        with self._heard:
            self.events.append(event)
            self._heard.notify_all()

    def add(self, prompt: str = "a lake", **fields: int) -> Job:
        job = self.store.add(ask(prompt, **fields), HOST)
        self.dispatcher.wake()
        return job

    def until(self, matches: Callable[[BusEvent], bool]) -> BusEvent:
        with self._heard:
            assert self._heard.wait_for(lambda: any(matches(event) for event in self.events), SOON), self.events
            return next(event for event in self.events if matches(event))

    def finished(self, job: Job) -> Job:
        event = self.until(lambda event: isinstance(event, Finished) and event.job.id == job.id)
        assert isinstance(event, Finished)
        return event.job

    def of(self, job: Job) -> list[str]:
        """What was told of a job, progress left out."""
        told = []
        for event in self.events:
            match event:
                case Changed(job=about, message=message) if about.id == job.id:
                    told.append(f"{about.status}{': ' if message else ''}{message}")
                case Saved(job_id=job.id, picture=picture):
                    told.append(f"saved {picture.index}")
                case Finished(job=about) if about.id == job.id:
                    told.append(f"finished {about.status}")
        return told


Build = Callable[..., Rig]


@pytest.fixture
def build(database: Database) -> Iterator[Build]:
    rigs = []

    def make(*engines: FakeEngine, extensions: Extensions | None = None, start: bool = True) -> Rig:
        named = {f"engine-{number}": engine for number, engine in enumerate(engines)}
        rig = Rig(database, Shelf(database), named, extensions or Extensions())
        rigs.append(rig)
        if start:
            rig.dispatcher.start()
        return rig

    yield make
    for rig in rigs:
        rig.dispatcher.close()


# --- the good way ---


def test_a_job_of_three_pictures(build: Build) -> None:
    rig = build(FakeEngine())
    job = rig.add(count=3, seed=40)
    done = rig.finished(job)
    assert (done.status, done.made, done.error) == (Status.DONE, 3, None)
    assert rig.of(job) == ["running", "saved 0", "saved 1", "saved 2", "finished done"]
    assert rig.shelf.seeds(job.id) == [40, 41, 42]
    assert rig.shelf.pictures[job.id, 2][1].getpixel((0, 0)) == colour(42)
    assert rig.dispatcher.progress(job.id) is None


def test_progress_is_told_at_every_step_with_an_honest_rest(build: Build) -> None:
    rig = build(FakeEngine(delay=0.01))
    job = rig.add(count=2, steps=5)
    rig.finished(job)
    told = [event for event in rig.events if isinstance(event, Progress)]
    assert (told[0].step, told[0].message) == (0, "Loading c …")
    assert [(event.index, event.step) for event in told[1:]] == [(index, step) for index in (0, 1) for step in range(1, 6)]
    assert all(event.total == 5 and event.owner == "host" and event.preview for event in told[1:])
    left = [event.seconds_left for event in told[1:]]
    assert left[0] is None
    assert all(seconds is not None and seconds >= 0 for seconds in left[1:])
    assert left[-1] < left[1]


def test_the_store_says_so_before_the_bus_does(build: Build) -> None:
    rig = build(FakeEngine())
    seen: list[tuple[str, str, int]] = []

    def look(event: BusEvent) -> None:
        match event:
            case Finished(job=job):
                seen.append(("finished", rig.store.get(job.id).status, 0))
            case Saved(job_id=job_id, picture=picture):
                seen.append(("saved", "", rig.store.get(job_id).made - picture.index))

    rig.bus.listen(look)
    rig.finished(rig.add(count=2))
    rig.dispatcher.close()
    assert seen == [("saved", "", 1), ("saved", "", 1), ("finished", "done", 0)]


def test_a_clock_that_jumps_changes_neither_the_order_nor_the_time_left(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.cycle([0.0, 4e9, 1e9, 5.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    rig = build(FakeEngine(delay=0.005))
    jobs = [rig.add(count=2, steps=5) for _ in range(3)]
    for job in jobs:
        assert rig.finished(job).status is Status.DONE
    assert [event.job.id for event in rig.events if isinstance(event, Finished)] == [job.id for job in jobs]
    left = [event.seconds_left for event in rig.events if isinstance(event, Progress) and event.seconds_left is not None]
    assert 0 <= min(left) <= max(left) < SOON


def test_jobs_run_in_order(build: Build) -> None:
    rig = build(FakeEngine())
    rig.store.pause(True)
    jobs = [rig.add(name) for name in "abc"]
    rig.store.move(jobs[2].id, jobs[0].id)
    rig.store.pause(False)
    rig.dispatcher.wake()
    for job in jobs:
        rig.finished(job)
    assert [event.job.request.prompt for event in rig.events if isinstance(event, Finished)] == ["c", "a", "b"]


def test_several_engines_share_the_queue_and_never_a_job(build: Build) -> None:
    rig = build(*(FakeEngine(delay=0.005) for _ in range(3)))
    jobs = [rig.add(count=2, seed=number) for number in range(12)]
    for job in jobs:
        assert rig.finished(job).status is Status.DONE
    assert sorted(rig.shelf.calls) == sorted((job.id, index) for job in jobs for index in range(2))
    running: set[str] = set()
    most = 0
    for event in rig.events:
        if isinstance(event, Changed) and event.job.status is Status.RUNNING:
            assert event.job.id not in running
            running.add(event.job.id)
            most = max(most, len(running))
        elif isinstance(event, Finished):
            running.remove(event.job.id)
    assert 1 < most <= 3


def test_states_and_warm_reach_every_engine(build: Build) -> None:
    rig = build(FakeEngine(), FakeEngine())
    rig.dispatcher.warm("c")
    assert [state.loaded for state in rig.dispatcher.states()] == [("c",), ("c",)]


def test_extensions_change_pictures(build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "extensions" / "negative"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "from PIL import ImageOps\nfrom webui.hooks import hookimpl\n"
        "@hookimpl\ndef process_image(image):\n    return ImageOps.invert(image)\n"
    )
    extensions = Extensions(folder=tmp_path / "extensions")
    rig = build(FakeEngine(), extensions=extensions)
    job = rig.add(seed=5)
    rig.finished(job)
    assert rig.shelf.pictures[job.id, 0][1].getpixel((0, 0)) == tuple(255 - part for part in colour(5))


def test_a_decode_in_fp32_is_told_once(build: Build) -> None:
    class Overflowing(FakeEngine):
        def run(self, request, *, first=0, cancelled):  # type: ignore[no-untyped-def]
            for event in super().run(request, first=first, cancelled=cancelled):
                retry = {"Retry": "decoded in fp32, since fp16 overflowed"} if isinstance(event, Produced) and event.index else {}
                yield replace(event, facts=event.facts | retry) if retry else event

    rig = build(Overflowing())
    job = rig.add(count=3)
    rig.finished(job)
    told = "running: Picture 2 was decoded in fp32, since fp16 overflowed."
    assert rig.of(job) == ["running", "saved 0", told, "saved 1", "saved 2", "finished done"]


# --- cancelling ---


def test_a_running_job_is_cancelled_within_a_step(build: Build) -> None:
    rig = build(FakeEngine(delay=0.02))
    job = rig.add(count=50, steps=50)
    rig.until(lambda event: isinstance(event, Progress) and event.step >= 3)
    rig.store.cancel(job.id)
    steps = len(rig.events)
    done = rig.finished(job)
    assert (done.status, done.made, done.error) == (Status.CANCELLED, 0, None)
    assert len(rig.events) - steps <= 4
    after = rig.add()
    assert rig.finished(after).status is Status.DONE, "the next job is not hit"


def test_pictures_made_before_a_cancel_stay(build: Build) -> None:
    rig = build(FakeEngine(delay=0.01))
    job = rig.add(count=50, steps=3)
    rig.until(lambda event: isinstance(event, Saved) and event.picture.index == 1)
    rig.store.cancel(job.id)
    done = rig.finished(job)
    assert done.status is Status.CANCELLED
    assert done.made == len(rig.shelf.seeds(job.id)) >= 2


def test_a_paused_queue_finishes_what_runs_and_starts_nothing(build: Build) -> None:
    rig = build(FakeEngine(delay=0.01))
    first, second = rig.add(steps=5), rig.add()
    rig.until(lambda event: isinstance(event, Progress))
    rig.store.pause(True)
    assert rig.finished(first).status is Status.DONE
    time.sleep(0.1)
    assert rig.store.get(second.id).status is Status.QUEUED
    rig.store.pause(False)
    rig.dispatcher.wake()
    assert rig.finished(second).status is Status.DONE


# --- what goes wrong in the engine ---


def test_a_failure_is_tried_again_at_the_next_picture_with_the_same_seeds(build: Build) -> None:
    rig = build(FakeEngine(fail_at=2, fault=EngineDied("The engine was stopped from outside (killed or out of memory).")))
    job = rig.add(count=4, seed=9)
    assert rig.finished(job).status is Status.DONE
    assert rig.of(job) == [
        "running", "saved 0", "saved 1",
        "queued: The engine was stopped from outside (killed or out of memory). The job starts again at picture 3 of 4.",
        "running", "saved 2", "saved 3", "finished done",
    ]  # fmt: skip
    assert rig.shelf.seeds(job.id) == [9, 10, 11, 12]
    warning = rig.until(lambda event: isinstance(event, QueueChanged))
    assert isinstance(warning, QueueChanged)
    assert (warning.paused, warning.level) == (False, "warning")
    assert "killed or out of memory" in warning.message


@pytest.mark.parametrize("fault", [EngineDied("It died."), EngineError("A driver's own.")])
def test_the_third_failure_in_a_row_ends_the_job_with_the_reason(build: Build, fault: EngineError) -> None:
    rig = build(FakeEngine(fail_at=1, fail_times=-1, fault=fault))
    job = rig.add(count=3)
    done = rig.finished(job)
    assert (done.status, done.made) == (Status.FAILED, 1)
    assert done.error == f"{fault} It was tried 3 times without a new picture."
    assert rig.of(job).count("running") == 4, "one picture in the first start, then three starts without"
    assert rig.finished(rig.add()).status is Status.DONE, "the queue goes on"


OWN_FAULTS = [
    (LoadFailed("c.safetensors is incomplete."), 1),
    (UnknownName("checkpoint", "c", ()), 1),  # its file was taken away
    (NoPicture("It came out as no picture at all."), 1),
    (OutOfMemory("It needs 9 GB."), 2),  # the first has let go of what was kept for other jobs
]


@pytest.mark.parametrize(("fault", "starts"), OWN_FAULTS, ids=lambda case: type(case).__name__)
def test_what_is_the_jobs_own_fault_ends_it_soon_and_no_other(build: Build, fault: Exception, starts: int) -> None:
    rig = build(FakeEngine(fail_at=0, fail_times=3 * starts, fault=fault))
    jobs = [rig.add() for _ in range(4)]
    for job in jobs[:3]:
        done = rig.finished(job)
        assert (done.status, done.error) == (Status.FAILED, str(fault))
        assert rig.of(job).count("running") == starts
    assert rig.finished(jobs[3]).status is Status.DONE, "the queue goes on"
    assert not any(isinstance(event, QueueChanged) for event in rig.events)


def test_a_job_that_runs_out_of_memory_after_a_picture_has_both_tries_at_the_next(build: Build) -> None:
    rig = build(FakeEngine(fail_at=1, fail_times=-1, fault=OutOfMemory("It needs 9 GB.")))
    job = rig.add(count=2)
    assert rig.finished(job).made == 1
    assert rig.of(job).count("running") == 3


def test_what_can_never_work_fails_at_once_with_its_sentence(build: Build) -> None:
    rig = build(FakeEngine(fail_at=0, fault=Unsupported("This checkpoint knows no 8-pixel pictures. Ask for 64.")))
    job = rig.add()
    done = rig.finished(job)
    assert (done.status, done.error) == (Status.FAILED, "This checkpoint knows no 8-pixel pictures. Ask for 64.")
    assert rig.of(job).count("running") == 1


def test_the_unexpected_ends_one_job_in_plain_words_with_the_traceback_in_the_log(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    rig = build(FakeEngine(fail_at=0, fault=ZeroDivisionError("secret detail")))
    with caplog.at_level(logging.ERROR):
        done = rig.finished(rig.add())
    assert (done.status, done.error) == (Status.FAILED, "Something unexpected went wrong (ZeroDivisionError); the log has the details.")
    assert "secret detail" in caplog.text
    assert "Traceback" in caplog.text
    assert rig.finished(rig.add()).status is Status.DONE


def test_an_engine_that_ends_early_has_failed(build: Build) -> None:
    class Lazy(FakeEngine):
        def run(self, request, *, first=0, cancelled):  # type: ignore[no-untyped-def]
            yield Step(first, 1, 2)
            yield Produced(first, Image.new("RGB", (64, 64)), request.seed_of(first))

    rig = build(Lazy())
    job = rig.add(count=3)
    assert rig.finished(job).status is Status.DONE, "each start makes one picture"
    assert any("The engine ended after 1 of 3 pictures" in line for line in rig.of(job))


def test_an_engine_that_stops_without_being_asked_has_failed(build: Build) -> None:
    rig = build(FakeEngine(fail_at=0, fail_times=-1, fault=Cancelled()))  # type: ignore[arg-type]
    done = rig.finished(rig.add())
    assert done.status is Status.FAILED
    assert "stopped without being asked" in (done.error or "")


def test_a_generator_is_closed_when_its_picture_cannot_be_kept(build: Build) -> None:
    class Watched(FakeEngine):
        ended = 0

        def run(self, request, *, first=0, cancelled):  # type: ignore[no-untyped-def]
            try:
                yield from super().run(request, first=first, cancelled=cancelled)
            finally:
                self.ended += 1

    engine = Watched()
    rig = build(engine)
    ended: list[int] = []
    rig.bus.listen(lambda event: ended.append(engine.ended) if isinstance(event, QueueChanged) else None)
    rig.shelf.trouble = [StorageError("The disk is full.")]
    rig.add()
    rig.until(lambda event: isinstance(event, Changed) and event.message == "The disk is full.")
    assert ended == [1], "before anything else, not when its traceback is forgotten"


# --- an engine that fails job after job ---


FAULTS = [
    EngineDied("It died."),
    EngineError("The engine failed."),
    RuntimeError("a driver's own"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_dead_engine_fails_one_job_and_the_others_wait_for_it(build: Build, fault: Exception) -> None:
    engine = FakeEngine(fail_at=0, fail_times=-1, fault=fault)
    rig = build(engine)
    rig.store.pause(True)
    jobs = [rig.add(str(number), seed=number) for number in range(20)]
    rig.store.pause(False)
    rig.dispatcher.wake()
    told = rig.until(lambda event: isinstance(event, QueueChanged) and event.paused)
    assert isinstance(told, QueueChanged)
    assert "Two jobs in a row came to nothing" in told.message
    rig.until(lambda event: isinstance(event, Changed) and event.job.id == jobs[1].id and event.job.status is Status.QUEUED)
    assert rig.store.get(jobs[0].id).status is Status.FAILED
    assert [(job.id, job.attempts) for job in rig.store.list(active=True)] == [(job.id, 0) for job in jobs[1:]]

    rig.events.clear()
    rig.store.pause(False)  # Resume, and it is still dead: nothing burns
    rig.dispatcher.wake()
    rig.until(lambda event: isinstance(event, Changed) and event.job.status is Status.QUEUED)
    assert len(rig.store.list(active=True)) == 19

    engine.faults_left = 0
    rig.store.pause(False)
    rig.dispatcher.wake()
    for job in jobs[1:]:
        assert rig.finished(job).status is Status.DONE


def test_jobs_that_can_never_work_do_not_stop_the_queue(build: Build) -> None:
    rig = build(FakeEngine(fail_at=0, fail_times=3, fault=Unsupported("Ask for less.")))
    jobs = [rig.add() for _ in range(4)]
    assert [rig.finished(job).status for job in jobs] == [Status.FAILED] * 3 + [Status.DONE]


def test_jobs_that_fail_each_after_a_picture_do_not_stop_the_queue(build: Build) -> None:
    rig = build(FakeEngine(fail_at=1, fail_times=-1, fault=EngineDied("It died.")))
    jobs = [rig.add(count=2) for _ in range(3)]
    assert [rig.finished(job).status for job in jobs] == [Status.FAILED] * 3
    assert not rig.store.paused


# --- a full disk ---


def test_a_full_disk_pauses_the_queue_and_loses_nothing(build: Build) -> None:
    rig = build(FakeEngine())
    rig.shelf.trouble = [StorageError("The disk is full: the picture needs 2 MB. Free some space.")]
    job, other = rig.add(count=2, seed=3), rig.add()
    told = rig.until(lambda event: isinstance(event, QueueChanged))
    assert isinstance(told, QueueChanged)
    assert (told.paused, told.level) == (True, "warning")
    assert told.message == "The queue is paused. The disk is full: the picture needs 2 MB. Free some space. Press Resume to go on."
    rig.until(lambda event: isinstance(event, Changed) and event.job.status is Status.QUEUED)
    assert rig.store.paused
    assert told.because == rig.store.paused_because == "The disk is full: the picture needs 2 MB. Free some space."
    assert [(each.id, each.attempts) for each in rig.store.list(active=True)] == [(job.id, 0), (other.id, 0)]
    rig.store.pause(False)
    rig.dispatcher.wake()
    assert rig.finished(job).status is Status.DONE
    assert rig.finished(other).status is Status.DONE
    assert rig.shelf.seeds(job.id) == [3, 4]


@pytest.mark.parametrize("change", ["take", "made", "finish", "put_back"])
def test_a_queue_that_cannot_be_written_waits_and_goes_on_where_it_was(build: Build, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = build(FakeEngine(fail_at=0))  # fails once, so that the job is put back too
    real = getattr(rig.store, change)
    failures = [StorageError("The disk is full.")]

    def full_once(*args, **fields):  # type: ignore[no-untyped-def]
        if failures and not rig.store.paused:
            raise failures.pop()
        return real(*args, **fields)

    monkeypatch.setattr(rig.store, change, full_once)
    job = rig.add(count=2, seed=3)
    rig.until(lambda event: isinstance(event, QueueChanged) and event.paused)
    assert not failures
    rig.store.pause(False)
    rig.dispatcher.wake()
    assert rig.finished(job).status is Status.DONE
    assert rig.shelf.seeds(job.id) == [3, 4]
    assert sorted(rig.shelf.calls) == [(job.id, 0), (job.id, 1)], "nothing is made twice"


def test_a_picture_that_is_there_already_is_not_kept_twice(build: Build, database: Database) -> None:
    """The program ended after the picture was saved and before it was counted."""
    rig = build(FakeEngine(), start=False)
    job = rig.store.add(ask(count=3, seed=3), HOST)
    taken = rig.store.take("engine-0")
    assert taken is not None
    rig.shelf.save(taken, 0, Image.new("RGB", (64, 64)), 3, {})
    rig.dispatcher.start()
    assert rig.finished(job).status is Status.DONE
    assert rig.shelf.calls == [(job.id, index) for index in range(3)]
    assert rig.shelf.seeds(job.id) == [3, 4, 5]


def test_a_defect_in_the_store_stops_the_queue_in_the_open(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = build(FakeEngine(), start=False)
    real, failures = rig.store.take, [RuntimeError("a defect")]

    def broken_once(engine: str) -> Job | None:
        if failures:
            raise failures.pop()
        return real(engine)

    monkeypatch.setattr(rig.store, "take", broken_once)
    rig.dispatcher.start()
    told = rig.until(lambda event: isinstance(event, QueueChanged) and event.paused)
    assert isinstance(told, QueueChanged)
    assert "the log has the details" in told.message
    rig.store.pause(False)
    assert rig.finished(rig.add()).status is Status.DONE


# --- the end ---


def test_the_end_is_quick_and_puts_the_running_job_back(build: Build, database: Database) -> None:
    rig = build(FakeEngine(delay=0.05), FakeEngine(delay=0.05))
    running = [rig.add(count=10, steps=5), rig.add(count=10, steps=5)]
    waiting = rig.add()
    for job in running:
        rig.until(lambda event, job=job: isinstance(event, Saved) and event.job_id == job.id)
    started = time.monotonic()
    rig.dispatcher.close()
    assert time.monotonic() - started < 2
    left = JobStore(database).list(active=True)
    assert [job.id for job in left[2:]] == [waiting.id]
    assert {job.id for job in left[:2]} == {job.id for job in running}
    assert all(job.status is Status.QUEUED and job.attempts == 0 and job.made == len(rig.shelf.seeds(job.id)) for job in left[:2])
    rig.dispatcher.close()


def test_the_end_does_not_wait_for_a_long_step(build: Build) -> None:
    """A closed engine ends its run with `EngineDied`; at the end of the program that is no attempt of the job's."""
    rig = build(FakeEngine(delay=60))
    job = rig.add()
    rig.until(lambda event: isinstance(event, Progress))
    started = time.monotonic()
    rig.dispatcher.close()
    assert time.monotonic() - started < 2
    put_back = rig.store.get(job.id)
    assert (put_back.status, put_back.attempts) == (Status.QUEUED, 0)


def test_the_end_does_not_wait_for_an_engine_that_hears_nothing(build: Build) -> None:
    release = threading.Event()

    class Deaf(FakeEngine):
        def run(self, request, *, first=0, cancelled):  # type: ignore[no-untyped-def]
            yield Step(0, 1, 2)
            release.wait(30)

        def close(self) -> None:
            release.wait(30)

    rig = build(Deaf())
    job = rig.add()
    rig.until(lambda event: isinstance(event, Progress))
    started = time.monotonic()
    rig.dispatcher.close()
    assert time.monotonic() - started < 2.2
    release.set()
    (recovered,) = JobStore(rig.shelf.database).recover() or [rig.store.get(job.id)]
    assert recovered.status is Status.QUEUED


def test_the_end_while_the_disk_is_full(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = build(FakeEngine())
    monkeypatch.setattr(rig.store, "made", lambda job_id, index: (_ for _ in ()).throw(StorageError("The disk is full.")))
    job = rig.add()
    rig.until(lambda event: isinstance(event, QueueChanged) and event.paused)
    started = time.monotonic()
    rig.dispatcher.close()
    assert time.monotonic() - started < 2
    monkeypatch.undo()
    (recovered,) = rig.store.recover()
    assert (recovered.id, recovered.status) == (job.id, Status.DONE), "its picture was saved"


def test_a_dispatcher_that_never_started_ends_too(build: Build) -> None:
    build(FakeEngine(), start=False).dispatcher.close()
