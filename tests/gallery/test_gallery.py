"""The gallery as the studio uses it: save, find, star, throw away and take back, download, start over."""

import errno
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.gallery.conftest import job, picture
from tests.gallery.seeding import seed_index
from webui.core.errors import BadImage, NotFound, StorageError, Unsupported, UserError
from webui.core.infotext import parse
from webui.core.request import GenerationRequest
from webui.database import Database
from webui.gallery import reveal
from webui.gallery.gallery import Gallery
from webui.library.store import Library

AfterALoss = Callable[[], Gallery]


def files(outputs: Path) -> list[str]:
    return sorted(str(path.relative_to(outputs)) for path in outputs.rglob("*.png"))


# --- saving ---


def test_a_saved_picture_says_how_it_was_made(gallery: Gallery, library: Library, outputs: Path) -> None:
    asked = job(prompt="a lake, ☃", negative_prompt="blurry: bad", sampling={"seed": 7, "guidance": 4.5, "clip_skip": 2})
    saved = gallery.save(asked, 1, picture(3), 8, {"dtype": "bfloat16"})
    assert saved.path == f"{time.strftime('%Y-%m-%d')}/00001-8.png"
    assert (saved.width, saved.height, saved.index, saved.job_id, saved.owner) == (64, 96, 1, asked.id, "host")
    assert saved.bytes == (outputs / saved.path).stat().st_size
    with Image.open(outputs / saved.path) as image:
        assert image.getpixel((0, 0)) == picture(3).getpixel((0, 0))
        texts = image.text  # type: ignore[attr-defined]  # of PNGs
    sha256 = library.hash(library.find("tiny"))
    assert texts["parameters"] == (
        "a lake, ☃\nNegative prompt: blurry: bad\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, Seed: 8, "
        f"Size: 64x96, Model hash: {sha256[:10]}, Model: tiny, Clip skip: 2, RNG: CPU, Version: Gesso 0.1.0"
    )
    said = json.loads(texts["gesso"])
    assert GenerationRequest.model_validate(said["request"]) == asked.request
    assert (said["id"], said["job"], said["index"], said["owner"], said["facts"]) == (saved.id, asked.id, 1, "host", {"dtype": "bfloat16"})


def test_saving_again_gives_the_same_picture_and_no_second_file(gallery: Gallery, outputs: Path) -> None:
    first = gallery.save(job(), 0, picture(1), 100, {})
    assert gallery.save(job(), 0, picture(2), 100, {}) == first
    assert gallery.trash([first.id])[0].trashed_at is not None
    assert gallery.save(job(), 0, picture(2), 100, {}).id == first.id
    assert len(files(outputs)) == 1


def test_numbers_count_up_over_restarts_days_of_trash_and_foreign_files(
    gallery: Gallery, database: Database, library: Library, outputs: Path
) -> None:
    first = gallery.save(job(), 0, picture(), 5, {})
    day = outputs / first.path.partition("/")[0]
    (day / "00041-x.png").write_bytes((outputs / first.path).read_bytes())
    again = Gallery(outputs, database, library)
    second = again.save(job(), 1, picture(), 5, {})
    assert second.path.endswith("/00042-5.png")
    again.trash([second.id])
    third = Gallery(outputs, database, library).save(job(), 2, picture(), 5, {})
    assert third.path.endswith("/00043-5.png")


def test_a_name_that_was_taken_meanwhile_is_never_overwritten(gallery: Gallery, outputs: Path) -> None:
    first = gallery.save(job(), 0, picture(), 5, {})
    blocker = outputs / first.path.replace("00001", "00002")
    blocker.write_bytes(b"somebody's")
    assert gallery.save(job(), 1, picture(), 5, {}).path.endswith("/00003-5.png")
    assert blocker.read_bytes() == b"somebody's"


def test_without_hard_links_names_are_kept_apart_too(gallery: Gallery, outputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    first = gallery.save(job(), 0, picture(), 5, {})
    (outputs / first.path.replace("00001", "00002")).write_bytes(b"somebody's")
    saved = gallery.save(job(), 1, picture(), 5, {})
    assert saved.path.endswith("/00003-5.png")
    gallery.trash([saved.id])
    assert gallery.restore([saved.id]) == [saved]
    assert not list(outputs.rglob("*.part"))


def test_many_threads_save_each_their_own(gallery: Gallery, outputs: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda n: gallery.save(job(f"job{n}"), 0, picture(n), 5, {}), range(40)))
    assert sorted(one.path[11:16] for one in saved) == [f"{n:05}" for n in range(1, 41)]
    assert len(files(outputs)) == 40
    assert gallery.search("").total == 40


