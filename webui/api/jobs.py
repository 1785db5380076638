"""Jobs: submit, list, watch, cancel, move."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from webui.api import streams
from webui.api.schema import ErrorView, JobList, JobView, Move, Pause, QueueView, TheStudio, Who
from webui.api.strict import StrictRoute
from webui.core.job import Job
from webui.core.request import RequestDraft

router = APIRouter(prefix="/api", tags=["jobs"], route_class=StrictRoute, responses={"4XX": {"model": ErrorView}})

EXAMPLES = {
    "shortest": {"summary": "The checkpoint's defaults", "value": {"prompt": "a majestic mountain landscape at sunset with golden clouds"}},
    "chosen": {
        "summary": "Chosen by hand",
        "value": {
            "prompt": "snowy mountains at dawn, a lake",
            "negative_prompt": "clouds",
            "width": 384,
            "height": 256,
            "count": 4,
            "sampling": {"sampler": "Euler a", "schedule": "Automatic", "steps": 24, "guidance": 5.5, "seed": 12345},
        },
    },
}
Previews = Annotated[bool, Query(description="With each step's preview, as base64 of a small WebP.")]


@router.post("/jobs", status_code=202, summary="Queue a job")
def submit(draft: Annotated[RequestDraft, Body(openapi_examples=EXAMPLES)], studio: TheStudio, who: Who, response: Response) -> JobView:
    """Absent fields take the checkpoint's defaults, an absent seed is drawn. The job is durable when this answers."""
    job = studio.submit(draft, who)
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return JobView.of(studio, job)


@router.get("/jobs", summary="List jobs")
def jobs(
    studio: TheStudio,
    active: Annotated[bool | None, Query(description="true: waiting and running ones, in their order; false: ended ones.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
) -> JobList:
    """Newest first, unless only active ones are asked for."""
    found = tuple(studio.jobs(active=active, limit=limit, offset=offset))
    return JobList(jobs=found, paused=studio.paused, paused_because=studio.paused_because)


@router.post("/jobs/cancel", summary="Cancel all jobs")
def cancel_all(studio: TheStudio, who: Who) -> JobList:
    """The host cancels everyone's, a collaborator their own."""
    return JobList(jobs=tuple(studio.cancel_all(who)), paused=studio.paused, paused_because=studio.paused_because)


@router.get("/jobs/{job_id}", summary="One job with its pictures and progress")
def job(job_id: str, studio: TheStudio, previews: Previews = False) -> JobView:
    return JobView.of(studio, studio.job(job_id), preview=previews)


@router.get("/jobs/{job_id}/events", summary="Watch one job", response_class=StreamingResponse)
async def job_events(job_id: str, studio: TheStudio, previews: Previews = False) -> StreamingResponse:
    """Server-sent events: `job` (as it stands), then `changed`, `progress`, `saved`, and last `finished`."""
    await run_in_threadpool(studio.job, job_id)  # 404 before the stream begins
    return streams.respond(streams.one_job(studio, job_id, previews))


@router.delete("/jobs/{job_id}", summary="Cancel a job")
def cancel(job_id: str, studio: TheStudio, who: Who) -> Job:
    """A waiting job ends at once, a running one within a step; 409 when it has ended already."""
    return studio.cancel(job_id, who)


@router.post("/jobs/{job_id}/move", summary="Move a waiting job")
def move(job_id: str, body: Move, studio: TheStudio, who: Who) -> Job:
    return studio.move(job_id, body.before, who)


@router.post("/queue", summary="Pause or resume the queue")
def pause(body: Pause, studio: TheStudio, who: Who) -> QueueView:
    """The host only. The running jobs finish, no other starts; kept over a restart."""
    studio.pause(body.paused, who)
    return QueueView(paused=studio.paused, paused_because=studio.paused_because)


@router.get("/events", summary="Watch everything", response_class=StreamingResponse)
async def events(studio: TheStudio, who: Who, previews: Previews = False) -> StreamingResponse:
    """Server-sent events: `snapshot` first (and again for a listener that fell behind), then what happens.

    That is `changed`, `progress`, `saved`, `finished`, `queue` and `engines`.
    """
    return streams.respond(streams.everything(studio, who, previews))
