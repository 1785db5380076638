"""The program as a person starts and ends it, in a process of its own; and the parts of its start that need none."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.door.wire import call
from tests.library.weights import diffusers_folder
from webui.__main__ import main
from webui.app import build, greeting, harden
from webui.settings import ROOT, Settings

END = 2.0  # seconds from the signal to the end
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def patience(seconds: float) -> float:
    """A limit for this machine as busy as it is: on one with nothing else to do, `seconds`."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


WATCH = """
import os, sys

def heard(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        place = arguments[1]
        name = place[0] if isinstance(place, tuple) else "127.0.0.1"
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        name = arguments[0]
    else:
        return
    if name not in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "", None):
        with open(os.environ["GESSO_TEST_CALLS"], "a") as file:
            file.write(f"{event} {name}\\n")

open(os.environ["GESSO_TEST_CALLS"], "a").close()
sys.addaudithook(heard)
"""


def watch(folder: Path) -> Path:
    """A folder for the import path, from which every Python process writes down whom it calls."""
    made = folder / "watch"
    made.mkdir(exist_ok=True)
    (made / "sitecustomize.py").write_text(WATCH)
    return made


class Program:
    """`python -m webui` on a free port and a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        diffusers_folder(folder / "models" / "checkpoints" / "tiny")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self.options = ["--fake-engine", "--no-browser", "--data-dir", str(folder), *options]
        self.process = self.start("--port", str(self.port))

    def start(self, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "webui", *self.options, *more]
        watched = os.environ | {"PYTHONPATH": str(watch(self.folder)), "GESSO_TEST_CALLS": str(self.folder / "calls.txt")}
        return subprocess.Popen(command, cwd=ROOT, env=watched, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def calls(self) -> list[str]:
        """What the program and its processes have asked of the network besides this machine."""
        return (self.folder / "calls.txt").read_text().splitlines()

    def wait(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()
            try:
                httpx.get(f"{self.url}/health", timeout=5).raise_for_status()
                return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("it never answered")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    if made.process.poll() is None:
        made.process.kill()
    made.process.communicate()


def test_a_start_a_second_start_and_an_end(program: Program) -> None:
    program.wait()
    assert "<html" in httpx.get(program.url, timeout=60).text

    second = program.start()
    out, err = second.communicate(timeout=120)
    assert second.returncode == 2
    assert re.fullmatch(r"Gesso cannot start\. Another Gesso uses the folder .*process \d+ .*\n", err), (out, err)
    assert str(program.process.pid) in err
    assert program.url in err

    ask = {"prompt": "hills", "count": 100, "sampling": {"steps": 20, "seed": 1}}
    job_id = httpx.post(f"{program.url}/api/jobs", json=ask, timeout=30).json()["id"]
    with httpx.stream("GET", f"{program.url}/api/events?previews=1", timeout=60) as stream:
        assert any("progress" in line for line in stream.iter_lines())
        began = time.monotonic()
        program.process.send_signal(signal.SIGINT)
        out, err = program.process.communicate(timeout=60)
        assert time.monotonic() - began < patience(END)
    assert (program.process.returncode, err) == (0, "")
    assert f"Gesso is open at {program.url}" in out
    assert str(program.folder / "outputs") in out
    assert len(out.splitlines()) <= 6
    log = (program.folder / "outputs" / "logs" / "gesso.log").read_text()
    assert "Traceback" not in log

    program.process = program.start("--port", str(program.port))  # nothing was lost: the job goes on
    program.wait()
    job = httpx.get(f"{program.url}/api/jobs/{job_id}", timeout=30).json()
    assert job["status"] in ("running", "queued")
    began = time.monotonic()
    program.process.send_signal(signal.SIGTERM)
    program.process.communicate(timeout=60)
    assert time.monotonic() - began < patience(END)
    assert program.process.returncode == 0
    assert program.calls() == []  # from its start through a page, jobs and its end


def test_a_shared_start_writes_no_secret_anywhere(tmp_path: Path) -> None:
    """Neither what was given, nor what was guessed, nor what a colleague's browser was given."""
    program = Program(tmp_path, "--listen", "--passcode", "open sesame")
    try:
        program.wait()
        with httpx.Client(base_url=program.url, headers={"x-forwarded-for": "10.0.0.7"}, timeout=60) as neighbour:
            assert neighbour.get("/api/jobs").status_code == 401
            for passcode, status in (("close sesame", 401), ("open sesame", 303)):
                assert neighbour.post("/login", data={"name": "Ada", "passcode": passcode}).status_code == status
            token = neighbour.cookies[f"gesso_{program.port}"]
            assert neighbour.get("/api/jobs").status_code == 200
            neighbour.post("/gradio_api/queue/join", json={"fn_index": 9999, "data": [], "session_hash": "x"})  # which fails, and is logged
        program.process.send_signal(signal.SIGINT)
        out, err = program.process.communicate(timeout=60)
    finally:
        program.process.kill()
    files = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    assert any(path.name == "gesso.log" for path in files)
    written = b"".join(path.read_bytes() for path in files) + (out + err).encode()
    for secret in ("open sesame", "close sesame", token):
        assert secret.encode() not in written