def test_a_checkpoint_that_went_away_costs_the_hash_not_the_picture(gallery: Gallery, library: Library, tmp_path: Path) -> None:
    next((tmp_path / "models").rglob("*.safetensors")).unlink()
    library.rescan()
    saved = gallery.save(job(), 0, picture(), 1, {})
    assert gallery.file(saved.id).is_file()
    assert "Model: tiny" in parse_parameters(gallery, saved.id)


def parse_parameters(gallery: Gallery, picture_id: str) -> str:
    with Image.open(gallery.file(picture_id)) as image:
        return str(image.text["parameters"])  # type: ignore[attr-defined]  # of PNGs


@pytest.mark.parametrize(("number", "says"), [(28, "is full. Free some space"), (13, "Give it write permission"), (5, "cannot be used")])
def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(
    gallery: Gallery, outputs: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def full(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=says):
        gallery.save(job(), 0, picture(), 1, {})
    monkeypatch.undo()
    assert files(outputs) == []
    assert not list(outputs.rglob("*.part"))
    assert gallery.search("").total == 0
    assert gallery.save(job(), 0, picture(), 1, {}).path.endswith("/00001-1.png")


def test_a_row_that_cannot_be_written_takes_its_file_with_it(gallery: Gallery, database: Database, outputs: Path) -> None:
    with database.write() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="Free some disk space"):
        gallery.save(job(prompt="long " * 3000), 0, picture(), 1, {})
    assert files(outputs) == []
    with database.write() as db:
        db.execute("PRAGMA max_page_count = 1000000")
    assert gallery.save(job(), 0, picture(), 1, {}).index == 0


def test_a_folder_that_cannot_be_made(tmp_path: Path, database: Database, library: Library) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used"):
        Gallery(tmp_path / "file" / "outputs", database, library)


# --- a crash ---


def forget(database: Database) -> None:
    with database.write() as db:
        db.execute("DELETE FROM pictures")


def test_a_crash_between_file_and_row_does_not_make_the_picture_twice(
    gallery: Gallery, database: Database, library: Library, outputs: Path
) -> None:
    whole = gallery.save(job(prompt="x"), 2, picture(), 102, {})
    forget(database)
    (outputs / whole.path).with_name(".abc.part").write_bytes(b"\x89PNG half")
    after = Gallery(outputs, database, library)
    assert after.save(job(prompt="x"), 2, picture(1), 102, {}) == whole
    assert len(files(outputs)) == 1
    assert not list(outputs.rglob("*.part"))


def test_what_was_deleted_outside_leaves_the_gallery_at_the_next_start(
    gallery: Gallery, database: Database, library: Library, outputs: Path
) -> None:
    first, second = (gallery.save(job(), n, picture(), n, {}) for n in range(2))
    (outputs / first.path).unlink()
    with pytest.raises(NotFound, match="moved or deleted outside Gesso"):
        gallery.file(first.id)
    assert [one.id for one in Gallery(outputs, database, library).search("").pictures] == [second.id]


@pytest.mark.parametrize("trashed", [True, False])
def test_a_crash_within_a_move_is_set_right(gallery: Gallery, database: Database, library: Library, outputs: Path, trashed: bool) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    here, bin_ = outputs / saved.path, outputs / ".trash" / saved.path
    bin_.parent.mkdir(parents=True)
    here.rename(bin_)
    assert Gallery(outputs, database, library).get(saved.id).trashed_at is not None
    bin_.rename(here)
    assert Gallery(outputs, database, library).get(saved.id).trashed_at is None
    bin_.hardlink_to(here)  # cut short between the second name and the end of the first
    if trashed:
        with database.write() as db:
            db.execute("UPDATE pictures SET trashed_at = 1")
    after = Gallery(outputs, database, library)
    assert [here.exists(), bin_.exists()] == [not trashed, trashed]
    assert after.file(saved.id).is_file()


