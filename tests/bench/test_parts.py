"""Each part of the bench runs, in a tiny size: the figures mean nothing here, but there they are."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.library.weights import diffusers_folder
from webui.bench import __main__ as command
from webui.bench import serving, storage
from webui.bench.report import Figure


def sound(figures: list[Figure]) -> list[str]:
    assert all(math.isfinite(figure.value) and figure.value > 0 for figure in figures), figures
    return [figure.name for figure in figures]


def test_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "WAITING", 20)
    monkeypatch.setattr(storage, "SUBMITTED", 10)
    assert sound(storage.queue()) == ["enqueue, p99 of 10", "take the next job"]


def test_the_gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PICTURES", 200)
    figures = storage.gallery()
    assert len(sound(figures)) == 5
    assert all(figure.limit == 100 for figure in figures)


def test_the_start(tmp_path: Path) -> None:
    """A real process and real pictures, of flat colours."""
    diffusers_folder(tmp_path / "checkpoints" / "tiny")
    figures = serving.start(("--fake-engine", "--models-dir", str(tmp_path), "--no-extensions"))
    assert sound(figures) == ["start to page usable", "start to first picture", "warm picture, saved", "memory of the serving process"]
    page, first, warm, memory = (figure.value for figure in figures)
    assert warm < first > page
    assert 20 < memory < 2000, "MB"


def test_a_server_that_cannot_start_is_not_waited_for() -> None:
    with pytest.raises(RuntimeError, match="ended with code 2"):
        serving.start(("--no-such-option",))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks this small only wait for each other's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_starter_against_diffusers(one_thread: None, tmp_path: Path) -> None:
    from tests.engine import tiny  # torch, for this one and the next alone
    from webui.bench import diffusion

    folder = tiny.write_folder(tmp_path / "checkpoints" / "tiny", tiny.ZERO_SNR)
    names = sound(diffusion.starter(folder, side=64, rounds=1))
    assert names == ["starter, 20 steps at 64²", "starter, bare diffusers", "starter, ours / diffusers"]


def test_a_large_checkpoint_against_diffusers(one_thread: None, tmp_path: Path) -> None:
    from tests.engine import tiny
    from webui.bench import checkpoints, diffusion

    tiny.write_tokenizer(tmp_path / "tokenizer")
    names = sound(diffusion.sd15(tmp_path / "tokenizer", checkpoints.Sizes(tiny.UNET, tiny.VAE, tiny.TEXT_ENCODER), side=64))
    assert names[0] == "SD 1.5 size, a step at 64²"
    assert len(names) == 4


# --- the command ---


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = Figure("kept", 2.0, "s", limit=2.5), Figure("over", 2.0, "s", limit=1.5), Figure("free", 2.0, "s")
    monkeypatch.setattr(command, "PARTS", {figure.name: (lambda figure=figure: [figure]) for figure in figures})


@pytest.mark.parametrize(("asked", "code"), [(["kept"], 0), (["free"], 0), (["over"], 1), (["kept", "over"], 1), ([], 1)])
def test_the_exit_code_says_whether_all_promises_are_kept(
    parts: None, asked: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*asked, "--json", str(tmp_path / "bench.json")]) == code
    written = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    measured = [row["name"] for row in written["figures"]]
    assert measured == (asked or ["kept", "over", "free"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in measured)


def test_a_part_that_nobody_knows_is_refused(parts: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["keptt"])
    assert ended.value.code == 2
    assert "there is no part keptt; known: kept, over, free" in capsys.readouterr().err


def test_every_part_is_there() -> None:
    assert list(command.PARTS) == ["start", "queue", "gallery", "starter", "sd15"]
