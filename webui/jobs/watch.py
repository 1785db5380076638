"""`watch`: what happens to one job, for a watcher that may come late, come twice, or read slowly."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from webui.core.events import BusEvent, Changed, Finished, JobEvent, Progress, QueueChanged, Saved
from webui.jobs.bus import Bus
from webui.jobs.store import JobStore


def watch(store: JobStore, bus: Bus, latest: Callable[[str], Progress | None], job_id: str, timeout: float | None) -> Iterator[JobEvent]:
    """The job as it is now, then all that happens to it, ending with `Finished`. Raises `TimeoutError` after `timeout` seconds.

    `latest` gives the last progress of a running job. Listens before it reads, and both before anything else is announced.
    """
    inbox = _Inbox(job_id)
    with store.order:
        stop = bus.listen(inbox.put)
        job = store.get(job_id)
        progress = latest(job_id)
    try:
        if job.status.final:
            yield Finished(job)
            return
        yield Changed(job)
        if progress is not None:
            yield progress
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            event = inbox.get(deadline)
            if event is None:
                raise TimeoutError(f"The job {job_id} did not end within {timeout} s.")
            yield event
            if isinstance(event, Finished):
                return
    finally:
        stop()


class _Inbox:
    """One job's events for one reader. Progress that was not read in time gives way to later progress, so it stays small."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._events: deque[JobEvent] = deque()
        self._filled = threading.Condition()

    def put(self, event: BusEvent) -> None:
        if isinstance(event, QueueChanged) or job_of(event) != self._job_id:
            return
        with self._filled:
            if isinstance(event, Progress) and self._events and isinstance(self._events[-1], Progress):
                self._events.pop()
            self._events.append(event)
            self._filled.notify()

    def get(self, deadline: float | None) -> JobEvent | None:
        """The next event; None at the deadline (seconds of the monotonic clock)."""
        with self._filled:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            return self._events.popleft() if self._filled.wait_for(lambda: self._events, left) else None


def job_of(event: JobEvent) -> str:
    """The id of the job that an event is about."""
    match event:
        case Progress(job_id=job_id) | Saved(job_id=job_id):
            return job_id
        case Changed(job=job) | Finished(job=job):
            return job.id
