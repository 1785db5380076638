"""How much may wait, as arithmetic and as the studio and the API refuse it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.conftest import ask
from tests.library.weights import diffusers_folder
from tests.test_studio import ADA, BOB, Rooms, draft
from webui.core.errors import StorageError, TooMany, UserError
from webui.core.job import HOST, Job
from webui.core.request import MAX_COUNT
from webui.extensions import Extensions
from webui.gallery import files
from webui.jobs import room
from webui.jobs.room import BYTES_PER_PIXEL, MAX_PICTURES, MAX_WORK, RESERVE, Load, check_collaborator, check_host
from webui.jobs.store import JobStore
from webui.studio import MAX_QUEUED_COLLABORATOR

PLENTY = 10**15  # bytes
SIDE = 64  # px, of `ask` and `draft`


def test_what_a_job_will_take_is_what_it_has_not_made() -> None:
    pixels = SIDE * SIDE
    assert Load.of(ask(count=5, steps=3)) == Load(5, 5 * pixels * 3, 5 * pixels * BYTES_PER_PIXEL)
    assert Load.of(ask(count=5, steps=3), made=4) == Load.of(ask(count=1, steps=3))
    assert Load.of(ask(count=5), made=6) == Load()


def test_jobs_take_together_what_they_take_alone(store: JobStore) -> None:
    assert Load.of_jobs([]) == Load()
    store.add(ask(count=3, steps=3), ADA)
    store.add(ask(count=2, steps=3), ADA)
    store.add(ask(count=9), BOB)
    running = store.take("engine")
    assert running is not None
    waiting: list[Job] = store.waiting_of(ADA.id)
    assert Load.of_jobs(waiting) == Load.of(ask(count=2, steps=3))
    store.made(running.id, 0)
    store.put_back(running.id, counted=False)
    assert Load.of_jobs(store.waiting_of(ADA.id)) == Load.of(ask(count=4, steps=3))


def test_a_whole_job_of_pictures_fits() -> None:
    assert MAX_COUNT <= MAX_PICTURES
    check_collaborator(Load.of(ask(count=MAX_COUNT)), Load(), PLENTY)


@pytest.mark.parametrize(
    ("asked", "waiting", "free", "error", "says"),
    [
        (Load(3), Load(MAX_PICTURES - 2), PLENTY, TooMany, "You have 498 pictures waiting and may have 500: 3 more are too many. Let"),
        (Load(1, MAX_WORK), Load(1, 1_000_000), PLENTY, TooMany, "You have 1 megapixel steps .* waiting and may have 20,000 mega"),
        (
            Load(1, MAX_WORK + 10**9),
            Load(),
            PLENTY,
            UserError,
            r"This job is 21,000 megapixel steps .* may ask for 20,000 .* Ask for fewer",
        ),
        (
            Load(1, 1, 10**9),
            Load(1, 1, 10**9),
            2 * 10**9 + RESERVE - 1,
            StorageError,
            r"may need 2\.0 GB.* 3\.0 GB free.* 1\.0 GB is kept for the",
        ),
    ],
)
def test_too_much_is_refused_with_the_limit(asked: Load, waiting: Load, free: int, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as refused:
        check_collaborator(asked, waiting, free)
    assert type(refused.value) is error
    check_host(asked, free)


def test_what_reaches_the_limits_exactly_is_taken() -> None:
    check_collaborator(Load(2, 1, 5), Load(MAX_PICTURES - 2, MAX_WORK - 1, 5), RESERVE + 10)
    check_host(Load(2, 1, 5), 5)


def test_the_host_is_held_against_the_disk_alone() -> None:
    check_host(Load(10 * MAX_PICTURES, 10 * MAX_WORK, 5), 5)
    with pytest.raises(StorageError, match=r"may need 6\.0 GB, and the disk of the outputs has 5\.0 GB free\. Ask for fewer"):
        check_host(Load(1, 1, 6 * 10**9), 5 * 10**9)


# --- through the studio ---


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    diffusers_folder(tmp_path / "models" / "checkpoints" / "tiny")
    made = Rooms(tmp_path, Extensions())
    yield made
    made.studio.close()


def test_one_colleagues_limits_hold_nobody_else(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_PICTURES", 5)
    studio = rooms.studio
    studio.submit(draft(count=4), ADA)
    with pytest.raises(TooMany, match="You have 4 pictures waiting and may have 5") as refused:
        studio.submit(draft(count=2), ADA)
    assert (refused.value.field, refused.value.status) == ("count", 429)
    assert len(studio.jobs()) == 1
    studio.submit(draft(count=5), BOB)
    studio.submit(draft(count=50), HOST)
    studio.cancel_all(ADA)
    studio.submit(draft(count=5), ADA)


def test_the_largest_job_there_is_is_too_much_for_a_colleague_and_not_for_the_host(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: _disk(PLENTY))
    most = draft(count=100, width=4096, height=4096, batch_size=16, sampling={"steps": 150})
    with pytest.raises(UserError, match="251,658 megapixel steps") as refused:
        rooms.studio.submit(most, ADA)
    assert (refused.value.field, refused.value.status) == ("count", 422)
    rooms.studio.submit(most, HOST)


def test_a_job_that_the_disk_would_not_hold_is_refused(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    free = RESERVE + Load.of(ask(count=3)).space

    def usage(folder: Path) -> Any:
        asked.append(folder)
        return _disk(free)

    monkeypatch.setattr(files.shutil, "disk_usage", usage)
    studio = rooms.studio
    studio.submit(draft(count=2), ADA)
    with pytest.raises(StorageError, match="kept for the host") as refused:
        studio.submit(draft(count=2), ADA)
    assert refused.value.status == 507
    studio.submit(draft(count=2), HOST)
    free = 100
    with pytest.raises(StorageError, match="the disk of the outputs has"):
        studio.submit(draft(), HOST)
    assert len(studio.jobs()) == 2
    assert set(asked) == {rooms.database.path.parent.resolve()}


def _disk(free: int) -> Any:
    return type("Usage", (), {"free": free})


def test_the_limits_are_told() -> None:
    told = (Path(room.__file__).parent.parent / "docs" / "api.md").read_text(encoding="utf-8")
    for limit in (f"{MAX_QUEUED_COLLABORATOR} jobs", f"{MAX_PICTURES} pictures", f"{MAX_WORK // 10**6:,} megapixel steps"):
        assert limit in told
