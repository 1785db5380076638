"""Picture files under the outputs folder: saved whole or not at all, never over another, moved to the trash and back.

`<outputs>/2026-11-23/00042-1234.png`; trashed ones stand in the same tree below `.trash`. A picture's `path` is always
the first, below the outputs folder and with "/".
"""

import errno
import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from webui.core.errors import NotFound, StorageError

TRASH, THUMBNAILS, ARCHIVES, STARS = ".trash", ".thumbnails", ".archives", ".stars.json"
PART = ".part"
SUFFIX = ".png"
_HELD = "it is open just now, or its folder may not be written to. Try again in a moment, or close what shows it."
_NUMBERED = re.compile(r"(\d{1,9})-.*")

log = logging.getLogger(__name__)


class Files:
    """One process writes here at a time; its threads may share this."""

    def __init__(self, outputs: Path) -> None:
        """Raises `StorageError` when the folder can be neither used nor made."""
        self.outputs = outputs
        self._lock = threading.Lock()
        self._highest: dict[str, int] = {}
        with storage_errors(outputs):
            outputs.mkdir(parents=True, exist_ok=True)
            self.root = outputs.resolve(strict=True)

    def save(self, write: Callable[[BinaryIO], None], name: str) -> str:
        """Have `write` fill a file, then give it the next number of today: `<day>/<number>-<name>.png`; returns its path.

        The bytes are on the disk before the name appears, and the name before this returns. Raises `StorageError`;
        nothing half-written stays then.
        """
        day = time.strftime("%Y-%m-%d")
        folder = self.outputs / day
        part = folder / f".{secrets.token_hex(8)}{PART}"
        with storage_errors(folder):
            try:
                folder.mkdir(exist_ok=True)
                with part.open("xb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                return self._name(part, day, name)
            finally:
                part.unlink(missing_ok=True)

    def _name(self, part: Path, day: str, name: str) -> str:
        with self._lock:
            number = self._highest.get(day) or self._highest_of(day)
            while True:
                number += 1
                final = self.outputs / day / f"{number:05}-{name}{SUFFIX}"
                if _appear(part, final):
                    break
            self._highest[day] = number
        sync_folder(final.parent)
        return f"{day}/{final.name}"

    def _highest_of(self, day: str) -> int:
        """Of the day's folder and of its trash, so that what is restored finds its name free."""
        highest = 0
        for folder in (self.outputs / day, self.outputs / TRASH / day):
            if folder.is_dir():
                with os.scandir(folder) as entries:
                    numbers = (_NUMBERED.fullmatch(entry.name) for entry in entries)
                    highest = max([highest, *(int(found[1]) for found in numbers if found)])
        return highest

    def locate(self, path: str, *, trashed: bool = False) -> Path:
        """Where the file is, after all links. Raises `NotFound` when it is gone, or is not below the outputs folder."""
        try:
            real = self._place(path, trashed).resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            raise NotFound(f"The file {PurePosixPath(path).name[:80]} is gone: it was moved or deleted outside Gesso.") from None
        if not real.is_relative_to(self.root) or not real.is_file():
            raise NotFound(f"The file {PurePosixPath(path).name[:80]} is not in the outputs folder.")
        return real

    def free_space(self) -> int:
        """Bytes that the disk still takes. Raises `StorageError`."""
        with storage_errors(self.outputs):
            return shutil.disk_usage(self.root).free

    def where(self, path: str) -> bool | None:
        """Whether the file is in the trash; None when it is nowhere. Raises `StorageError` when that cannot be seen."""
        with storage_errors(self.outputs):
            for trashed in (False, True, False):  # a move gives the second name first: who looks at both, and again, cannot miss it
                if self._place(path, trashed).exists():
                    return trashed
        return None

    def _place(self, path: str, trashed: bool) -> Path:
        return self.outputs / TRASH / path if trashed else self.outputs / path

    def trash(self, path: str) -> None:
        """Raises `NotFound` when it is gone, `StorageError` when it cannot be moved."""
        self._move(self.locate(path), self._place(path, True))

    def restore(self, path: str) -> None:
        """To exactly where it was. Raises `NotFound`, `StorageError` (also when another file took its name)."""
        self._move(self.locate(path, trashed=True), self._place(path, False))

    def _move(self, source: Path, target: Path) -> None:
        with storage_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            if not _appear(source, target) and not target.samefile(source):  # the same: a move that was cut short
                raise StorageError(f"{target.name} cannot be moved: there is another file with its name in {target.parent}.")
            try:
                source.unlink(missing_ok=True)
            except PermissionError as error:
                with suppress(PermissionError):  # the same file, which Windows keeps; the next try, or start, ends the move
                    target.unlink()
                raise StorageError(f"{source.name} cannot be moved: {_HELD}") from error
            sync_folder(target.parent)

    def untwin(self, path: str, *, keep_trashed: bool) -> None:
        """End a move that was cut short after the file had got its second name; two different files both stay."""
        twins = self._place(path, False), self._place(path, True)
        with storage_errors(self.outputs):
            if twins[0].samefile(twins[1]):
                twins[not keep_trashed].unlink()

    def delete(self, path: str, *, trashed: bool) -> None:
        """For good; a file that is gone already is fine. Raises `StorageError`."""
        with storage_errors(self.outputs):
            self._place(path, trashed).unlink(missing_ok=True)

    def walk(self, *, trashed: bool = False) -> Iterator[str]:
        """The paths of all PNG files, whoever made them; folders that start with a dot and links to folders are passed over."""
        top = self.outputs / TRASH if trashed else self.outputs
        below = [""]  # plain text: a hundred thousand paths are walked at every start
        while below:
            folder = below.pop()
            try:
                with os.scandir(top / folder) as scanned:
                    entries = [entry for entry in scanned if not entry.name.startswith(".")]
            except OSError:
                continue  # gone, or not ours to read
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    below.append(f"{folder}{name}/")
                elif name.lower().endswith(SUFFIX) and _is_text(name):
                    yield folder + name

    def sweep(self) -> int:
        """Remove what a crash left half-done; returns how many files. Only while nothing is being saved."""
        left = [part for folder in self.outputs.glob("*") if folder.is_dir() for part in folder.glob(f".*{PART}")]
        left += [*(self.outputs / THUMBNAILS).rglob(f"*{PART}"), *(self.outputs / ARCHIVES).glob("*")]
        with storage_errors(self.outputs):
            for path in left:
                path.unlink(missing_ok=True)
        return len(left)


def _appear(source: Path, target: Path) -> bool:
    """Give a file its name unless that is taken. A link fails on a taken name by itself; where there are none, look first."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENOENT):
            raise
        if target.exists():
            return False
        source.rename(target)
    return True


def _is_text(name: str) -> bool:
    """Names of other bytes than UTF-8 can be neither stored nor sent."""
    try:
        name.encode()
    except UnicodeEncodeError:
        log.warning("%r is not in the gallery: its name is not valid text. Rename it.", name)
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in it survive a power cut; Windows has no such call."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turns the disk's complaints about `folder` into `StorageError` sentences."""
    try:
        yield
    except OSError as error:
        raise StorageError(_sentence(error, folder)) from error


def _sentence(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {folder} is full. Free some space; nothing saved before is lost."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder} cannot be written to. Give it write permission, or choose another folder with --outputs-dir."
    return f"{folder} cannot be used: {error.strerror or error}."
