"""A random walk over the queue beside a model of it in plain lists: no job lost, order kept, attempts counted."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.jobs.conftest import ask, keep_picture
from webui.core.errors import Conflict
from webui.core.job import HOST, Person, Status
from webui.database import Database
from webui.jobs.store import MAX_ATTEMPTS, JobStore

PEOPLE = (HOST, Person(id="ada", name="Ada"))


class Known:
    """What the model knows of a job."""

    def __init__(self, count: int, owner: str) -> None:
        self.count = count
        self.owner = owner
        self.status = Status.QUEUED
        self.made = 0
        self.attempts = 0
        self.saved = 0  # pictures in the gallery
        self.cancel = False


class Queue(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(Path(self.folder.name) / "gesso.sqlite3")
        self.database._writer.execute("PRAGMA synchronous = OFF")  # thousands of commits, and no power cut here
        self.store = JobStore(self.database)
        self.known: dict[str, Known] = {}
        self.waiting: list[str] = []
        self.running: list[str] = []
        self.paused = False

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.database.close()
            self.folder.cleanup()

    # --- what people do ---

    @rule(count=st.integers(1, 4), owner=st.sampled_from(PEOPLE))
    def add(self, count: int, owner: Person) -> None:
        job = self.store.add(ask(count=count), owner)
        self.known[job.id] = Known(count, owner.id)
        self.waiting.append(job.id)

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(list(self.known)))
        if self.known[job_id].status.final:
            try:
                self.store.cancel(job_id)
            except Conflict:
                return
            raise AssertionError("a job that has ended was cancelled")
        self.store.cancel(job_id)
        self._cancelled(job_id)

    @rule(owner=st.sampled_from([None, "host", "ada"]))
    def cancel_all(self, owner: str | None) -> None:
        mine = [job_id for job_id in [*self.running, *self.waiting] if owner in (None, self.known[job_id].owner)]
        assert [job.id for job in self.store.cancel_all(owner)] == mine
        for job_id in mine:
            self._cancelled(job_id)

    def _cancelled(self, job_id: str) -> None:
        self.known[job_id].cancel = True
        if job_id in self.waiting:
            self.waiting.remove(job_id)
            self.known[job_id].status = Status.CANCELLED

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(self.waiting))
        before = data.draw(st.sampled_from([None, *self.waiting]))
        self.store.move(job_id, before)
        if before != job_id:
            self.waiting.remove(job_id)
            self.waiting.insert(len(self.waiting) if before is None else self.waiting.index(before), job_id)

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.store.pause(paused)
        self.paused = paused

    # --- what the dispatcher does ---

    @rule(engine=st.sampled_from(["cpu", "cuda:0"]))
    def take(self, engine: str) -> None:
        job = self.store.take(engine)
        expected = self.waiting[0] if self.waiting and not self.paused else None
        assert (job.id if job else None) == expected
        if expected is not None:
            self.running.append(self.waiting.pop(0))
            self.known[expected].status = Status.RUNNING
            self.known[expected].attempts += 1

    @precondition(lambda self: self.running)
    @rule(data=st.data(), counted=st.booleans())
    def save(self, data: st.DataObject, counted: bool) -> None:
        """A picture reaches the gallery; `counted` False stands for a crash before it was counted."""
        job_id = data.draw(st.sampled_from(self.running))
        job = self.known[job_id]
        if job.made == job.count:
            return
        if job.saved == job.made:
            keep_picture(self.database, job_id, job.made)
            job.saved += 1
        if counted:
            assert self.store.made(job_id, job.made).made == job.made + 1
            job.made += 1
            job.attempts = 0

    @precondition(lambda self: self.running)
    @rule(data=st.data(), status=st.sampled_from([Status.DONE, Status.FAILED, Status.CANCELLED]))
    def finish(self, data: st.DataObject, status: Status) -> None:
        job_id = data.draw(st.sampled_from(self.running))
        self.store.finish(job_id, status)
        self.running.remove(job_id)
        self.known[job_id].status = status

    @precondition(lambda self: self.running)
    @rule(data=st.data(), counted=st.booleans())
    def put_back(self, data: st.DataObject, counted: bool) -> None:
        job_id = data.draw(st.sampled_from(self.running))
        self.running.remove(job_id)
        self._put_back(job_id, counted)
        assert self.store.put_back(job_id, counted=counted).status is self.known[job_id].status

    def _put_back(self, job_id: str, counted: bool) -> None:
        job = self.known[job_id]
        if job.cancel:
            job.status = Status.CANCELLED
        elif counted and job.attempts >= MAX_ATTEMPTS:
            job.status = Status.FAILED
        else:
            job.status = Status.QUEUED
            self.waiting.insert(0, job_id)
        if not counted:
            job.attempts = max(0, job.attempts - 1)

    @rule()
    def crash(self) -> None:
        self.database.close()
        self.database = Database(self.database.path)
        self.database._writer.execute("PRAGMA synchronous = OFF")
        self.store = JobStore(self.database)
        self.store.recover()
        for job_id in reversed(self.running):
            job = self.known[job_id]
            if job.saved > job.made:
                job.made, job.attempts = job.saved, 0
            if job.made == job.count:
                job.status = Status.DONE
            else:
                self._put_back(job_id, counted=True)
        self.running.clear()

    # --- what always holds ---

    @invariant()
    def the_queue_is_as_the_model(self) -> None:
        if not hasattr(self, "store"):
            return
        assert [job.id for job in self.store.list(active=True)] == [*self.running, *self.waiting]
        assert self.store.waiting("ada") == (len(self.waiting), sum(self.known[job_id].owner == "ada" for job_id in self.waiting))
        assert [self.store.position(job_id) for job_id in self.waiting] == list(range(len(self.waiting)))
        assert {job_id for job_id in self.known if self.store.cancelling(job_id)} == {
            job_id for job_id in self.running if self.known[job_id].cancel
        }
        assert self.store.paused == self.paused

    @invariant()
    def no_job_is_lost(self) -> None:
        if not hasattr(self, "store"):
            return
        jobs = {job.id: job for job in self.store.list(limit=10_000)}
        assert list(jobs) == list(reversed(self.known)), "newest first"
        for job_id, known in self.known.items():
            job = jobs[job_id]
            assert (job.status, job.made, job.attempts) == (known.status, known.made, known.attempts)
            assert job.status.final == (job.finished_at is not None)


class LongQueue(Queue):
    """The same, for minutes."""


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
TestLongQueue = pytest.mark.long(LongQueue.TestCase)
TestLongQueue.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
