"""The set-up from end to end: one at a time in a folder, and whole again after any interruption."""

import contextlib
import errno
import json
import shutil
import sys
import time
from collections.abc import Iterator
from typing import IO, TextIO

from webui.setup.hardware import Build, choose_build, look
from webui.setup.home import Home, Stop, Want, pins, read_stamp, ready, say, unfinished_packages, venv_problem
from webui.setup.packages import explain, install, run_logged

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def set_up(home: Home, want: Want, out: TextIO) -> None:
    """Makes `.venv` as `want` asks, unless it is so already. Raises `Stop`."""
    if ready(home, want):
        return
    try:
        home.notes.mkdir(exist_ok=True)
        with only_one(home, out) as lock:
            if not ready(home, want):
                _set_up(home, want, lock, out)
    except OSError as error:
        raise Stop(_os_sentence(home, error)) from error


def _set_up(home: Home, want: Want, lock: int, out: TextIO) -> None:
    stamp = read_stamp(home)
    asked = want.torch or stamp.get("asked", "auto")
    extras = sorted({*want.extras, *stamp.get("extras", ())})
    build = choose_build(asked, look())
    say(out, f"Setting Gesso up, with {build.label}: {build.why}.")
    shutil.rmtree(home.temporary, ignore_errors=True)
    home.temporary.mkdir()
    if home.log.exists():
        home.log.replace(home.log.with_suffix(".old.log"))
    problem = "from nothing, as asked" if want.afresh else venv_problem(home) or _pip_problem(home)
    if problem or not any(home.venv.glob("[Ll]ib/**/site-packages/torch")):
        check_room(home, build)
    home.stamp.unlink(missing_ok=True)
    if problem:
        say(out, f"Making {home.venv} ({problem}) ...")
        make_venv(home)
    for broken in unfinished_packages(home):
        shutil.rmtree(broken)  # pip takes the package for absent, and installs it over what is there
    install(home, extras, build, lock, out)
    say(out, try_torch(home, build))
    shutil.rmtree(home.temporary, ignore_errors=True)
    written = {"pins": pins(home, extras), "extras": extras, "asked": asked, "build": build.name}
    part = home.stamp.with_suffix(".part")
    part.write_text(json.dumps(written), encoding="utf-8")
    part.replace(home.stamp)


def _os_sentence(home: Home, error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Gesso may not write to {error.filename or home.root}. Move its folder to a place that is yours, or start as its owner."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {home.root} is full. Free some space and start again; it goes on where it stopped."
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} is missing. Fetch Gesso again, into a new folder or with git restore, and start it there."
    return f"Set-up did not finish: {error}. Start again; python launch.py --reinstall begins anew."


def make_venv(home: Home) -> None:
    """An empty `.venv` with pip, in place of whatever is there."""
    base = getattr(sys, "_base_executable", None) or sys.executable  # launch.py may itself run in a .venv
    status, output = run_logged([base, "-m", "venv", "--clear", str(home.venv)], home)
    if status == 0:
        return
    if "ensurepip" in output:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise Stop(f"This Python comes without venv. On Debian and Ubuntu: sudo apt install {package}. Then start again.")
    failure = explain(output, 3)
    raise Stop(f"Cannot make {home.venv}. {failure.what}\n  it said: {failure.line}\n  log: {home.log}\n  try: {failure.way_out}")


def _pip_problem(home: Home) -> str | None:
    return "its pip is broken" if run_logged([str(home.python), "-m", "pip", "--version"], home)[0] else None


def check_room(home: Home, build: Build) -> None:
    free = shutil.disk_usage(home.root).free / 1e9
    if free < build.room:
        raise Stop(
            f"Setting up takes about {build.room:g} GB, and the disk of {home.root} has {free:.1f} GB left. "
            "Free some space, or move the folder to a larger disk; then start again."
        )


def try_torch(home: Home, build: Build) -> str:
    """What the installed torch says of itself. Raises `Stop` where it does not load."""
    status, output = run_logged([str(home.python), "-I", "-c", "import torch; print(torch.__version__, torch.cuda.is_available())"], home)
    last = output.strip().rpartition("\n")[2]
    if status:
        hint = "install Microsoft's Visual C++ Redistributable (x64)" if home.windows else "python launch.py --reinstall --torch cpu"
        raise Stop(f"PyTorch is installed but does not load.\n  it said: {last}\n  log: {home.log}\n  try: {hint}")
    version, _, gpu = last.partition(" ")
    if build.name != "cpu" and gpu != "True":
        return f"PyTorch {version} is ready, but it sees no GPU: pictures will be made on the CPU. Check the GPU's driver."
    return f"PyTorch {version} is ready."


@contextlib.contextmanager
def only_one(home: Home, out: TextIO) -> Iterator[int]:
    """One set-up at a time in a folder; the next one waits. The lock ends with its last holder, pip included, however that ends."""
    with (home.notes / "lock").open("a+") as file:
        if not _lock(file):
            say(out, "Another launch.py sets this folder up; waiting for it ...")
            while not _lock(file):
                time.sleep(0.2)
        yield file.fileno()


def _lock(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks: better no lock than no start
        return True
    return True
