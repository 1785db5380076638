"""Where Gesso lives, and whether what is installed there is what should be."""

import csv
import hashlib
import json
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO


class Stop(Exception):
    """Ends the start. The text is for the person at the screen, and says the way out."""


class Home(NamedTuple):
    """Where Gesso lives: the folder of `launch.py`."""

    root: Path
    windows: bool = os.name == "nt"

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / ("Scripts/python.exe" if self.windows else "bin/python")

    @property
    def stamp(self) -> Path:
        return self.venv / "gesso-setup.json"  # written last: without it the set-up is unfinished

    @property
    def notes(self) -> Path:
        return self.root / ".setup"  # the lock, the log and pip's temporary files: what must outlive a new .venv

    @property
    def log(self) -> Path:
        return self.notes / "install.log"

    @property
    def temporary(self) -> Path:
        return self.notes / "tmp"

    @property
    def constraints(self) -> Path:
        return self.root / "webui" / "constraints.txt"


class Want(NamedTuple):
    """What a start asks of the set-up."""

    extras: tuple[str, ...] = ()
    torch: str | None = None  # auto, cpu, cuda or rocm; None: as last time, or by the hardware
    afresh: bool = False


def requirements(home: Home, extras: Sequence[str]) -> list[str]:
    project = tomllib.loads((home.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"].get(extra, ()))]


def alone(home: Home) -> list[str]:
    """Packages that are wanted for the data in them, and installed without what they depend on."""
    project = tomllib.loads((home.root / "pyproject.toml").read_text(encoding="utf-8"))
    return list(project.get("tool", {}).get("gesso", {}).get("alone", ()))


def pins(home: Home, extras: Sequence[str]) -> str:
    """Changes exactly when something else would be installed."""
    known = (home.constraints.read_text(encoding="utf-8"), requirements(home, extras), alone(home), sys.version_info[:2])
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def read_stamp(home: Home) -> dict[str, Any]:
    """What the last finished set-up wrote; empty without one."""
    try:
        stamp = json.loads(read_text(home.stamp))
    except ValueError:
        return {}
    return stamp if isinstance(stamp, dict) and {"pins", "extras", "asked", "build"} <= stamp.keys() else {}


def ready(home: Home, want: Want) -> bool:
    """Whether a start can go straight on: a few small files are read, nothing is run."""
    stamp = read_stamp(home)
    if want.afresh or not stamp or not set(want.extras) <= set(stamp["extras"]) or want.torch not in (None, stamp["asked"]):
        return False
    try:
        return bool(stamp["pins"] == pins(home, stamp["extras"])) and venv_problem(home) is None
    except OSError:  # a file of Gesso's own is gone: the set-up says which
        return False


def venv_problem(home: Home) -> str | None:
    """Why `.venv` has to be made (again); None for one that can be used."""
    if not home.venv.exists():
        return "there is none yet"
    if not home.python.exists():
        return "its Python is gone"
    made = re.search(r"^version\w* *= *(\d+)\.(\d+)", read_text(home.venv / "pyvenv.cfg"), re.MULTILINE)
    if made is None or (int(made[1]), int(made[2])) != sys.version_info[:2]:
        return "it was made by another Python"
    return None


def unfinished_packages(home: Home) -> list[Path]:
    """The dist-info folders of packages that lack a file or have one cut short, as after a kill or a power cut."""
    folders = [*home.venv.glob("lib/python*/site-packages"), *home.venv.glob("Lib/site-packages")]
    return [info for folder in folders for info in folder.glob("*.dist-info") if not _whole(info)]


def _whole(info: Path) -> bool:
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as file:
            sized = [(info.parent / row[0], int(row[2])) for row in csv.reader(file) if len(row) == 3 and row[2]]
        return all(path.stat().st_size == size for path, size in sized)
    except (OSError, ValueError):
        return False


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def say(out: TextIO, text: str) -> None:
    out.write(text + "\n")
    out.flush()


def clean_environment() -> dict[str, str]:
    """The environment without what would lead pip or Python out of `.venv`."""
    stray = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in stray}
