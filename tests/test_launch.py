"""`launch.py` as a person uses it. One real `.venv` is made, from a package named torch that this file writes."""

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import launch
from launch import Command, check_port, help_text, main, parse, read_command
from webui.options import OPTIONS
from webui.setup.home import Home, Stop

ROOT = Path(__file__).parent.parent


# --- The command line


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Command()),
        ("--listen --port 7861", Command(arguments=("--listen", "--port=7861"), host="0.0.0.0", port=7861)),
        ("--port=7861", Command(arguments=("--port=7861",), port=7861)),
        ("--server-name 10.0.0.5", Command(arguments=("--server-name=10.0.0.5",), host="10.0.0.5")),
        ("--host 10.0.0.5 --listen", Command(arguments=("--host=10.0.0.5", "--listen"), host="10.0.0.5")),
        ("--models-dir /a/b --fake-engine", Command(arguments=("--models-dir=/a/b", "--fake-engine"))),
        ("--torch cpu --no-browser", Command(arguments=("--no-browser",), torch="cpu")),
        ("--skip-install --reinstall --torch=rocm", Command(torch="rocm", skip=True, reinstall=True)),
        ("test", Command("test")),
        ("test --all -k 'a b' tests/core", Command("test", ("--run-long", "-k", "a b", "tests/core"))),
        ("--torch cpu test -x", Command("test", ("-x",), torch="cpu")),
        ("bench --json out.json --skip-install", Command("bench", ("--json", "out.json"), skip=True)),
        ("--port 1 --help", Command("help")),
        ("test -h", Command("help")),
    ],
)
def test_what_is_ours_and_what_is_passed_on(line: str, command: Command) -> None:
    import shlex

    assert parse(shlex.split(line), OPTIONS) == command


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--prot 80", "There is no option --prot. Did you mean --port?"),
        ("tset", "There is no command tset. Did you mean test?"),
        ("--xyzzy", "There is no option --xyzzy. python launch.py --help lists them all."),
        ("--re-install", "Did you mean --reinstall?"),
        ("--port", "--port needs a value"),
        ("--port --listen", "--port needs a value"),
        ("--port x", "a number from 1 to 65535, not 'x'"),
        ("--port 65536", "a number from 1 to 65535"),
        ("--port ²", "a number from 1 to 65535"),
        ("--listen=yes", "--listen takes no value"),
        ("--theme blue", "--theme takes system, light, dark; not 'blue'"),
        ("--torch", "--torch takes auto, cpu, cuda, rocm"),
        ("--torch mps", "not 'mps'"),
    ],
)
def test_a_slip_ends_before_the_set_up(line: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 1
    assert sentence in capsys.readouterr().err


def test_every_option_of_the_program_passes_through() -> None:
    for option in OPTIONS:
        for name in (option.flag, *option.aliases):
            value = option.choices[0] if option.choices else "7000"
            words = [name] if option.metavar is None else [name, value]
            assert parse(words, OPTIONS).arguments == ("=".join(words),)


@pytest.mark.parametrize("windows", [False, True])
def test_commandline_args_stand_in_front(monkeypatch: pytest.MonkeyPatch, windows: bool) -> None:
    monkeypatch.setattr(launch, "WINDOWS", windows)
    folder = r"C:\my models" if windows else "/my models"
    environment = {"COMMANDLINE_ARGS": f'--listen --models-dir "{folder}"'}
    command = read_command(["--port", "7000"], OPTIONS, environment)
    assert command.arguments == ("--listen", f"--models-dir={folder}", "--port=7000")
    assert read_command(["test", "-x"], OPTIONS, environment) == Command("test", ("-x",))


@pytest.mark.parametrize("text", ["--xformers", "test", '--models-dir "x'])
def test_a_slip_in_commandline_args_names_the_variable(text: str) -> None:
    with pytest.raises(Stop, match="COMMANDLINE_ARGS="):
        read_command([], OPTIONS, {"COMMANDLINE_ARGS": text})


def test_help_lists_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text.strip() == help_text(OPTIONS).strip()
    assert all(name in text for option in OPTIONS for name in (option.flag, *option.aliases, option.help))


def test_an_old_python_can_read_the_file_and_is_told_first() -> None:
    source = (ROOT / "launch.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 6))
    first = [type(node).__name__ for node in tree.body[:4]]
    assert first == ["Expr", "Import", "If", "Import"], "the check stands before every other import"
    assert "from __future__" not in source, "3.6 does not know annotations"


def test_an_old_python_is_told_what_is_needed() -> None:
    source = (ROOT / "launch.py").read_text(encoding="utf-8")
    check = "class old(tuple): pass\nimport sys\nsys.version_info = old((3, 8, 1))\n" + source
    said = subprocess.run([sys.executable, "-I", "-c", check], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "Gesso needs Python 3.11 or newer; this is Python 3.8" in said.stderr and "Traceback" not in said.stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    said = subprocess.run(["sh", "-c", f"{sys.executable} launch.py --help | true"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert said.stderr == ""


# --- The port


def test_a_port_in_use_is_named_and_a_free_one_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Stop, match=rf"Port {port} is in use .* Port \d+ is free: python launch.py --port \d+"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_a_port_or_an_address_that_may_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stop, match="Check the address that --host names"):
        check_port("192.0.2.7", 7860)  # nobody's address
    with pytest.raises(Stop, match="Check the address that --host names"):
        check_port("no such host", 7860)
    monkeypatch.setattr(launch, "_port_problem", lambda *_: 13)
    with pytest.raises(Stop, match="may not open port 80"):
        check_port("127.0.0.1", 80)


# --- Handing over


class Handed(Exception):
    """What `execve` was called with."""


def handed(monkeypatch: pytest.MonkeyPatch, command: Command, home: Home) -> tuple[str, list[str], dict[str, str]]:
    def execve(path: Path, words: list[str], environment: dict[str, str]) -> None:
        raise Handed(str(path), words, environment)

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setattr(launch, "WINDOWS", False)
    monkeypatch.setattr(os, "chdir", lambda folder: None)
    with pytest.raises(Handed) as call:
        launch.run(command, home)
    return call.value.args


@pytest.mark.parametrize(("action", "module"), [("run", "webui"), ("test", "pytest"), ("bench", "webui.bench")])
def test_the_program_takes_the_place_of_the_launcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, action: str, module: str) -> None:
    home = Home(tmp_path, windows=False)
    home.python.parent.mkdir(parents=True)
    home.python.touch()
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    path, words, environment = handed(monkeypatch, Command(action, ("--x", "a b")), home)
    assert path == str(home.python)
    assert words == [str(home.python), "-P", "-m", module, "--x", "a b"]
    assert environment["PYTHONPATH"] == str(tmp_path)


def test_skip_install_without_a_venv_takes_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert handed(monkeypatch, Command(skip=True), Home(tmp_path))[0] == sys.executable


def test_on_windows_the_child_ends_in_its_own_way() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5); raise SystemExit(7)"])
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.2)  # Ctrl+C, as the console would send it to both
    assert launch.wait_for(child) == 7
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_during_the_set_up_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "ready", interrupt)
    assert main(["--no-browser"]) == 130
    assert capsys.readouterr().err == "\nStopped. Start again to go on.\n"


