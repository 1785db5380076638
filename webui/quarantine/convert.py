"""A pickled weight file to .safetensors beside it: looked at, opened in a process that may do little, checked, then put in place."""

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import psutil

import webui
from webui.core.errors import Cancelled, Conflict, LoadFailed, StorageError, Unsupported
from webui.library.header import read_header
from webui.quarantine.limits import REFUSED, Limits
from webui.quarantine.opcodes import Unfit
from webui.quarantine.scan import Verdict, examine_open, open_plain

POLL = 0.05  # seconds between looks at the process
WALL = 10  # times its processor time that it may take, for slow disks
TORCH = 2 << 30  # bytes that torch itself may take in memory
STARTING = 60  # seconds of processor time that torch may take to start
MAX_SAID = 100_000  # bytes of what the process prints that are kept
REPORT = "report: "  # as in `child`
PASSED_ON = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TEMP", "TMP")  # of the environment: no tokens

log = logging.getLogger(__name__)


class Converted(NamedTuple):
    """A new file; the old one is where it was."""

    path: Path
    verdict: Verdict
    tensors: int
    bytes: int
    left_out: tuple[str, ...]  # what was no tensor
    network: bool  # whether the system held the network away; the process refuses it in any case
    bounds: bool  # whether the system bounded its memory and time; the parent watches them in any case


def convert(path: Path, *, limits: Limits | None = None, cancelled: Callable[[], bool] = lambda: False) -> Converted:
    """`x.ckpt` (.pt, .bin, .pth) becomes `x.safetensors` beside it, with the same tensors, bit for bit.

    Nothing of the file is run, and the new file appears whole or not at all. Raises `Unsupported` with the verdict,
    `Conflict` when there is such a file already, `StorageError` when there is no room, `LoadFailed` when the file cannot be
    read, `Cancelled`.
    """
    target = path.with_suffix(".safetensors")
    if os.path.lexists(target):
        raise Conflict(f"There is a {target.name} beside {path.name} already. Use it, or move it away first.")
    try:
        with open_plain(path) as file:
            verdict = examine_open(file, path.name)
            if not verdict.fit:
                raise Unsupported(verdict.sentence)
            size = file.seek(0, os.SEEK_END)
            _check_room(target, size)
            with _temporary(target) as (temporary, result):
                report = _run(file, result, limits or Limits.of(size), path.name, cancelled)
                os.fsync(result.fileno())
                result.close()
                read_header(temporary)  # as strictly as any file from elsewhere
                _put_in_place(temporary, target)
    except Unfit as unfit:
        raise Unsupported(f"{path.name} {unfit}") from unfit
    except OSError as error:
        raise LoadFailed(f"{path.name} cannot be converted: {error.strerror or error}.") from error
    left_out = tuple(str(name) for name in report["left_out"])
    return Converted(target, verdict, report["tensors"], target.stat().st_size, left_out, report["network"], report["bounds"])


def _check_room(target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < size + 64_000_000:
        raise StorageError(f"{target.name} needs {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free. Make room first.")


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A file beside the target, under a name that the library does not list; gone afterwards whatever happened."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with temporary.open("xb") as result:
            yield temporary, result
    finally:
        temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, target: Path) -> None:
    """Under its name, and never over another file."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError as error:
        raise Conflict(f"A {target.name} has appeared meanwhile. It was left as it is.") from error
    except OSError as error:  # a file system without links
        log.debug("%s is renamed, not linked: %s", target, error)
        if os.path.lexists(target):
            raise Conflict(f"A {target.name} has appeared meanwhile. It was left as it is.") from error
        temporary.rename(target)


def _run(source: BinaryIO, result: BinaryIO, limits: Limits, name: str, cancelled: Callable[[], bool]) -> dict[str, Any]:
    """The process's report. Raises `Unsupported` saying why there is none."""
    source.seek(0)
    root = str(Path(webui.__file__).parent.parent)
    kept = {key: value for key, value in os.environ.items() if key.upper() in PASSED_ON}
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "webui.quarantine.child", json.dumps(limits)],
        stdin=source,
        stdout=result,
        stderr=subprocess.PIPE,
        env=kept | quiet | {"PYTHONPATH": os.pathsep.join([root, *(entry for entry in sys.path if entry)])},
    )
    said = bytearray()
    listener = threading.Thread(target=_listen, args=(process, said), name="quarantine log", daemon=True)
    listener.start()
    try:
        why = _watch(process, limits, cancelled)
    finally:
        process.kill()
        process.wait()
        listener.join()
    if why:
        raise Unsupported(f"{name} {why}")
    return _report(process.returncode, said.decode("utf-8", "replace"), name)


def _listen(process: "subprocess.Popen[bytes]", said: bytearray) -> None:
    assert process.stderr is not None  # PIPE above
    with process.stderr as lines:
        while chunk := lines.read(4096):
            said.extend(chunk)
            del said[:-MAX_SAID]


def _watch(process: "subprocess.Popen[bytes]", limits: Limits, cancelled: Callable[[], bool]) -> str:
    """Until it ends; the bounds hold here too, for systems that hold none. Returns why it was stopped."""
    deadline = time.monotonic() + WALL * limits.seconds
    start: int | None = None
    while process.poll() is None:
        if cancelled():
            raise Cancelled("The conversion was cancelled.")
        with contextlib.suppress(psutil.Error):  # it ended in this moment
            looked = psutil.Process(process.pid)
            used, times = looked.memory_info().rss, looked.cpu_times()
            start = used if start is None else start
            if used > start + limits.memory + TORCH:
                return "needs more memory to open than weights of its size do. It is not converted."
            if times.user + times.system > limits.seconds + STARTING:
                return "takes longer to open than weights of its size do. It is not converted."
        if time.monotonic() > deadline:
            return "takes longer to open than weights of its size do. It is not converted."
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL)
    return ""


def _report(code: int, said: str, name: str) -> dict[str, Any]:
    lines = [line.removeprefix(REPORT) for line in said.splitlines() if line.startswith(REPORT)]
    if lines and code == 0:
        report: dict[str, Any] = json.loads(lines[-1])
        if "problem" in report:
            raise Unsupported(f"{name} {report['problem']}")
        return report
    if code < 0 and not said.strip():
        raise Unsupported(f"{name} needs more memory or time to open than weights of its size do. It was stopped, and is not converted.")
    log.warning("The process that opened %s ended with %d: %s", name, code, said[-2000:])
    if code == REFUSED:
        event = said.rpartition("refused: ")[2].split("\n")[0][:80]
        raise Unsupported(f"{name} tried to do something that weights never need ({event}). It was stopped, and is not converted.")
    raise Unsupported(f"{name} was not converted: the process that opened it ended with {code}. The log has more.")
