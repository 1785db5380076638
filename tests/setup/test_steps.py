import errno
import io
import sys
import threading
import time
from pathlib import Path

import pytest

from webui.setup import steps
from webui.setup.hardware import Build
from webui.setup.home import Home, Stop, Want
from webui.setup.packages import run_logged

CPU = Build("cpu", "PyTorch for the CPU", "cpu", 3, "no GPU")
CUDA = CPU._replace(name="cuda")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    made.temporary.mkdir(parents=True)
    return made


def says(monkeypatch: pytest.MonkeyPatch, status: int, output: str) -> None:
    monkeypatch.setattr(steps, "run_logged", lambda *_: (status, output))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/opt/gesso/.setup"), "may not write to /opt/gesso/.setup"),
        (OSError(errno.EROFS, "Read-only file system", "/media/cd/.setup"), "may not write to /media/cd/.setup"),
        (OSError(errno.ENOSPC, "No space left on device"), "is full"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/gesso/pyproject.toml"), "/gesso/pyproject.toml is missing"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: OSError, sentence: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(Stop, match=sentence):
        steps.set_up(Home(tmp_path), Want(), io.StringIO())


def test_too_little_room_is_told_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1.2e9})())
    with pytest.raises(Stop, match=r"about 3 GB, .* has 1\.2 GB left"):
        steps.check_room(home, CPU)


def test_a_python_without_venv_names_debians_package(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    says(monkeypatch, 1, "The virtual environment was not created successfully because ensurepip is not\navailable.\n")
    with pytest.raises(Stop, match=r"sudo apt install python3\.\d+-venv"):
        steps.make_venv(home)


def test_any_other_failure_of_venv_shows_its_line(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    says(monkeypatch, 1, "OSError: [Errno 28] No space left on device\n")
    with pytest.raises(Stop, match="The disk is full"):
        steps.make_venv(home)


@pytest.mark.parametrize(
    ("build", "output", "sentence"),
    [
        (CPU, "2.13.0+cpu False\n", "PyTorch 2.13.0+cpu is ready."),
        (CUDA, "2.13.0+cu130 True\n", "PyTorch 2.13.0+cu130 is ready."),
        (CUDA, "a warning\n2.13.0+cu130 False\n", "sees no GPU"),
    ],
)
def test_torch_is_tried_once(monkeypatch: pytest.MonkeyPatch, home: Home, build: Build, output: str, sentence: str) -> None:
    says(monkeypatch, 0, output)
    assert sentence in steps.try_torch(home, build)


@pytest.mark.parametrize(("windows", "way_out"), [(True, "Visual C"), (False, "--torch cpu")])
def test_a_torch_that_does_not_load_ends_the_set_up(monkeypatch: pytest.MonkeyPatch, home: Home, windows: bool, way_out: str) -> None:
    says(monkeypatch, 1, "Traceback\nOSError: [WinError 126] The specified module could not be found\n")
    with pytest.raises(Stop, match=way_out) as stop:
        steps.try_torch(home._replace(windows=windows), CPU)
    assert "WinError 126" in str(stop.value) and "Traceback" not in str(stop.value)


def test_the_second_set_up_waits_and_says_so(home: Home) -> None:
    out, order = io.StringIO(), []

    def second() -> None:
        with steps.only_one(home, out):
            order.append("second")

    with steps.only_one(home, io.StringIO()):
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.4)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]
    assert out.getvalue() == "Another launch.py sets this folder up; waiting for it ...\n"


def test_a_stopped_set_up_takes_its_child_along(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def stop(child: object, _: object) -> None:
        started.append(child.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr("webui.setup.packages._wait", stop)
    with pytest.raises(KeyboardInterrupt):
        run_logged(["sleep", "60"], home)
    assert not Path(f"/proc/{started[0]}").exists()


def test_the_log_holds_the_command_and_what_it_printed(home: Home) -> None:
    assert run_logged(["sh", "-c", "echo out; echo err >&2; exit 3"], home) == (3, "out\nerr\n")
    assert home.log.read_text() == "$ sh -c echo out; echo err >&2; exit 3\nout\nerr\n"


@pytest.mark.parametrize(
    ("want", "python", "pip", "made"),
    [
        (Want(), True, 0, []),
        (Want(), True, 1, ["its pip is broken"]),
        (Want(), False, 0, ["its Python is gone"]),
        (Want(afresh=True), True, 0, ["from nothing, as asked"]),
    ],
)
def test_a_venv_is_made_only_when_it_has_to_be(
    monkeypatch: pytest.MonkeyPatch, home: Home, want: Want, python: bool, pip: int, made: list[str]
) -> None:
    home.python.parent.mkdir(parents=True)
    if python:
        home.python.touch()
    (home.venv / "pyvenv.cfg").write_text(f"version = {sys.version_info[0]}.{sys.version_info[1]}.0\n")
    home.constraints.parent.mkdir()
    home.constraints.write_text("torch==2.13.0\n")
    (home.root / "pyproject.toml").write_text("[project]\ndependencies = ['torch']\n")
    monkeypatch.setattr(steps, "run_logged", lambda command, *_: (pip if "--version" in command else 0, "2.13.0 False"))
    monkeypatch.setattr(steps, "make_venv", lambda _: None)
    monkeypatch.setattr(steps, "install", lambda *_: None)
    out = io.StringIO()
    steps.set_up(home, want, out)
    assert [line.split("(")[1].split(")")[0] for line in out.getvalue().splitlines() if line.startswith("Making")] == made
    assert home.stamp.exists() and not home.temporary.exists()
