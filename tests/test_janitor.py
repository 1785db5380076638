import os
import threading
import time
from pathlib import Path

import pytest

from webui import janitor
from webui.janitor import keep_tidy, tidy


def put(path: Path, size: int = 10, age: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_old_files_go_and_their_empty_folders_with_them(tmp_path: Path) -> None:
    old, new = put(tmp_path / "a" / "b" / "old", age=100), put(tmp_path / "c" / "new")
    assert tidy(tmp_path, max_age=50) == 1
    assert not old.parent.parent.exists()
    assert new.exists()


def test_the_oldest_go_until_it_fits(tmp_path: Path) -> None:
    files = [put(tmp_path / str(age), size=10, age=age) for age in (3, 2, 1)]
    assert tidy(tmp_path, max_bytes=20) == 1
    assert [file.exists() for file in files] == [False, True, True]


def test_a_link_out_is_removed_and_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside" / "keep", age=1000)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside.parent)
    (inside / "file-link").symlink_to(outside)
    os.utime(inside / "file-link", (0, 0), follow_symlinks=False)
    assert tidy(inside, max_age=50) == 1
    assert outside.exists()


def test_no_folder_is_no_work(tmp_path: Path) -> None:
    assert tidy(tmp_path / "none") == 0


def test_one_that_cannot_be_deleted_does_not_keep_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, free = put(tmp_path / "held", age=200), put(tmp_path / "free", age=100)
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self == held:
            raise PermissionError(13, "in use")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert tidy(tmp_path, max_age=50) == 1
    assert (held.exists(), free.exists()) == (True, False)


def test_it_goes_on_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(janitor, "EVERY", 0.02)
    ended = threading.Event()
    keeper = threading.Thread(target=keep_tidy, args=(tmp_path, ended))
    keeper.start()
    try:
        for number in range(2):
            old = put(tmp_path / str(number), age=2 * janitor.MAX_AGE)
            deadline = time.monotonic() + 10
            while old.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert not old.exists()
    finally:
        ended.set()
        keeper.join(10)
    assert not keeper.is_alive()
