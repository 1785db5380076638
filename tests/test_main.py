"""The command line's last line of defence: what stops a start is one sentence, not a stack trace."""

from pathlib import Path

import pytest

from webui.__main__ import main
from webui.core.errors import GessoError, SetupError, StorageError


@pytest.mark.parametrize("kind", [SetupError, StorageError])
def test_what_stops_a_start_is_one_sentence(
    kind: type[GessoError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is full or a database that is damaged shows only when the parts are put together."""

    def stopped(*_: object, **__: object) -> None:
        raise kind("The disk is full. Free some space.")

    monkeypatch.setattr("webui.app.build", stopped)
    assert main(["--data-dir", str(tmp_path), "--no-browser", "--fake-engine"]) == 2
    assert capsys.readouterr().err == "Gesso cannot start. The disk is full. Free some space.\n"
