"""`Dispatcher`: one thread an engine, each taking the next job, running it, saving its pictures and telling of it."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from PIL.Image import Image

from webui.core.engine import Engine
from webui.core.errors import Cancelled, EngineDied, EngineError, StorageError, UserError
from webui.core.events import Changed, EngineEvent, Finished, Loading, Produced, Progress, QueueChanged, Saved, Step
from webui.core.job import Job, Status
from webui.core.parts import EngineState
from webui.core.picture import Picture
from webui.extensions import Extensions
from webui.jobs.bus import Bus
from webui.jobs.estimate import Estimate, Pace
from webui.jobs.store import JobStore

log = logging.getLogger(__name__)

GRACE = 0.4  # seconds that a run gets to end by itself at the end of the program
CLOSING = 1.9  # seconds for the whole end

Save = Callable[[Job, int, Image, int, Mapping[str, str]], Picture]
Result = TypeVar("Result")


class _Closing(Exception):
    """The program ends; what is unfinished is put right by `JobStore.recover` at the next start."""


class Dispatcher:
    """Starts nothing before `start`. All methods may be called from any thread."""

    def __init__(self, store: JobStore, bus: Bus, engines: Mapping[str, Engine], save: Save, extensions: Extensions) -> None:
        self._store = store
        self._bus = bus
        self._engines = dict(engines)
        self._save = save
        self._extensions = extensions
        self._progress: dict[str, Progress] = {}
        self._wakes = 0
        self._woken = threading.Condition()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(name, engine), name=f"dispatcher-{name}", daemon=True)
            for name, engine in self._engines.items()
        ]

    # --- from outside ---

    def start(self) -> None:
        """Put right what a crash left, then begin to work. The gallery must have found its files before."""
        self._store.recover()
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look at the queue: something was added or resumed."""
        with self._woken:
            self._wakes += 1
            self._woken.notify_all()

    def states(self) -> tuple[EngineState, ...]:
        return tuple(engine.state() for engine in self._engines.values())

    def warm(self, checkpoint: str) -> None:
        """Every engine starts to bring the checkpoint to memory; returns at once."""
        for engine in self._engines.values():
            engine.warm(checkpoint)

    def progress(self, job_id: str) -> Progress | None:
        """The latest of a running job."""
        return self._progress.get(job_id)

    def close(self) -> None:
        """Stop within 2 s: running jobs go back to the queue without an attempt counted, engines are closed. Idempotent."""
        self._closing.set()
        self.wake()
        deadline = time.monotonic() + CLOSING
        self._join(time.monotonic() + GRACE)
        closers = [threading.Thread(target=engine.close, daemon=True) for engine in self._engines.values()]
        for closer in closers:
            closer.start()
        for closer in closers:
            closer.join(max(0.0, deadline - time.monotonic()))
        self._join(deadline)

    def _join(self, deadline: float) -> None:
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))

    # --- one thread an engine ---

    def _work(self, name: str, engine: Engine) -> None:
        pace, record = Pace(), _Record()
        while not self._closing.is_set():
            seen = self._wakes
            try:
                job = self._take(name)
                if job is not None:
                    self._run(engine, _Run(job, Estimate(job.request, pace), record, job.made))
                    continue
            except _Closing:
                return
            except Exception:
                if self._closing.is_set():
                    return
                log.exception("the queue stopped")
                self._hold("Something unexpected went wrong; the log has the details.")
            self._wait_for_wake(seen)

    def _wait_for_wake(self, seen: int) -> None:
        self._wait(lambda: self._wakes != seen)

    def _wait(self, enough: Callable[[], bool]) -> None:
        with self._woken:
            self._woken.wait_for(lambda: self._closing.is_set() or enough())

    def _take(self, name: str) -> Job | None:
        def change() -> Job | None:
            job = self._store.take(name)
            if job is not None:
                self._bus.publish(Changed(job))
            return job

        return self._durably(change)

    def _run(self, engine: Engine, run: "_Run") -> None:
        """The whole way of one job, whatever becomes of it."""
        try:
            self._make(engine, run)
        except Cancelled:
            self._stopped(run)
        except UserError as error:
            self._end(run, Status.FAILED, str(error))
        except EngineError as error:
            self._retry(run, error)
        except StorageError as error:
            self._hold(str(error))
            self._back(run, counted=False, message=str(error))
        except _Closing:
            raise
        except Exception as error:
            log.exception("job %s failed", run.job.id)
            self._fail(run, f"Something unexpected went wrong ({type(error).__name__}); the log has the details.")
        else:
            self._end(run, Status.DONE)
        finally:
            self._progress.pop(run.job.id, None)

    def _make(self, engine: Engine, run: "_Run") -> None:
        job_id, request = run.job.id, run.job.request
        events = engine.run(request, first=run.made, cancelled=lambda: self._closing.is_set() or self._store.cancelling(job_id))
        try:
            for event in events:
                self._handle(run, event)
        finally:
            if isinstance(events, Generator):
                events.close()  # now, not when the traceback is forgotten: it may hold a device
        if run.made < request.count:
            raise EngineError(f"The engine ended after {run.made} of {request.count} pictures.")

    def _handle(self, run: "_Run", event: EngineEvent) -> None:
        total = run.job.request.sampling.steps
        match event:
            case Loading(message=message):
                self._tell(Progress(run.job.id, run.job.owner, run.made, 0, total, message=message))
            case Step(index=index, step=step, total=total, preview=preview):
                left = run.estimate.step(event, time.monotonic())
                self._tell(Progress(run.job.id, run.job.owner, index, step, total, seconds_left=left, preview=preview))
            case Produced():
                self._keep(run, event)

    def _tell(self, progress: Progress) -> None:
        self._progress[progress.job_id] = progress
        self._bus.publish(progress)

    def _keep(self, run: "_Run", produced: Produced) -> None:
        """Save a picture, count it, tell of it: in this order, so that a crash between any two neither loses nor doubles it."""
        self._say_retry(run, produced)
        image = self._extensions.process_image(produced.image, run.job.request, produced.index)
        picture = self._save(run.job, produced.index, image, produced.seed, produced.facts)

        def change() -> None:
            run.made = self._store.made(run.job.id, produced.index).made
            self._bus.publish(Saved(run.job.id, picture))

        self._durably(change)
        run.record.failed = None
        run.estimate.saved(produced.index, time.monotonic())

    def _say_retry(self, run: "_Run", produced: Produced) -> None:
        """Once a run: it made this picture slower, and will do so with the others."""
        if "Retry" in produced.facts and not run.retried:
            run.retried = True
            with self._store.order:
                message = f"Picture {produced.index + 1} was {produced.facts['Retry']}."
                self._bus.publish(Changed(self._store.get(run.job.id), message))

    # --- how a run ends ---

    def _end(self, run: "_Run", status: Status, error: str | None = None) -> None:
        def change() -> None:
            self._bus.publish(Finished(self._store.finish(run.job.id, status, error)))

        self._durably(change)

    def _fail(self, run: "_Run", reason: str) -> None:
        if run.spares():
            self._spare(run, reason)
            return
        self._end(run, Status.FAILED, reason)
        run.record.failed = run.job.id

    def _spare(self, run: "_Run", reason: str) -> None:
        """Job after job fails on this engine, so it is no job's fault: those that wait are not to burn one by one."""
        self._hold(f"Two jobs in a row came to nothing, so the others wait until Resume. {reason}")
        self._back(run, counted=False, message=f"{reason} The queue is paused. If this job alone is the reason, cancel it.")

    def _stopped(self, run: "_Run") -> None:
        if self._store.cancelling(run.job.id):
            self._end(run, Status.CANCELLED)
        else:
            self._retry(run, EngineError("The engine stopped without being asked."))

    def _retry(self, run: "_Run", error: EngineError) -> None:
        if self._closing.is_set():
            self._back(run, counted=False)
            return
        log.warning("job %s: %s", run.job.id, error)
        if error.tries is not None and run.starts() >= error.tries:
            self._end(run, Status.FAILED, str(error))
            return
        if error.tries is None and run.spares():
            self._spare(run, str(error))
            return
        again = "The job starts again" + (f" at picture {run.made + 1} of {run.job.request.count}." if run.job.request.count > 1 else ".")
        self._back(run, counted=True, reason=str(error), message=f"{error} {again}")
        if isinstance(error, EngineDied):
            self._bus.publish(QueueChanged(self._store.paused, str(error), "warning", self._store.paused_because))

    def _back(self, run: "_Run", *, counted: bool, reason: str = "", message: str = "") -> None:
        def change() -> None:
            job = self._store.put_back(run.job.id, counted=counted, reason=reason)
            if job.status is Status.FAILED:
                run.record.failed = job.id
            self._bus.publish(Finished(job) if job.status.final else Changed(job, message))

        self._durably(change)

    # --- a disk that is full ---

    def _durably(self, change: Callable[[], Result]) -> Result:
        """Make a change and announce it; while it cannot be written the queue is paused, and Resume tries again."""
        while True:
            try:
                with self._store.order:
                    return change()
            except StorageError as error:
                if self._closing.is_set():
                    raise _Closing from error
                self._hold(str(error))
            self._wait(lambda: not self._store.paused)

    def _hold(self, why: str) -> None:
        log.error("the queue is paused: %s", why)
        with self._store.order:
            try:
                self._store.pause(True, why)
            except StorageError as error:
                log.error("the pause will not outlive a restart: %s", error)
            self._bus.publish(QueueChanged(True, f"The queue is paused. {why} Press Resume to go on.", "warning", why))


@dataclass(slots=True)
class _Record:
    """How an engine has done lately."""

    failed: str | None = None  # the last job that failed on it for good, until it makes a picture again


@dataclass(slots=True)
class _Run:
    """One start of one job."""

    job: Job
    estimate: Estimate
    record: _Record
    made: int  # pictures saved, also those of earlier starts
    retried: bool = False  # whether it was said that a picture was done once more

    def starts(self) -> int:
        """How often the job was started since its last picture, this time included."""
        return self.job.attempts if self.made == self.job.made else 1

    def spares(self) -> bool:
        """Whether another job failed on this engine just before, so that this failure is the engine's own."""
        return self.record.failed not in (None, self.job.id)
