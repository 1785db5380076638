"""sha256 of weight files: computed when asked for, kept by (path, size, time of change), also over a restart."""

import hashlib
import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

CHUNK = 8 * 1024 * 1024  # bytes

log = logging.getLogger(__name__)


class Hashes:
    """Thread-safe. Without a `file` the hashes live as long as the process."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._known: dict[str, str] = self._load()

    def _load(self) -> dict[str, str]:
        if self._file is None or not self._file.is_file():
            return {}
        try:
            made = json.loads(self._file.read_bytes())
        except (OSError, ValueError) as error:
            log.warning("%s is not readable and starts anew: %s", self._file, error)
            return {}
        return {key: value for key, value in made.items() if isinstance(value, str)} if isinstance(made, dict) else {}

    def known(self, paths: Sequence[Path]) -> str | None:
        """Only what is known already; a look at each file's size and time, never at its content."""
        try:
            return self._known.get(_key(paths)) if self._known else None
        except OSError:
            return None

    def compute(self, paths: Sequence[Path], *, tensors: bool = False) -> str:
        """The files' bytes one after another, read only the first time (about 1 s per GB). Raises `OSError`.

        `tensors`: without the length and the header that a safetensors file begins with, as trainers hash LoRAs.
        """
        key = _key(paths) + ("|tensors" if tensors else "")
        with self._lock:
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            if key not in self._known:
                value = _sha256(paths, tensors=tensors)
                with self._lock:
                    self._known[key] = value
                    self._store()
        return self._known[key]

    def _store(self) -> None:
        if self._file is None:
            return
        temporary = self._file.with_suffix(".part")
        try:
            temporary.write_text(json.dumps(self._known, indent=1), encoding="utf-8")
            temporary.replace(self._file)
        except OSError as error:
            log.warning("%s could not be written, so hashes are computed again at the next start: %s", self._file, error)


def _key(paths: Sequence[Path]) -> str:
    parts = []
    for path in paths:
        stat = path.stat()
        parts.append(f"{os.fsencode(path.absolute()).decode('utf-8', 'backslashreplace')}|{stat.st_size}|{stat.st_mtime_ns}")
    return "||".join(parts)


def _sha256(paths: Sequence[Path], *, tensors: bool = False) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            if tensors:
                file.seek(8 + int.from_bytes(file.read(8), "little"))
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()
