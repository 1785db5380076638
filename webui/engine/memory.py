"""How many bytes there are, and may be taken; no torch."""

import contextlib
from pathlib import Path

import psutil

CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
SHARE = 0.6  # of the machine's memory that checkpoints may take, unless told


def total() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's limit."""
    machine = int(psutil.virtual_memory().total)
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such file, or the word "max"
            return min(machine, int(path.read_text()))
    return machine


def used() -> int:
    """Resident bytes of this process."""
    return int(psutil.Process().memory_info().rss)


def budget(asked: int | None) -> int:
    """Bytes that checkpoints may take together."""
    return asked if asked is not None else int(total() * SHARE)


def gb(size: float) -> str:
    """Bytes for the person at the screen."""
    return f"{size / 1e9:.1f} GB"


def available() -> int:
    """Bytes that the machine could still give."""
    return int(psutil.virtual_memory().available)
