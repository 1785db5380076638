"""The stars once more, beside the database: no picture's file says whether it is starred, so a lost database would lose them."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from webui.core.errors import StorageError
from webui.core.picture import Picture
from webui.gallery.files import PART, storage_errors

log = logging.getLogger(__name__)


class Stars:
    """Thread-safe. Asked only about pictures that the index does not know; for the others it is right."""

    def __init__(self, file: Path, starred: Callable[[], Iterable[Picture]]) -> None:
        """`starred` gives those of the index: what is written where there is no file yet, or a damaged one."""
        self._file = file
        self._lock = threading.Lock()
        kept = _read(file)
        self._keys = {_key(picture) for picture in starred()} if kept is None else kept
        if kept is None and self._keys:
            self._write()

    def __contains__(self, picture: Picture) -> bool:
        """A copy of a starred picture counts as one, for it says that it is that picture."""
        return picture.id in self._keys or picture.path in self._keys

    def keep(self, picture: Picture) -> None:
        """As its `starred` says now."""
        with self._lock:
            (self._keys.add if picture.starred else self._keys.discard)(_key(picture))
            self._write()

    def forget(self, pictures: Iterable[Picture]) -> None:
        """Those that are deleted for good."""
        with self._lock:
            gone = {_key(picture) for picture in pictures} & self._keys
            if gone:
                self._keys -= gone
                self._write()

    def _write(self) -> None:
        """Whole or not at all. A full disk is no reason to refuse a star that the database has taken."""
        part = self._file.with_name(f"{self._file.name}{PART}")
        try:
            with storage_errors(self._file.parent):
                with part.open("w", encoding="utf-8") as file:
                    json.dump(sorted(self._keys), file, indent=0)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self._file)
        except StorageError as error:
            log.warning("The star is kept in the database alone: %s", error)


def _key(picture: Picture) -> str:
    """What is found again in the file itself: the id of a picture that was made here, and the place of any other."""
    return picture.path if picture.job_id is None else picture.id


def _read(file: Path) -> set[str] | None:
    """None where there is none, or it is damaged."""
    try:
        keys = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read and is written anew: %s", file, error)
        return None
    return {key for key in keys if isinstance(key, str)} if isinstance(keys, list) else None
