"""Errors on their way to the page."""

import pytest

from webui.core.errors import GessoError, StorageError, Unsupported
from webui.core.job import Job, Status
from webui.core.request import GenerationRequest, Sampling
from webui.ui import watch


def test_an_accepted_job_is_named_with_the_seed_that_was_drawn() -> None:
    request = GenerationRequest(checkpoint="x", count=3, sampling=Sampling(seed=9))
    job = Job(id="j", owner="host", owner_name="Host", request=request, status=Status.QUEUED, place=1, made=0, attempts=0, created_at=0)
    assert watch.queued(job) == {"kind": "queued", "job": "j", "seed": 9, "count": 3}


@pytest.mark.parametrize(
    ("error", "field"), [(Unsupported("No.", field="width"), "width"), (Unsupported("No."), None), (StorageError("Full."), None)]
)
def test_an_error_is_a_sentence_and_a_place(error: GessoError, field: str | None) -> None:
    assert watch.failed(error, about="submit") == {"kind": "error", "about": "submit", "sentence": str(error), "field": field}
