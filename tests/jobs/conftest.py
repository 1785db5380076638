"""A queue on an empty folder, and pictures that are only counted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from webui.core.request import GenerationRequest
from webui.database import Database
from webui.jobs.store import JobStore


def ask(prompt: str = "a lake", *, count: int = 1, steps: int = 2, seed: int = 7) -> GenerationRequest:
    return GenerationRequest.model_validate(
        {"checkpoint": "c", "prompt": prompt, "count": count, "width": 64, "height": 64, "sampling": {"steps": steps, "seed": seed}}
    )


def keep_picture(database: Database, job_id: str, index: int) -> None:
    """A row of the gallery's index, as `Gallery.save` leaves one."""
    with database.write() as db:
        db.execute(
            "INSERT INTO pictures (id, job_id, picture_index, owner, path, width, height, bytes, prompt, negative_prompt, parameters,"
            " created_at) VALUES (?1, ?2, ?3, 'host', ?1, 64, 64, 1, '', '', '', 0)",
            (f"{job_id}-{index}", job_id, index),
        )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "gesso.sqlite3")
    yield made
    made.close()


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)