# --- the index from the files ---


def test_deleting_the_database_loses_no_picture(gallery: Gallery, database: Database, library: Library, outputs: Path) -> None:
    saved = [gallery.save(job(prompt=f"lake {n}, ☃"), n, picture(n), n, {}) for n in range(4)]
    binned = gallery.trash([saved[1].id])[0]
    thumbnail = gallery.thumbnail(saved[0].id)
    database.close()
    for path in outputs.glob("gesso.sqlite3*"):
        path.unlink()
    anew = Database(outputs / "gesso.sqlite3")
    after = Gallery(outputs, anew, library)
    assert after.search("lake").pictures == tuple(reversed([saved[0], saved[2], saved[3]]))
    assert after.search("lake", trashed=True).pictures[0].model_copy(update={"trashed_at": binned.trashed_at}) == binned
    assert after.of_job(job().id) == [saved[0], saved[2], saved[3]]
    assert after.thumbnail(saved[0].id) == thumbnail
    assert after.restore([saved[1].id]) == [saved[1]]
    anew.close()


def test_rebuild_keeps_stars_and_order_and_sees_changed_files(gallery: Gallery, database: Database, outputs: Path) -> None:
    saved = [gallery.save(job(prompt=f"lake {n}"), n, picture(n), n, {}) for n in range(3)]
    gallery.star(saved[1].id, True)
    before = gallery.search("")
    with database.write() as db:
        db.execute("UPDATE pictures SET prompt = 'damaged'")
    assert gallery.rebuild() == 3
    assert gallery.search("") == before
    assert gallery.search("lake").total == 3
    assert gallery.search("damaged").total == 0
    with database.write() as db:
        db.execute("INSERT INTO pictures_text (pictures_text, rank) VALUES ('integrity-check', 1)")
    assert gallery.search("", starred=True).pictures == (before.pictures[1],)


