"""What the process that opens a pickled file may not do. All systems: no network, no other process, no file written; POSIX: bounds too."""

import contextlib
import ctypes
import os
import sys
from typing import Any, NamedTuple

if sys.platform != "win32":
    import resource

REFUSED = 77  # exit status
MARGIN = 1 << 30  # bytes beyond what the weights take: torch's own work
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
FORBIDDEN = (  # audit events (docs.python.org/3/library/audit_events.html) by their beginnings
    "socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "os.kill", "pty.",
    "os.remove", "os.rename", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.putenv",
    "shutil.", "ctypes.dlopen", "pickle.find_class", "urllib.", "ftplib.", "http.", "webbrowser.",
)  # fmt: skip


class Limits(NamedTuple):
    """Of one conversion."""

    memory: int  # bytes beyond what the process has when the file is opened
    seconds: int  # of processor time
    written: int  # bytes of the result

    @classmethod
    def of(cls, size: int) -> "Limits":
        """What a file of `size` bytes needs: itself in memory, and once more what is being written."""
        return cls(memory=2 * size + MARGIN, seconds=120 + size // 20_000_000, written=size + size // 4 + 64_000_000)


def cut_network() -> bool:
    """Into a namespace without a network, where Linux lets one; before threads start. Whether it did."""
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)
    except (OSError, AttributeError):
        return False  # some containers forbid it; `forbid` refuses the network all the same


def bound(limits: Limits) -> bool:
    """Bounds that the system holds: memory, processor time, the result's size. Whether there are any here."""
    if sys.platform == "win32":
        return False
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + limits.seconds)
    _lower(resource.RLIMIT_FSIZE, limits.written)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_AS, _mapped() + limits.memory)  # macOS takes it and does not hold it; the parent watches
    return True


def _lower(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # not every system knows every bound
        resource.setrlimit(what, (wanted, wanted))


def _mapped() -> int:
    """Bytes of addresses that this process has already: with a CUDA build of torch these are many."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123  # a page of the kernel's
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return 64 << 30


def forbid() -> None:
    """From here on, for good: whatever Python code asks for it, the process ends."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith(FORBIDDEN) or (event == "open" and _writes(arguments)):
        os.write(2, f"\nrefused: {event}\n".encode())
        os._exit(REFUSED)


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str) and set(mode) & set("wax+"):
        return True
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
