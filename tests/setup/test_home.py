import json
import sys
from pathlib import Path

import pytest

from webui.setup.home import Home, Want, alone, clean_environment, pins, read_stamp, ready, requirements, unfinished_packages, venv_problem

PROJECT = '[project]\ndependencies = ["torch", "gradio"]\n[project.optional-dependencies]\ntest = ["pytest"]\n'


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder as a finished set-up leaves it."""
    made = Home(tmp_path, windows=False)
    made.constraints.parent.mkdir()
    made.constraints.write_text("torch==2.13.0\ngradio==6.31.0\n")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    made.python.parent.mkdir(parents=True)
    made.python.write_text("")
    (made.venv / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {sys.version_info[0]}.{sys.version_info[1]}.9\n")
    write_stamp(made, [])
    return made


def write_stamp(home: Home, extras: list[str]) -> None:
    home.stamp.write_text(json.dumps({"pins": pins(home, extras), "extras": extras, "asked": "auto", "build": "cpu"}))


def test_a_finished_set_up_is_ready(home: Home) -> None:
    assert ready(home, Want())
    assert ready(home, Want(torch="auto"))


@pytest.mark.parametrize("want", [Want(extras=("test",)), Want(torch="cuda"), Want(afresh=True)])
def test_a_new_wish_is_not_ready(home: Home, want: Want) -> None:
    assert not ready(home, want)


def test_test_tools_serve_a_plain_start_too(home: Home) -> None:
    write_stamp(home, ["test"])
    assert ready(home, Want()) and ready(home, Want(extras=("test",)))


def test_the_pinned_set_decides(home: Home) -> None:
    home.constraints.write_text(home.constraints.read_text() + "pillow==12.3.0\n")
    assert not ready(home, Want())


def test_a_new_dependency_decides_and_a_tool_setting_does_not(home: Home) -> None:
    (home.root / "pyproject.toml").write_text(PROJECT + "[tool.ruff]\nline-length = 140\n")
    assert ready(home, Want())
    (home.root / "pyproject.toml").write_text(PROJECT.replace('"gradio"', '"gradio", "segno"'))
    assert not ready(home, Want())


def test_a_package_that_is_wanted_for_its_data_decides_too(home: Home) -> None:
    (home.root / "pyproject.toml").write_text(PROJECT + "[tool.gesso]\nalone = ['words']\n")
    assert alone(home) == ["words"]
    assert not ready(home, Want())


def test_a_change_of_the_test_tools_leaves_a_plain_set_up_alone(home: Home) -> None:
    (home.root / "pyproject.toml").write_text(PROJECT.replace('"pytest"', '"pytest", "ruff"'))
    assert ready(home, Want())


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pins": "x"}', '"text"'])
def test_a_broken_stamp_counts_as_none(home: Home, text: str) -> None:
    home.stamp.write_text(text)
    assert read_stamp(home) == {}
    assert not ready(home, Want())


def test_a_folder_that_is_not_whole_is_not_ready(home: Home) -> None:
    home.constraints.unlink()
    assert not ready(home, Want())


def test_no_stamp_is_a_half_finished_set_up(home: Home) -> None:
    home.stamp.unlink()
    assert not ready(home, Want())


def test_a_venv_is_made_again_when_python_is_gone(home: Home) -> None:
    home.python.unlink()
    home.python.symlink_to(home.root / "no-such-python")  # as when the system's Python was replaced
    assert venv_problem(home) == "its Python is gone"
    assert not ready(home, Want())


@pytest.mark.parametrize("text", ["version = 3.10.13\n", "version_info = 2.7.18.final.0\n", "", "home = /usr/bin\n"])
def test_a_venv_is_made_again_for_another_python(home: Home, text: str) -> None:
    (home.venv / "pyvenv.cfg").write_text(text)
    assert venv_problem(home) == "it was made by another Python"
    assert not ready(home, Want())


def test_paths_of_both_kinds_of_system(tmp_path: Path) -> None:
    assert Home(tmp_path, windows=True).python == tmp_path / ".venv" / "Scripts" / "python.exe"
    assert Home(tmp_path, windows=False).python == tmp_path / ".venv" / "bin" / "python"


def test_the_log_and_the_lock_outlive_a_new_venv(home: Home) -> None:
    assert not home.notes.is_relative_to(home.venv) and not home.log.is_relative_to(home.venv)


def test_requirements_are_what_the_project_names(home: Home) -> None:
    assert requirements(home, []) == ["torch", "gradio"]
    assert requirements(home, ["test", "gone"]) == ["torch", "gradio", "pytest"]


@pytest.mark.parametrize("layout", ["lib/python3.11/site-packages", "Lib/site-packages"])
def test_a_package_cut_short_is_found(home: Home, layout: str) -> None:
    site = home.venv / layout
    for name in ("whole", "cut", "lost", "killed"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("x = 1\n")
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("")
        (info / "RECORD").write_text(f"{name}/__init__.py,sha256=abc,6\n{name}/__pycache__/__init__.pyc,,\n{name}-1.0.dist-info/RECORD,,\n")
    (site / "cut" / "__init__.py").write_text("")  # what a power cut leaves
    (site / "lost" / "__init__.py").unlink()
    (site / "killed-1.0.dist-info" / "RECORD").unlink()  # pip writes it last
    assert sorted(info.name for info in unfinished_packages(home)) == ["cut-1.0.dist-info", "killed-1.0.dist-info", "lost-1.0.dist-info"]


def test_nothing_in_the_environment_leads_out_of_the_venv(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    environment = clean_environment()
    assert not {"PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET"} & environment.keys()
    assert environment["PIP_INDEX_URL"] == "https://mirror.example/simple"


def test_the_constraints_pin_every_name_that_the_project_gives() -> None:
    real = Home(Path(__file__).parent.parent.parent)
    lines = [line for line in real.constraints.read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 for line in lines), "exact versions only"
    pinned = {line.partition("==")[0] for line in lines}
    assert {*requirements(real, ["test"]), *alone(real)} <= pinned
    assert "torchvision" not in pinned  # its compiled half does not load beside a CPU torch, and nothing needs it
