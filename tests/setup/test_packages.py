import io
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from webui.setup import packages
from webui.setup.hardware import Build
from webui.setup.home import Home, Stop
from webui.setup.packages import Progress, explain, install, reachable

CPU = Build("cpu", "PyTorch for the CPU", "cpu", 3, "no GPU")

PROJECT = '[project]\ndependencies = ["torch", "gradio"]\n[project.optional-dependencies]\ntest = ["pytest"]\n'
OFFLINE = """\
WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError(<pip._vendor.urllib3.connection.HTTPSConnection \
object at 0x7f>: Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')': /simple/gradio/
ERROR: Could not find a version that satisfies the requirement gradio (from versions: none)
ERROR: No matching distribution found for gradio
"""
CONSTRAINED = """\
WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError("Failed to establish a new connection")': /simple/torch/
ERROR: Cannot install torch because these package versions have conflicting dependencies.

The conflict is caused by:
    The user requested torch
    The user requested (constraint) torch==2.13.0
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/topics/dependency-resolution/
"""
RECOVERED = """\
WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError("Read timed out.")': /simple/gradio/
ERROR: Could not find a version that satisfies the requirement numpy==2.4.6 (from versions: 1.0, 2.0)
ERROR: No matching distribution found for numpy==2.4.6
"""
FULL = """\
Installing collected packages: torch
ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device
"""
BUILD = """\
  error: subprocess-exited-with-error
  × Building wheel for pydub (pyproject.toml) did not run successfully.
ERROR: Failed building wheel for pydub
"""
CERTIFICATE = "ERROR: Could not install packages due to an OSError: HTTPSConnectionPool(host='x', port=443): Max retries exceeded \
(Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')))\n"


@pytest.mark.parametrize(
    ("output", "says", "line"),
    [
        (OFFLINE, "no network", OFFLINE.splitlines()[0]),
        (CONSTRAINED, "no network", CONSTRAINED.splitlines()[0]),
        (CONSTRAINED.partition("\n")[2], "no ready-made package", CONSTRAINED.splitlines()[1]),
        (RECOVERED, "no ready-made package", RECOVERED.splitlines()[1]),
        (FULL, "disk is full", FULL.splitlines()[1]),
        (BUILD, "no ready-made package", "error: subprocess-exited-with-error"),
        (CERTIFICATE, "certificate", CERTIFICATE.strip()),
        ("ERROR: Could not install packages due to an OSError: [WinError 5] Access is denied: 'x.pyd'\n", "cannot be written", None),
        ("ERROR: [Errno 13] Permission denied: '/x'\n", "cannot be written", None),
        ("ERROR: an OSError: [Errno 2] No such file\nHINT: this system does not have Windows Long Path support\n", "260 letters", None),
        ("ERROR: [WinError 206] The filename or extension is too long\n", "260 letters", None),
        ("Killed", "not enough memory", "Killed"),
        ("something new\nthat nobody knows\n", "could not install", "that nobody knows"),
        ("", "could not install", "nothing"),
    ],
)
def test_the_line_that_matters_and_what_it_means(output: str, says: str, line: str | None) -> None:
    failure = explain(output, 3)
    assert says in failure.what
    assert failure.way_out and "{" not in failure.what + failure.way_out
    assert line is None or failure.line == line


def test_a_full_disk_is_full_for_every_index() -> None:
    assert not explain(FULL, 3).elsewhere
    assert explain(OFFLINE, 3).elsewhere


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def pip_lines(progress: Progress) -> None:
    for line in (
        "Collecting torch==2.13.0 (from -r x)\n",
        "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (532.1 MB)\n",
        "Requirement already satisfied: numpy in ./x (2.4.6)\n",
        "Collecting torch==2.13.0\n",
    ):
        progress.read(line)


def test_a_terminal_sees_one_line_that_changes() -> None:
    out = Terminal()
    progress = Progress("Installing", 90, out)
    pip_lines(progress)
    progress.tick()
    progress.read("Installing collected packages: torch, numpy, gradio\n")
    progress.tick()
    assert out.getvalue().count("\n") == 0
    assert "2 of 90, downloading torch-2.13.0 (532.1 MB), 0:00" in out.getvalue()
    assert "unpacking 3 packages" in out.getvalue()
    progress.done("done")
    assert out.getvalue().count("\n") == 1
    assert max(len(line) for line in out.getvalue().split("\r")) <= 80


