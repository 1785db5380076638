"""The shape of the program, held by tools: import contracts, lint, types, and the size of its rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONGEST_MODULE = 500
LONGEST_FUNCTION = 60

LONG_ON_PURPOSE: dict[str, str] = {}  # "path" or "path:function" → the reason
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "yaml.load", "marshal.loads"}


def sources() -> list[Path]:
    return sorted([ROOT / "launch.py", *(ROOT / "webui").rglob("*.py"), *(ROOT / "extensions" / "example").rglob("*.py")])


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def run(*command: str) -> None:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def test_imports_point_down() -> None:
    run("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")


def test_lint() -> None:
    run("-m", "ruff", "check", "--no-cache", ".")


def test_types() -> None:
    run("-m", "mypy")


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_small(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    text = path.read_text(encoding="utf-8")
    long = [] if text.count("\n") <= LONGEST_MODULE or name in LONG_ON_PURPOSE else [f"{text.count(chr(10))} lines"]
    for function in functions(ast.parse(text)):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > LONGEST_FUNCTION and f"{name}:{function.name}" not in LONG_ON_PURPOSE:
            long.append(f"{function.name}: {lines} lines")
    assert not long, f"{name}: {long}"


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_text_as_code(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            shell = any(key.arg == "shell" and getattr(key.value, "value", None) is True for key in node.keywords)
            if called in FORBIDDEN_CALLS or shell:
                found.append(f"line {node.lineno}: {called}")
    assert not found, found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_error_is_swallowed(path: Path) -> None:
    swallowed = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if broad and all(isinstance(line, ast.Pass | ast.Continue) for line in node.body):
                swallowed.append(node.lineno)
    assert not swallowed, swallowed


def test_every_package_states_its_rule() -> None:
    silent = [
        str(path.parent.relative_to(ROOT))
        for path in (ROOT / "webui").rglob("__init__.py")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent, silent


def test_tests_mirror_the_tree() -> None:
    packages = {path.parent.name for path in (ROOT / "webui").glob("*/__init__.py")}
    missing = sorted(name for name in packages if not list((ROOT / "tests" / name).glob("test_*.py")))
    assert not missing, missing


def test_serving_process_never_maps_torch() -> None:
    code = (
        "import sys, webui.app; heavy = [m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules]; "
        "maps = open('/proc/self/maps').read() if sys.platform == 'linux' else ''; "
        "sys.exit(f'loaded {heavy}' if heavy or 'libtorch' in maps else 0)"
    )
    run("-c", code)