def between(gallery: Gallery, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """`act` happens when a rebuild has read every file and has written no row."""
    real: Callable[..., int] = gallery._index.replace

    def late(*args: Any) -> int:
        monkeypatch.undo()
        act()
        return real(*args)

    monkeypatch.setattr(gallery._index, "replace", late)


def test_what_people_throw_away_and_take_back_during_a_rebuild_stays_so(
    gallery: Gallery, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thrown, deleted, back, kept, lost = (gallery.save(job(), n, picture(n), n, {}) for n in range(5))
    gallery.trash([deleted.id, back.id])

    def act() -> None:
        gallery.restore([back.id])
        gallery.empty_trash()
        gallery.trash([thrown.id])
        (outputs / lost.path).unlink()

    between(gallery, monkeypatch, act)
    assert gallery.rebuild() == 3
    assert gallery.search("").pictures == (kept, back)
    (binned,) = gallery.search("", trashed=True).pictures
    assert binned.model_copy(update={"trashed_at": None}) == thrown
    assert gallery.file(thrown.id).is_file()
    assert gallery.restore([thrown.id]) == [thrown]
    for gone in (deleted, lost):
        with pytest.raises(NotFound):
            gallery.get(gone.id)


def test_a_picture_that_is_taken_back_between_the_walks_of_a_rebuild_keeps_its_row(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    gallery.trash([saved.id])
    real = gallery._files.walk

    def walk(*, trashed: bool = False) -> Any:
        if trashed:
            gallery.restore([saved.id])
        return real(trashed=trashed)

    monkeypatch.setattr(gallery._files, "walk", walk)
    gallery.rebuild()
    assert gallery.search("").pictures == (saved,)


def test_a_picture_that_a_rebuild_finds_before_its_row_is_written_is_kept_once(
    gallery: Gallery, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = gallery._files.save

    def save(write: Any, name: str) -> str:
        path = real(write, name)
        assert gallery.rebuild() == 1
        return path

    monkeypatch.setattr(gallery._files, "save", save)
    saved = gallery.save(job(), 0, picture(), 1, {})
    assert gallery.search("").pictures == (saved,)
    assert gallery.of_job(job().id) == [saved]
    assert files(outputs) == [saved.path]


def test_two_who_trash_one_picture_at_once_both_have_it_in_the_trash(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    real, others = gallery._files.trash, ThreadPoolExecutor(1)
    second: list[Future[Any]] = []

    def trash(path: str) -> None:
        if not second:  # the first comes here with the row as it was; the second may begin before or after that row is written
            second.append(others.submit(gallery.trash, [saved.id]))
            time.sleep(0.1)
        real(path)

    monkeypatch.setattr(gallery._files, "trash", trash)
    (first,) = gallery.trash([saved.id])
    assert second[0].result(timeout=20) == [first]
    assert first.trashed_at is not None
    assert gallery.file(saved.id).is_file()


def test_foreign_pictures_are_indexed_copies_get_ids_of_their_own_and_the_rest_is_named(
    gallery: Gallery, database: Database, library: Library, outputs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = gallery.save(job(prompt="mine"), 0, picture(), 1, {})
    (outputs / "old").mkdir()
    (outputs / "old" / "copy.png").write_bytes((outputs / saved.path).read_bytes())
    picture(size=(32, 16)).save(outputs / "plain.PNG", "PNG")
    (outputs / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (outputs / ".hidden.png").write_bytes((outputs / saved.path).read_bytes())
    (outputs / "notes.txt").write_text("no")
    after = Gallery(outputs, database, library)
    found = {one.path: one for one in after.search("").pictures}
    assert set(found) == {saved.path, "old/copy.png", "plain.PNG"}
    copy = found["old/copy.png"]
    assert (copy.job_id, copy.prompt, copy.seed) == (None, "mine", 1)
    assert copy.id != saved.id
    assert (found["plain.PNG"].width, found["plain.PNG"].job_id, found["plain.PNG"].prompt) == (32, None, "")
    assert "broken.png is not in the gallery" in caplog.text
    assert after.of_job(job().id) == [saved]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_a_link_out_of_the_folder_is_not_followed(
    gallery: Gallery, database: Database, library: Library, outputs: Path, tmp_path: Path
) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    secret = tmp_path / "secret.png"
    secret.write_bytes((outputs / saved.path).read_bytes())
    (outputs / "link.png").symlink_to(secret)
    (outputs / "folder").symlink_to(tmp_path)
    assert Gallery(outputs, database, library).search("").total == 1
    (outputs / saved.path).unlink()
    (outputs / saved.path).symlink_to(secret)
    for reach in (gallery.file, lambda one: gallery.archive([one]), lambda one: gallery.trash([one])):
        with pytest.raises(NotFound, match="not in the outputs folder"):
            reach(saved.id)


@pytest.mark.skipif(os.name == "nt", reason="Windows' names are always text")
def test_a_name_that_is_no_text_does_not_stop_the_start(gallery: Gallery, database: Database, library: Library, outputs: Path) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    Path(os.fsdecode(os.fsencode(outputs) + b"/\xff.png")).write_bytes((outputs / saved.path).read_bytes())
    assert Gallery(outputs, database, library).search("").total == 1


# --- finding ---


def test_search_finds_beginnings_of_all_words_newest_first(gallery: Gallery) -> None:
    for n, prompt in enumerate(("A Majestic mountain", "café by a mountain-lake", "sunset", "mountains, lake")):
        gallery.save(job(f"j{n}", prompt=prompt, negative_prompt="fog" if n == 2 else ""), 0, picture(), n, {})

    def found(query: str) -> list[int | None]:
        return [one.seed for one in gallery.search(query).pictures]

    assert found("") == found("  ") == [3, 2, 1, 0]
    assert found("mount") == [3, 1, 0]
    assert found("MOUNTAIN lake") == [3, 1]
    assert found("cafe") == [1]
    assert found("mountain-la") == [1]
    assert found("fog") == [2]
    assert found("tiny") == [3, 2, 1, 0]
    assert found("ountain") == []
    assert found("🎨") == []


QUERIES = ['"', "'", 'a"b', "NEAR(a", "prompt:", "*", "-", "^a", "(", "a*b", "%", ";--", "{a", "+", "_", "—", "﷽", "\u0301", "a\u0301"]
QUERIES += ["AND OR NOT", "NEAR(a b)", "\0", "a\0b", "\ud800", "{a b}", "x" * 5000, "a " * 5000]


@pytest.mark.parametrize("query", QUERIES, ids=ascii)
def test_search_takes_any_text_for_words(gallery: Gallery, query: str) -> None:
    gallery.save(job(prompt="b c"), 0, picture(), 1, {})
    for starred in (False, True):
        for trashed in (False, True):
            page = gallery.search(query, starred=starred, trashed=trashed)
            assert page.total == len(page.pictures)


def test_pages_do_not_overlap_and_end(gallery: Gallery) -> None:
    for n in range(7):
        gallery.save(job(f"j{n}", prompt="x"), 0, picture(), n, {})
    for query in ("", "x"):
        pages = [gallery.search(query, page=page, per_page=3) for page in (1, 2, 3, 4, 10**30)]
        assert [[one.seed for one in page.pictures] for page in pages] == [[6, 5, 4], [3, 2, 1], [0], [], []]
        assert {page.total for page in pages} == {7}


@pytest.mark.parametrize("query", ["", "lake"])
def test_one_persons_pictures_are_found_behind_everyone_elses(gallery: Gallery, database: Database, query: str) -> None:
    for n, owner in enumerate(("ann", "host", "ann", "host", "host")):
        gallery.save(job(f"j{n}", prompt="a lake").model_copy(update={"owner": owner}), 0, picture(), n, {})
    page = gallery.search(query, owner="ann", per_page=1)
    assert ([one.seed for one in page.pictures], page.total) == ([2], 2)
    gallery.star(gallery.search(query, owner="ann").pictures[1].id, True)
    assert [one.seed for one in gallery.search(query, owner="ann", starred=True).pictures] == [0]
    assert gallery.search(query, owner="host", starred=True).total == 0
    gallery.trash([page.pictures[0].id])
    assert [one.seed for one in gallery.search(query, owner="ann", trashed=True).pictures] == [2]
    assert gallery.search(query, owner="\ud800").total == 0
    plan = database.read("EXPLAIN QUERY PLAN SELECT count(*) FROM pictures WHERE trashed_at IS NULL AND owner = 'ann'")
    assert "COVERING INDEX pictures_own" in plan[0]["detail"], "no row is read to be counted"


@pytest.mark.parametrize("window", [{"page": 0}, {"page": -1}, {"per_page": 0}, {"per_page": 501}])
def test_a_page_that_cannot_be(gallery: Gallery, window: dict[str, int]) -> None:
    with pytest.raises(UserError, match="Pages count from 1") as caught:
        gallery.search("", **window)  # type: ignore[arg-type]  # only numbers are in it
    assert caught.value.field == next(iter(window))


def test_newest_first_holds_when_the_clock_jumps(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.save(job("a"), 0, picture(), 0, {})
    monkeypatch.setattr(time, "time", lambda: 1.0)
    gallery.save(job("b"), 0, picture(), 1, {})
    assert [one.seed for one in gallery.search("").pictures] == [1, 0]


def test_counts_and_pages_agree_over_many(gallery: Gallery, database: Database) -> None:
    seed_index(database, 2000)
    for query in ("", "mountain", "s", "mountain lake", "number19"):
        for starred, trashed in ((False, False), (True, False), (False, True)):
            seen: list[str] = []
            page = 1
            while pictures := gallery.search(query, page=page, per_page=500, starred=starred, trashed=trashed).pictures:
                seen += [one.id for one in pictures]
                assert all((one.trashed_at is not None) == trashed and (one.starred or not starred) for one in pictures)
                page += 1
            assert gallery.search(query, starred=starred, trashed=trashed).total == len(seen) == len(set(seen))
            assert seen == sorted(seen, reverse=True)


def test_a_search_of_five_thousand_reads_no_rows_it_does_not_show(gallery: Gallery, database: Database) -> None:
    seed_index(database, 5_000)
    for query in ("", "blurry", "s", "mountain lake sun"):
        started = time.thread_time()
        gallery.search(query)
        assert time.thread_time() - started < 0.1


CORPUS = [
    "..",
    "../gesso.sqlite3",
    "/etc/passwd",
    "..\\..\\x",
    "C:\\x",
    "a\0b",
    ".",
    "",
    "%2e%2e",
    "\ud800",
    "x" * 10_000,
    "' OR 1=1 --",
    "CON",
]


@pytest.mark.parametrize("name", CORPUS)
def test_ids_are_looked_up_never_taken_for_paths(gallery: Gallery, name: str, outputs: Path) -> None:
    gallery.save(job(), 0, picture(), 1, {})
    before = sorted(outputs.rglob("*"))
    reaches: list[Any] = [gallery.get, gallery.file, gallery.thumbnail, gallery.reveal, lambda one: gallery.star(one, True)]
    reaches += [lambda one, act=act: act([one]) for act in (gallery.trash, gallery.restore, gallery.archive)]
    for reach in reaches:
        with pytest.raises(NotFound):
            reach(name)
    assert gallery.of_job(name) == []
    assert sorted(outputs.rglob("*")) == before


# --- keeping and throwing away ---


def test_star(gallery: Gallery) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    assert gallery.star(saved.id, True).starred
    assert gallery.search("", starred=True).total == 1
    assert gallery.star(saved.id, False) == saved


@pytest.fixture
def after_a_loss(gallery: Gallery, database: Database, library: Library, outputs: Path) -> AfterALoss:
    """The gallery of a start without the database."""

    def start() -> Gallery:
        database.close()
        for file in outputs.glob("gesso.sqlite3*"):
            file.unlink()
        lost.append(Database(outputs / "gesso.sqlite3"))
        return Gallery(outputs, lost[-1], library)

    lost: list[Database] = []
    return start


def test_stars_outlive_the_database(gallery: Gallery, outputs: Path, after_a_loss: AfterALoss) -> None:
    """Of what was made here, wherever it was moved to; of what was found, in its place."""
    made, moved, plain, trashed = (gallery.save(job(), n, picture(n), n, {}) for n in range(4))
    Image.new("RGB", (9, 9)).save(outputs / "found.png")
    Image.new("RGB", (9, 9)).save(outputs / "other.png")
    gallery.reconcile()
    found = next(one for one in gallery.search("").pictures if one.path == "found.png")
    for one in (made, moved, plain, trashed, found):
        gallery.star(one.id, True)
    gallery.star(plain.id, False)
    gallery.trash([trashed.id])
    (outputs / "best").mkdir()
    (outputs / moved.path).rename(outputs / "best" / "x.png")
    again = after_a_loss()
    starred = [*again.search("", starred=True).pictures, *again.search("", starred=True, trashed=True).pictures]
    assert {one.path for one in starred} == {made.path, "best/x.png", "found.png", trashed.path}
    assert again.search("").total == 5
    assert again.empty_trash() == 1
    assert trashed.id not in (outputs / ".stars.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"{}", b"no", b"\xff", None])
def test_a_damaged_file_of_stars_is_written_anew_from_the_database(
    gallery: Gallery, outputs: Path, database: Database, library: Library, content: bytes | None, after_a_loss: AfterALoss
) -> None:
    saved = [gallery.save(job(), n, picture(n), n, {}) for n in range(2)]
    gallery.star(saved[0].id, True)
    kept = outputs / ".stars.json"
    kept.unlink() if content is None else kept.write_bytes(content)
    Gallery(outputs, database, library)
    assert [one.id for one in after_a_loss().search("", starred=True).pictures] == [saved[0].id]


def test_a_star_is_kept_by_the_database_when_the_file_cannot_be_written(
    gallery: Gallery, outputs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    (outputs / ".stars.json.part").mkdir()
    assert gallery.star(saved.id, True).starred
    assert gallery.get(saved.id).starred
    assert "in the database alone" in caplog.text


def test_trash_is_undone_exactly(gallery: Gallery, outputs: Path) -> None:
    saved = [gallery.save(job(), n, picture(n), n, {}) for n in range(3)]
    before = {path: (outputs / path).read_bytes() for path in files(outputs)}
    gallery.trash([saved[0].id, saved[2].id, saved[0].id])
    assert [one.id for one in gallery.search("").pictures] == [saved[1].id]
    assert [one.id for one in gallery.of_job(job().id)] == [saved[1].id]
    assert gallery.search("", trashed=True).total == 2
    assert gallery.file(saved[0].id).read_bytes() == before[saved[0].path]
    assert gallery.restore([one.id for one in saved]) == saved
    assert {path: (outputs / path).read_bytes() for path in files(outputs)} == before


def test_what_cannot_be_moved_stops_there_and_the_rows_say_so(gallery: Gallery, outputs: Path) -> None:
    saved = [gallery.save(job(), n, picture(n), n, {}) for n in range(3)]
    (outputs / saved[1].path).unlink()
    with pytest.raises(NotFound):
        gallery.trash([one.id for one in saved])
    assert gallery.get(saved[0].id).trashed_at is not None
    assert gallery.get(saved[2].id).trashed_at is None
    with pytest.raises(NotFound):
        gallery.get(saved[1].id)  # whose file is gone, so that nobody deletes it in vain for ever
    (outputs / saved[0].path).write_bytes(b"somebody's")
    with pytest.raises(StorageError, match="another file with its name"):
        gallery.restore([saved[0].id])
    assert gallery.file(saved[0].id).is_file()


@pytest.mark.parametrize("both", [False, True])
def test_a_picture_that_is_open_on_windows_is_trashed_at_the_next_try(
    gallery: Gallery, outputs: Path, monkeypatch: pytest.MonkeyPatch, both: bool
) -> None:
    """There a file that is being sent can be given a second name, and then neither (`both`) can be taken away."""
    saved = gallery.save(job(), 0, picture(), 1, {})
    real, bin_ = Path.unlink, outputs / ".trash" / saved.path

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self == gallery._files.root / saved.path or (both and self == bin_):
            raise PermissionError(errno.EACCES, "The process cannot access the file because it is being used by another process")
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    for _ in range(2):
        with pytest.raises(StorageError, match="cannot be moved: it is open just now.*Try again in a moment"):
            gallery.trash([saved.id])
        assert gallery.search("").pictures == (saved,)
        assert gallery.file(saved.id).is_file()
        assert bin_.exists() is both
    monkeypatch.undo()
    assert gallery.trash([saved.id])[0].trashed_at is not None
    assert files(outputs) == [f".trash/{saved.path}"]
    assert gallery.restore([saved.id]) == [saved]


def test_emptying_the_trash_deletes_what_is_in_it_alone(gallery: Gallery, outputs: Path) -> None:
    saved = [gallery.save(job(), n, picture(n), n, {}) for n in range(3)]
    gallery.trash([saved[0].id, saved[1].id])
    assert gallery.empty_trash() == 2
    assert files(outputs) == [saved[2].path]
    assert gallery.search("").total == 1
    assert len(list((outputs / ".thumbnails").rglob("*.webp"))) == 1
    with pytest.raises(NotFound):
        gallery.restore([saved[0].id])


def test_a_trash_that_cannot_be_emptied_whole_forgets_what_is_gone(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = [gallery.save(job(), n, picture(n), n, {}) for n in range(3)]
    gallery.trash([one.id for one in saved])
    real = Path.unlink

    def refused(self: Path, missing_ok: bool = False) -> None:
        if self.name.startswith("00002"):
            raise PermissionError(13, "Permission denied")
        real(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(StorageError, match="write permission"):
        gallery.empty_trash()
    assert [one.id for one in gallery.search("", trashed=True).pictures] == [saved[2].id, saved[1].id]
    monkeypatch.undo()
    assert gallery.empty_trash() == 2


# --- thumbnails and downloads ---


def test_thumbnails_are_small_kept_and_made_again(gallery: Gallery) -> None:
    saved = gallery.save(job(width=512, height=768), 0, picture(1, (512, 768)), 1, {})
    path = gallery.thumbnail(saved.id)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("WEBP", (171, 256))
    kept = path.stat().st_mtime_ns
    assert gallery.thumbnail(saved.id).stat().st_mtime_ns == kept
    path.unlink()
    assert gallery.thumbnail(saved.id).is_file()
    with Image.open(gallery.thumbnail(saved.id, 1024)) as image:
        assert image.size == (512, 768)
    with pytest.raises(UserError, match="128, 256"):
        gallery.thumbnail(saved.id, 257)


def test_thumbnails_made_by_many_at_once_are_whole(gallery: Gallery, outputs: Path) -> None:
    saved = gallery.save(job(), 0, picture(1, (640, 640)), 1, {})
    start = threading.Barrier(8)

    def make(_: int) -> bytes:
        start.wait()
        return gallery.thumbnail(saved.id, 512).read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1
    assert not list(outputs.rglob("*.part"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16", "RGB"])
def test_foreign_pictures_of_every_mode_have_thumbnails(
    gallery: Gallery, database: Database, library: Library, outputs: Path, mode: str
) -> None:
    Image.new("L", (300, 100), 200).convert("I" if mode == "I;16" else mode).convert(mode).save(outputs / "x.png")
    (found,) = Gallery(outputs, database, library).search("").pictures
    with Image.open(gallery.thumbnail(found.id)) as image:
        assert image.size == (256, 85)


def test_a_picture_that_cannot_be_decoded_has_no_thumbnail_but_a_sentence(gallery: Gallery, outputs: Path) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    (outputs / saved.path).write_bytes((outputs / saved.path).read_bytes()[:-200])
    with pytest.raises(BadImage, match="damaged"):
        gallery.thumbnail(saved.id, 512)


def test_archive_holds_each_picture_once_under_a_name_of_its_own(gallery: Gallery, outputs: Path) -> None:
    saved = [gallery.save(job(), n, picture(n), n, {}) for n in range(3)]
    gallery.trash([saved[2].id])
    path = gallery.archive([saved[2].id, saved[0].id, saved[1].id, saved[0].id])
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(one.path.replace("/", "-") for one in saved)
        assert archive.read(saved[0].path.replace("/", "-")) == (outputs / saved[0].path).read_bytes()
    assert gallery.search("").total == 2


def test_an_archive_of_nothing(gallery: Gallery) -> None:
    with pytest.raises(UserError, match="at least one"):
        gallery.archive([])


def test_an_archive_left_behind_goes_at_the_next_start(gallery: Gallery, database: Database, library: Library) -> None:
    path = gallery.archive([gallery.save(job(), 0, picture(), 1, {}).id])
    Gallery(path.parents[1], database, library)
    assert not path.exists()


def test_reveal_asks_the_file_manager_without_a_shell(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = gallery.save(job(), 0, picture(), 1, {})
    asked: list[Any] = []

    class Popen:
        def __init__(self, arguments: list[str], **options: Any) -> None:
            asked.append((arguments, options.get("shell", False)))

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(reveal.subprocess, "Popen", Popen)
    monkeypatch.setattr(reveal.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(reveal.sys, "platform", "linux")
    gallery.reveal(saved.id)
    assert asked == [(["/usr/bin/xdg-open", str(gallery.file(saved.id).parent)], False)]
    monkeypatch.setattr(reveal.shutil, "which", lambda name: None)
    with pytest.raises(Unsupported, match=r"It is .*00001-1\.png"):
        gallery.reveal(saved.id)


@pytest.mark.parametrize(
    ("platform", "arguments"),
    [("win32", ["explorer", "/select,/a/b.png"]), ("darwin", ["open", "-R", "/a/b.png"]), ("linux", ["xdg-open", "/a"])],
)
def test_file_managers(platform: str, arguments: list[str]) -> None:
    assert [part.replace("\\", "/") for part in reveal.command(Path("/a/b.png"), platform)] == arguments


def test_parameters_of_a_saved_picture_make_it_again(gallery: Gallery, samplers: Any, schedules: Any) -> None:
    facts = {"Device": "a CPU, bf16", "Retry": "decoded in fp32, since bf16 overflowed"}
    saved = gallery.save(job(prompt="a, b", sampling={"seed": 100, "steps": 9}), 3, picture(), 103, facts)
    read = gallery.parameters(saved.id, samplers, schedules)
    expected = job(prompt="a, b", count=1, sampling={"seed": 103, "steps": 9}).request
    assert read.notes == ()
    assert GenerationRequest.model_validate(read.draft) == expected
    assert parse(read.infotext).fields["Seed"] == "103"
    assert read.facts == facts
    gallery.trash([saved.id])
    assert gallery.parameters(saved.id, samplers, schedules).facts == facts
    gallery.file(saved.id).unlink()
    assert gallery.parameters(saved.id, samplers, schedules) == read.model_copy(update={"facts": {}})
