"""What the API answers, where that is more than a core type."""

import base64
from pathlib import Path
from typing import Annotated, Any, Self

from fastapi import Depends, Request
from pydantic import Field

from webui.core.events import Progress
from webui.core.job import Job, Person
from webui.core.parts import EngineState
from webui.core.picture import Picture
from webui.core.records import ModelRecord
from webui.core.request import Frozen
from webui.door import Link, person_of
from webui.studio import Studio


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


def _person(request: Request) -> Person:
    return person_of(request.scope)


def _link(request: Request) -> Link | None:
    link: Link | None = request.app.state.link
    return link


TheStudio = Annotated[Studio, Depends(_studio)]
Who = Annotated[Person, Depends(_person)]
TheLink = Annotated[Link | None, Depends(_link)]


class Health(Frozen):
    """That the program answers; tells strangers nothing more."""

    status: str = "ok"


class ErrorDetail(Frozen):
    message: str = Field(description="A sentence for the person at the screen, with the way out.")
    field: str | None = Field(None, description="The request's field at fault, dotted.")
    kind: str = Field(description="The error's class.")


class ErrorView(Frozen):
    """Every answer of status 400 and above."""

    error: ErrorDetail


class ProgressView(Frozen):
    """`webui.core.events.Progress`, its preview as base64 of a small WebP."""

    job_id: str
    index: int = Field(description="0-based picture of the job")
    step: int = Field(description="0 while weights load")
    total: int
    seconds_left: float | None = None
    message: str = ""
    preview: str | None = None

    @classmethod
    def of(cls, progress: Progress, *, preview: bool) -> Self:
        shown = base64.b64encode(progress.preview).decode("ascii") if preview and progress.preview else None
        return cls(
            job_id=progress.job_id,
            index=progress.index,
            step=progress.step,
            total=progress.total,
            seconds_left=progress.seconds_left,
            message=progress.message,
            preview=shown,
        )


class JobView(Job):
    """A job with what has come of it so far."""

    position: int = Field(description="Waiting jobs that run before this one.")
    pictures: tuple[Picture, ...]
    progress: ProgressView | None = None

    @classmethod
    def of(cls, studio: Studio, job: Job, *, preview: bool = False) -> Self:
        progress = studio.progress(job.id)
        return cls(
            **dict(job),
            position=studio.position(job.id),
            pictures=tuple(studio.pictures_of(job.id)),
            progress=ProgressView.of(progress, preview=preview) if progress else None,
        )


class JobList(Frozen):
    jobs: tuple[Job, ...]
    paused: bool
    paused_because: str = ""


class Snapshot(Frozen):
    """How everything stands when a listener begins, and again when it fell too far behind."""

    jobs: tuple[Job, ...] = Field(
        description="Of the waiting and running ones the first 200, then all others of yours; in the order in which they run."
    )
    active: int = Field(ge=0, description="How many wait and run in all.")
    progress: tuple[ProgressView, ...]
    paused: bool
    paused_because: str = ""
    engines: tuple[EngineState, ...]
    you: Person


class CheckpointView(ModelRecord):
    """A checkpoint; where it lies on this disk is nobody's business."""

    path: Path = Field(exclude=True)


class Ids(Frozen):
    """Names of pictures."""

    ids: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(min_length=1, max_length=1000)]


class Star(Frozen):
    starred: bool = True


class Counted(Frozen):
    count: int = Field(ge=0, description="How many pictures.")


class Move(Frozen):
    before: str | None = Field(None, max_length=100, description="The waiting job to stand before; null puts it last.")


class Pause(Frozen):
    paused: bool


class QueueView(Frozen):
    paused: bool
    paused_because: str = Field("", description="Why the program itself paused it; empty when a person did.")


class FormView(Frozen):
    """What one browser's form holds; null when nothing was kept."""

    form: dict[str, Any] | None


class Form(Frozen):
    form: dict[str, Any]


class LinkView(Frozen):
    """How colleagues come in; for the host alone."""

    shared: bool
    urls: tuple[str, ...] = ()
    invitation: str | None = Field(None, description="A URL that lets one person in, once, within 15 minutes.")
    svg: str | None = Field(None, description="The invitation as a QR code.")