def test_a_log_sees_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress("Installing", 90, out)
    pip_lines(progress)
    for now[0] in range(65):
        progress.tick()
    progress.done("done")
    assert out.getvalue().splitlines() == [
        "Installing ...",
        "  Installing: 2 of 90, downloading torch-2.13.0 (532.1 MB), 0:30",
        "  Installing: 2 of 90, downloading torch-2.13.0 (532.1 MB), 1:00",
        "Installing: done (1:04)",
    ]


class _Answer(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/cpu/torch/" else 403)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_an_index_that_answers_is_in_reach(index: str) -> None:
    assert reachable(index + "cpu/torch/")
    assert not reachable(index + "forbidden/torch/")


def test_an_index_that_is_not_there_or_never_answers_is_out_of_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not reachable(f"http://127.0.0.1:{port}/", seconds=0.3)
    assert not reachable(f"http://127.0.0.1:{port}/", seconds=0.3)
    assert not reachable("not an address", seconds=0.3)


class Pip:
    """Stands in for pip: answers each call in turn, and keeps the commands."""

    def __init__(self, *answers: tuple[int, str]) -> None:
        self.answers, self.commands = list(answers), []

    def __call__(self, command: list[str], *_: object) -> tuple[int, str]:
        self.commands.append(command)
        return self.answers.pop(0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path)
    made.constraints.parent.mkdir()
    made.constraints.write_text("# tested\ntorch==2.13.0\ngradio==6.31.0\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return made


def run(monkeypatch: pytest.MonkeyPatch, home: Home, pip: Pip, build: Build = CPU, answers: bool = True) -> str:
    out = io.StringIO()
    monkeypatch.setattr(packages, "run_logged", pip)
    monkeypatch.setattr(packages, "reachable", lambda _: answers)
    install(home, ["test"], build, 0, out)
    return out.getvalue()


def test_torchs_own_index_comes_first(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    pip = Pip((0, ""))
    run(monkeypatch, home, pip, CPU._replace(name="cuda", folder="cu130"))
    (command,) = pip.commands
    assert command[:4] == [str(home.python), "-m", "pip", "install"]
    assert command[command.index("--constraint") + 1] == str(home.constraints)
    assert command[command.index("--extra-index-url") + 1].endswith("/whl/cu130")
    assert "torch==2.13.0+cu130" in command and command[-3:] == ["torch", "gradio", "pytest"]
    assert {"--no-input", "--disable-pip-version-check", "--progress-bar"} <= set(command)


def test_what_is_wanted_for_its_data_comes_without_what_it_depends_on(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    (home.root / "pyproject.toml").write_text(PROJECT + "[tool.gesso]\nalone = ['words']\n")
    pip = Pip((0, ""), (0, ""))
    run(monkeypatch, home, pip)
    first, second = pip.commands
    assert "--no-deps" not in first and "words" not in first
    assert second[-2:] == ["--no-deps", "words"] and "--constraint" in second
    with pytest.raises(Stop, match="disk is full"):
        run(monkeypatch, home, Pip((0, ""), (1, FULL)))


def test_out_of_reach_pips_configured_index_serves_and_it_is_said(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    pip = Pip((0, ""))
    assert "out of reach" in run(monkeypatch, home, pip, answers=False)
    assert "--extra-index-url" not in pip.commands[0]


def test_a_mac_takes_the_usual_index_without_a_word(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    pip = Pip((0, ""))
    assert "out of reach" not in run(monkeypatch, home, pip, CPU._replace(folder=None))
    assert "--extra-index-url" not in pip.commands[0]


def test_when_torchs_index_fails_half_way_the_other_is_tried(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    pip = Pip((1, OFFLINE), (0, ""))
    run(monkeypatch, home, pip)
    assert ["--extra-index-url" in command for command in pip.commands] == [True, False]


def test_a_full_disk_is_not_tried_twice(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    pip = Pip((1, FULL))
    with pytest.raises(Stop) as stop:
        run(monkeypatch, home, pip)
    sentence, line, log, way_out = str(stop.value).splitlines()
    assert sentence == "Set-up did not finish. The disk is full."
    assert line == "  pip said: ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    assert log == f"  log: {home.log}"
    assert way_out.startswith("  try: Free some space (.venv takes 3 GB)")


def test_a_pip_that_was_killed_for_memory_is_explained(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    with pytest.raises(Stop, match="not enough memory"):
        run(monkeypatch, home, Pip((-9, "Collecting torch\n")))
