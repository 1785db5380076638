"""What happened, for the page: one of the three edges where errors become sentences."""

from typing import Any

from webui.core.errors import GessoError, UserError
from webui.core.job import Job


def queued(job: Job) -> dict[str, Any]:
    """A job was accepted; the script follows it from here."""
    return {"kind": "queued", "job": job.id, "seed": job.request.sampling.seed, "count": job.request.count}


def failed(error: GessoError, *, about: str) -> dict[str, Any]:
    """What went wrong in one sentence, and the form's field that it concerns (None: the whole form)."""
    field = error.field if isinstance(error, UserError) else None
    return {"kind": "error", "about": about, "sentence": str(error), "field": field}
