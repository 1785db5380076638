"""`FolderLock`: one program at a time on a folder. The operating system holds the lock, so that a killed program frees it."""

import json
import os
import socket
import sys
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from webui.core.errors import SetupError

NAME = ".gesso.lock"

if sys.platform == "win32":
    import msvcrt

    FAR = 1 << 30  # Windows locks bytes against reading too: one that is never written leaves the text readable

    def _lock(file: IO[str]) -> None:
        os.lseek(file.fileno(), FAR, os.SEEK_SET)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        os.lseek(file.fileno(), 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """Held between `with` and its end. The file says who holds it; that it exists says nothing."""

    def __init__(self, folder: Path, url: str = "") -> None:
        """`url` is where the holder's page is; `announce` tells it when it is known only later."""
        self._folder = folder
        self._url = url
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        """Raises `SetupError` naming the holder, or why the folder cannot be locked."""
        path = self._folder / NAME
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise SetupError(f"The folder {self._folder} cannot be used: {error.strerror}. Choose another with --outputs-dir.") from error
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            file.close()
            raise SetupError(self._taken(path)) from error
        except OSError as error:
            file.close()
            raise SetupError(
                f"The folder {self._folder} is on a disk that has no locks ({error.strerror}). Choose a local one with --outputs-dir."
            ) from error
        self._file = file
        self.announce(self._url)
        return self

    def announce(self, url: str) -> None:
        """Let a second start say where this one's page is."""
        if self._file is None:
            raise RuntimeError("the lock is not held")
        self._url = url
        holder = {"pid": os.getpid(), "machine": socket.gethostname(), "since": datetime.now().isoformat(" ", "seconds"), "url": url}
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(holder))
        self._file.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()  # the file stays: deleting it would let two programs lock two files of one name
            self._file = None

    def _taken(self, path: Path) -> str:
        holder = _read(path)
        if holder is None:
            return f"Another Gesso uses the folder {self._folder}. Stop it first, or choose another folder with --outputs-dir."
        where = f" Its page is {holder['url']}." if holder["url"] else ""
        return (
            f"Another Gesso uses the folder {self._folder}: process {holder['pid']} on {holder['machine']}, since {holder['since']}.{where}"
            " Use that one, stop it first, or choose another folder with --outputs-dir."
        )


def _read(path: Path) -> dict[str, Any] | None:
    """What the holder wrote; None while it is just writing."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(holder, dict) and {"pid", "machine", "since", "url"} <= holder.keys()
    return holder if known else None
