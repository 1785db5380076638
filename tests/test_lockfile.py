"""One program at a time on a folder, and the second is told who holds it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from webui.core.errors import SetupError
from webui.lockfile import NAME, FolderLock

HOLDER = """
import sys, time
from pathlib import Path
from webui.lockfile import FolderLock
with FolderLock(Path(sys.argv[1])) as lock:
    lock.announce("http://127.0.0.1:7860")
    print("held", flush=True)
    time.sleep(60)
"""


def start(folder: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_start_says_who_holds_the_folder_and_a_kill_frees_it(tmp_path: Path) -> None:
    holder = start(tmp_path)
    try:
        with pytest.raises(SetupError) as refused, FolderLock(tmp_path):
            pass
        for part in (str(tmp_path), f"process {holder.pid}", "since 20", "http://127.0.0.1:7860", "--outputs-dir"):
            assert part in str(refused.value)
    finally:
        holder.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        holder.wait(10)
    assert (tmp_path / NAME).exists(), "a killed program leaves its file, which must not matter"
    with FolderLock(tmp_path):
        pass


def test_two_in_one_process_exclude_each_other_too(tmp_path: Path) -> None:
    with FolderLock(tmp_path, "http://here"), pytest.raises(SetupError, match=f"process {os.getpid()} .*http://here"), FolderLock(tmp_path):
        pass
    with FolderLock(tmp_path), FolderLock(tmp_path / "other"):
        pass


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1}', "\x00"])
def test_a_holder_that_is_just_writing_is_not_named(tmp_path: Path, text: str) -> None:
    with FolderLock(tmp_path):
        (tmp_path / NAME).write_text(text)
        with pytest.raises(SetupError, match="Another Gesso uses the folder"), FolderLock(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match="--outputs-dir"), FolderLock(tmp_path / "file"):
        pass
