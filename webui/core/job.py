"""A request in the queue, and whose it is."""

from enum import StrEnum

from webui.core.request import Frozen, GenerationRequest


class Status(StrEnum):
    """`queued` → `running` → one of `done`, `failed`, `cancelled`. A crash puts `running` back to `queued`."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in (Status.DONE, Status.FAILED, Status.CANCELLED)


class Person(Frozen):
    """Who asks: the host (who started the program) or a collaborator on the LAN link."""

    id: str
    name: str
    host: bool = False


HOST = Person(id="host", name="Host", host=True)


class Job(Frozen):
    """One row of the queue, as it is now. Times are seconds since 1970 (UTC)."""

    id: str
    owner: str  # Person.id
    owner_name: str
    request: GenerationRequest
    status: Status
    place: float  # order in the queue: the smallest runs first
    made: int  # pictures saved so far; the job resumes at this index
    attempts: int  # starts since the last new picture
    cancel_requested: bool = False
    error: str | None = None
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