# --- The whole way, with a real .venv and a real pip, without a network


def write_wheel(folder: Path, name: str, version: str, code: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", code)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}/__init__.py,,{len(code)}\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


TORCH = "class cuda:\n    is_available = staticmethod(lambda: False)\n__version__ = '2.13.0'\n"
PROJECT = '[project]\ndependencies = ["torch"]\n[project.optional-dependencies]\ntest = ["pytest"]\n'
SLOW = "import os, sys, time\nif 'install' in sys.orig_argv:\n    time.sleep(float(os.environ.get('SLOW_PIP', 0)))\n"
Start = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like a fresh clone, its program one line long."""
    root = tmp_path_factory.mktemp("a clone")
    shutil.copy(ROOT / "launch.py", root)
    (root / "webui").mkdir()
    for name in ("__init__.py", "options.py"):
        shutil.copy(ROOT / "webui" / name, root / "webui")
    shutil.copytree(ROOT / "webui" / "setup", root / "webui" / "setup", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "webui" / "__main__.py").write_text("import sys, torch\nprint('started', torch.__version__, sys.argv[1:])\n")
    (root / "webui" / "constraints.txt").write_text("torch==2.13.0\npytest==9.0\n")
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "wheels").mkdir()
    write_wheel(root / "wheels", "torch", "2.13.0", TORCH)
    return root


@pytest.fixture(scope="module")
def environment(clone: Path) -> dict[str, str]:
    """pip is configured with a folder; torch's own index has no wheel of that name, or is out of reach."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "COMMANDLINE_ARGS"))}
    proxy = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # so that nothing leaves this machine
    return kept | proxy | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": (clone / "wheels").as_uri(), "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="module")
def start(clone: Path, environment: dict[str, str]) -> Start:
    def start(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(clone / "launch.py"), *words]
        return subprocess.run(command, cwd=clone.parent, env=environment | more, capture_output=True, text=True, timeout=120, check=False)

    return start


@pytest.fixture
def installed(clone: Path, start: Start) -> Path:
    """The clone, set up. Only the first test that asks for it waits for `venv`."""
    done = start("--no-browser")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "started 2.13.0 ['--no-browser']"
    assert done.stderr == ""
    site = next((clone / ".venv").glob("[Ll]ib/**/site-packages"))
    (site / "sitecustomize.py").write_text(SLOW)
    return clone


def stamp(clone: Path) -> Path:
    return Home(clone).stamp


def log(clone: Path) -> str:
    return Home(clone).log.read_text() if Home(clone).log.exists() else ""


def unfinish(clone: Path) -> None:
    """As if the last set-up had been cut off before its end."""
    stamp(clone).unlink()
    Home(clone).log.unlink()