def test_the_watch_sees_a_call(tmp_path: Path) -> None:
    """Or the test above could not fail."""
    watched = os.environ | {"PYTHONPATH": str(watch(tmp_path)), "GESSO_TEST_CALLS": str(tmp_path / "calls.txt")}
    code = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9)); s.close()"
    subprocess.run([sys.executable, "-c", code], env=watched, check=False, timeout=60)
    assert (tmp_path / "calls.txt").read_text().split() == ["socket.connect", "192.0.2.1"]


def test_the_pages_process_never_maps_torch(program: Program) -> None:
    program.wait()
    httpx.get(program.url, timeout=60).raise_for_status()
    mapped = {Path(row.path).name for row in psutil.Process(program.process.pid).memory_maps()}
    assert mapped
    assert not [name for name in mapped if "torch" in name]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--prot", "1"], "There is no option --prot. Did you mean --port?"),
        (["--port", "0"], "port: Input should be greater than or equal to 1, not '0'."),
        (["--port"], "argument --port: expected one argument"),
        (["--theme", "pink"], "invalid choice: 'pink'"),
        (["--passcode", "abc"], "A passcode has 4 to 200 characters."),
    ],
)
def test_a_mistyped_option_is_one_sentence(capsys: pytest.CaptureFixture[str], options: list[str], sentence: str) -> None:
    assert main(options) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.startswith("Gesso cannot start. ")
    assert err.count("\n") == 1
    assert "abc" not in err


@pytest.mark.parametrize("module", ["pydantic", "webui.app", "gradio"])
def test_ctrl_c_during_the_start_is_quiet(tmp_path: Path, module: str) -> None:
    """Struck while this module is being imported."""
    struck = f"lambda event, what: event == 'import' and what[0] == {module!r} and _thread.interrupt_main()"
    strike = f"import sys, _thread\nsys.addaudithook({struck})"
    (tmp_path / "sitecustomize.py").write_text(strike)
    command = [sys.executable, "-m", "webui", "--fake-engine", "--no-browser", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (130, "")


def test_help_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "--listen" in capsys.readouterr().out


def test_a_port_in_use_is_one_sentence_and_leaves_no_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for _ in range(2):
            assert main(["--port", port, "--data-dir", str(tmp_path), "--no-browser", "--fake-engine"]) == 2
            assert f"Port {port} is in use" in capsys.readouterr().err


def test_nothing_is_sent_and_no_foreign_code_runs(tmp_path: Path) -> None:
    environment = {"GRADIO_ANALYTICS_ENABLED": "True", "HF_HUB_OFFLINE": "0"}
    harden(Settings(data_dir=tmp_path), environment)
    assert environment["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert environment["DIFFUSERS_DISABLE_REMOTE_CODE"] == "true"
    assert Path(environment["GRADIO_TEMP_DIR"]).is_relative_to(tmp_path / "outputs")


def test_the_greeting_of_a_shared_start_says_who_can_come_in_and_no_given_passcode(tmp_path: Path) -> None:
    for passcode in (None, "open sesame"):
        settings = Settings(data_dir=tmp_path, fake_engine=True, listen=True, passcode=passcode)
        gesso = build(settings, 7999, page=False)
        try:
            lines = "\n".join(greeting(gesso, "http://127.0.0.1:7999"))
        finally:
            gesso.studio.close()
        assert "open sesame" not in lines
        assert (gesso.link is not None and gesso.link.passcode.text in lines) is (passcode is None)
        assert "only the login page and /health" in lines
        assert "\x1b" not in lines  # no terminal, no drawing


def test_behind_a_proxy_a_passcode_is_needed_and_the_proxys_name_is_told(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, fake_engine=True, allow_host="https://studio.example/")
    gesso = build(settings, 7999, page=False)
    try:
        lines = "\n".join(greeting(gesso, "http://127.0.0.1:7999"))
        through = {"host": "studio.example", "client": ("127.0.0.1", 1)}
        assert call(gesso.door, path="/api/jobs", **through).status == 401
        assert call(gesso.door, path="/api/jobs").status == 200
    finally:
        gesso.studio.close()
    assert "through a proxy as studio.example" in lines
    assert gesso.link is not None
    assert gesso.link.passcode.text in lines


def test_a_part_that_cannot_be_built_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr("webui.engine.fake.FakeEngine.close", lambda self: closed.append(True))
    monkeypatch.setattr("webui.app.JobStore", lambda database: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        build(Settings(data_dir=tmp_path, fake_engine=True), 7999, page=False)
    assert closed == [True]


def test_settings_fit_in_json(tmp_path: Path) -> None:
    """And the passcode is not in their text."""
    settings = Settings(data_dir=tmp_path, passcode="open sesame")
    assert "open sesame" not in repr(settings)
    assert json.loads(settings.model_dump_json())
