import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from webui import logs
from webui.core.errors import SetupError


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


def test_the_file_has_all_of_it_and_the_terminal_a_line(tmp_path: Path) -> None:
    terminal = io.StringIO()
    path = logs.start(tmp_path / "logs", terminal=terminal)
    log = logging.getLogger("webui.somewhere")
    log.info("quiet")
    try:
        raise ValueError("inner")
    except ValueError as error:
        log.warning("It went\n\x1b]0;title\x07wrong.", exc_info=error)
    logging.getLogger("elsewhere").warning("not ours")
    assert terminal.getvalue() == "Warning: It went ]0;title wrong.\n"
    written = path.read_text()
    assert "quiet" in written
    assert "ValueError: inner" in written
    assert "not ours" in written


def test_files_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 1000)
    path = logs.start(tmp_path, terminal=io.StringIO())
    for number in range(500):
        logging.getLogger("webui").info("%d %s", number, "x" * 50)
    files = list(tmp_path.iterdir())
    assert len(files) == logs.KEPT + 1
    assert all(file.stat().st_size <= 1000 for file in files)
    assert "499" in path.read_text()


def test_a_second_start_writes_each_line_once(tmp_path: Path) -> None:
    logs.start(tmp_path, terminal=io.StringIO())
    path = logs.start(tmp_path, terminal=io.StringIO())
    logging.getLogger("webui").info("only once \ud800")
    assert path.read_text().count("only once") == 1


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="--outputs-dir"):
        logs.start(tmp_path / "file" / "logs")