def test_the_first_start_says_what_it_does(clone: Path, start: Start) -> None:
    stamp(clone).unlink(missing_ok=True)
    said = start("--torch", "cpu", "--port", "7000").stdout.splitlines()
    assert said[0] == "Setting Gesso up, with PyTorch for the CPU: --torch asks for it."
    assert "PyTorch 2.13.0 is ready." in said
    assert said[-1] == "started 2.13.0 ['--port=7000']"
    written = json.loads(stamp(clone).read_text())
    assert (written["extras"], written["asked"], written["build"]) == ([], "cpu", "cpu")


def test_once_set_up_it_starts_at_once_and_asks_nobody(installed: Path, start: Start) -> None:
    shutil.move(installed / "wheels", installed / "gone")
    try:
        before, times = log(installed), []
        for _ in range(3):
            began = time.monotonic()
            done = start("--fake-engine")
            times.append(time.monotonic() - began)
            assert done.stdout == "started 2.13.0 ['--fake-engine']\n"
        assert log(installed) == before
        bare = time.monotonic()
        subprocess.run([sys.executable, "-c", ""], check=True)
        assert min(times) < 0.5 + 2 * (time.monotonic() - bare)
    finally:
        shutil.move(installed / "gone", installed / "wheels")


def test_a_changed_pin_installs_and_offline_it_says_so(installed: Path, start: Start) -> None:
    constraints = installed / "webui" / "constraints.txt"
    before = constraints.read_text()
    constraints.write_text("torch==2.14.0\n")
    try:
        done = start()
        assert done.returncode == 1 and "started" not in done.stdout
        assert "Set-up did not finish. The package index has no ready-made package" in done.stderr and "torch" in done.stderr
        assert f"log: {Home(installed).log}" in done.stderr and "try: " in done.stderr
        assert "Traceback" not in done.stderr
        assert "started 2.13.0" in start("--skip-install").stdout
        write_wheel(installed / "wheels", "torch", "2.14.0", TORCH.replace("2.13.0", "2.14.0"))
        assert "started 2.14.0" in start().stdout
    finally:
        constraints.write_text(before)
        (installed / "wheels" / "torch-2.14.0-py3-none-any.whl").unlink(missing_ok=True)
    assert "started 2.13.0" in start().stdout


@pytest.mark.parametrize("damage", ["no stamp", "cut short", "pip killed early"])
def test_a_half_finished_set_up_heals(installed: Path, start: Start, damage: str) -> None:
    unfinish(installed)
    package = next((installed / ".venv").glob("[Ll]ib/**/site-packages/torch"))
    if damage == "cut short":
        (package / "__init__.py").write_text("")
    if damage == "pip killed early":
        shutil.rmtree(package)
    assert start().stdout.splitlines()[-1] == "started 2.13.0 []"
    assert stamp(installed).exists()


def test_kill_9_in_the_middle_heals_and_the_orphan_is_waited_for(installed: Path, start: Start, environment: dict[str, str]) -> None:
    unfinish(installed)
    command = [sys.executable, str(installed / "launch.py")]
    first = subprocess.Popen(command, env=environment | {"SLOW_PIP": "2"}, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: "pip install" in log(installed))
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not stamp(installed).exists()
    said = start().stdout
    assert "Another launch.py sets this folder up; waiting for it ..." in said  # its pip still runs
    assert said.splitlines()[-1] == "started 2.13.0 []"


def test_two_at_once_install_once(installed: Path, environment: dict[str, str]) -> None:
    unfinish(installed)
    command = [sys.executable, str(installed / "launch.py")]
    slow = environment | {"SLOW_PIP": "1"}
    both = [subprocess.Popen(command, env=slow, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    said = sorted((process.communicate(timeout=60)[0] for process in both), key=len)
    assert all(each.endswith("started 2.13.0 []\n") for each in said), said
    assert said[0].startswith("Another launch.py sets this folder up; waiting for it ...")
    assert "Setting Gesso up" not in said[0] and log(installed).count("pip install") == 1


def test_ctrl_c_in_the_set_up_ends_at_once_without_a_trace(installed: Path, environment: dict[str, str], start: Start) -> None:
    unfinish(installed)
    command = [sys.executable, str(installed / "launch.py")]
    process = subprocess.Popen(
        command, env=environment | {"SLOW_PIP": "30"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: "pip install" in log(installed))
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=10)[1]
    assert process.returncode == 130 and error == "\nStopped. Start again to go on.\n"
    assert "waiting" not in start().stdout


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_real_packages_install_into_a_fresh_clone(tmp_path: Path) -> None:
    for name in ("launch.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "webui", tmp_path / "webui", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "launch.py", "test", "--torch=cpu", "--version"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pytest" in done.stdout
    check = "import torch, diffusers, transformers, gradio; diffusers.StableDiffusionPipeline; transformers.CLIPTextModel"
    subprocess.run([Home(tmp_path).python, "-c", check], check=True)
