"""The disk fills up while jobs run: the queue pauses and says so, and after Resume every picture is there once."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.jobs.conftest import ask
from webui.core.events import BusEvent, Changed, Finished, QueueChanged, Saved
from webui.core.job import HOST, Status
from webui.database import Database
from webui.engine.fake import FakeEngine
from webui.extensions import Extensions
from webui.gallery import files
from webui.gallery.gallery import Gallery
from webui.jobs.bus import Bus
from webui.jobs.dispatcher import Dispatcher
from webui.jobs.store import JobStore
from webui.library.store import Library

SOON = 30.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 4 MB, in memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "gesso-test", str(disk)], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


class Run:
    """Three jobs of three pictures on one folder; `before` happens after the second picture."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "gesso.sqlite3")
        gallery = Gallery(folder, self.database, Library(folder / "models", ()))
        self.store, self.bus = JobStore(self.database), Bus()
        self.dispatcher = Dispatcher(self.store, self.bus, {"fake": FakeEngine(delay=0.002)}, gallery.save, Extensions())
        self.jobs = [self.store.add(ask(count=3, seed=number * 10), HOST) for number in range(3)]
        self.told: list[BusEvent] = []
        self.full = threading.Event()
        self.back = threading.Event()
        self.done = threading.Event()
        self.bus.listen(self.hear)

    def hear(self, event: BusEvent) -> None:
        self.told.append(event)
        if isinstance(event, Saved) and sum(isinstance(each, Saved) for each in self.told) == 2:
            self.fill()
        elif isinstance(event, QueueChanged) and event.paused:
            self.full.set()
        elif isinstance(event, Changed) and event.job.status is Status.QUEUED:
            self.back.set()
        elif isinstance(event, Finished) and not self.store.list(active=True):
            self.done.set()

    says = ""  # what the person is told

    def fill(self) -> None:
        raise NotImplementedError

    def free(self) -> None:
        raise NotImplementedError

    def check(self) -> None:
        self.dispatcher.start()
        assert self.full.wait(SOON)
        assert self.store.paused
        message = next(event.message for event in self.told if isinstance(event, QueueChanged))
        assert message.startswith("The queue is paused.")
        assert self.says in message
        assert message.endswith("Press Resume to go on.")
        assert not [event for event in self.told if isinstance(event, Finished) and event.job.status is not Status.DONE]
        self.free()
        deadline = time.monotonic() + SOON
        while not self.done.wait(0.2):  # a write that met the full disk just before may have paused the queue once more
            assert time.monotonic() < deadline
            if self.store.paused:
                self.store.pause(False)
                self.dispatcher.wake()
        self.dispatcher.close()
        rows = self.database.read("SELECT job_id, picture_index, seed, path FROM pictures ORDER BY number")
        expected = [(job.id, index, job.request.sampling.seed + index) for job in self.jobs for index in range(3)]
        assert [tuple(row)[:3] for row in rows] == expected
        assert {self.store.get(job.id).status for job in self.jobs} == {Status.DONE}
        folder = self.database.path.parent
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")} == {row["path"] for row in rows}
        assert not list(folder.rglob("*.part"))
        assert self.database.read("PRAGMA integrity_check")[0][0] == "ok"
        self.database.close()


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    class Filled(Run):
        says = "disk"  # of pictures or of the database, whichever is met first

        def fill(self) -> None:
            with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
                while filler.write(b"\0" * 4096):
                    pass

        def free(self) -> None:
            (small_disk / "filler").unlink()

    Filled(small_disk).check()


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (errno.ENOSPC, "is full. Free some space"),
        (errno.EDQUOT, "is full. Free some space"),
        (errno.EROFS, "cannot be written to. Give it write permission"),
        (errno.EIO, os.strerror(errno.EIO)),
    ],
)
def test_a_disk_that_refuses_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: int, sentence: str) -> None:
    """Only the pictures' disk: the queue's own can still be written, and the job waits in it."""

    def refuse(handle: int) -> NoReturn:
        raise OSError(trouble, os.strerror(trouble))

    class Refused(Run):
        says = sentence

        def fill(self) -> None:
            monkeypatch.setattr(files.os, "fsync", refuse)

        def free(self) -> None:
            assert self.back.wait(SOON)
            assert self.store.list(active=True)[0].status is Status.QUEUED
            monkeypatch.undo()

    Refused(tmp_path).check()
