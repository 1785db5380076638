"""The janitor: bounds the folder of temporary files that Gradio fills with uploads."""

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

EVERY = 60.0  # seconds
MAX_AGE = 86_400.0  # seconds
MAX_BYTES = 2_000_000_000
_log = logging.getLogger(__name__)


def keep_tidy(folder: Path, ended: threading.Event) -> None:
    """`tidy` now and every minute until `ended` is set: whoever may upload may also upload without end."""
    tidy(folder)
    while not ended.wait(EVERY):
        tidy(folder)


def tidy(folder: Path, *, max_age: float = MAX_AGE, max_bytes: int = MAX_BYTES) -> int:
    """Delete files older than `max_age`, then the oldest until `max_bytes` are left; returns how many. Never follows a link out."""
    found: list[tuple[float, int, Path]] = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            try:
                stat = path.lstat()
            except OSError:  # it went while we looked, which is as well
                continue
            found.append((stat.st_mtime, stat.st_size, path))
    found.sort()
    left, now, gone = sum(size for _, size, _ in found), time.time(), 0
    for changed, size, path in found:
        if now - changed <= max_age and left <= max_bytes:
            break
        try:
            path.unlink()
        except OSError as error:
            _log.warning("The temporary file %s could not be deleted: %s", path, error.strerror)
            continue
        left -= size
        gone += 1
    _remove_empty(folder)
    return gone


def _remove_empty(folder: Path) -> None:
    for place, _, _ in os.walk(folder, topdown=False):
        if Path(place) != folder:
            with contextlib.suppress(OSError):  # one that is not empty stays
                Path(place).rmdir()
