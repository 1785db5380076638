"""Crafted pickles are refused in a sentence that names what they would call, and none of them is run."""

import builtins
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.library.weights import single_file
from tests.quarantine.files import LEGACY_HEAD, Call, archive, attack, enormous, legacy, overlapping
from webui.quarantine import scan
from webui.quarantine.opcodes import Unfit, read_pickle
from webui.quarantine.scan import examine

NAMED = "posix.system" if os.name == "posix" else "nt.system"


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("into", [archive, legacy])
def test_a_call_is_named_and_not_made(tmp_path: Path, into: Callable[[Path, bytes], Path], protocol: int) -> None:
    """In the newest and the oldest protocol, where the name stands on the stack, on lines, or in the memo."""
    mark = tmp_path / "mark"
    weights = OrderedDict(a=1, b=[2.5, None, True], attack=attack(mark))
    verdict = examine(into(tmp_path / "x.ckpt", pickle.dumps(weights, protocol)))
    assert not verdict.fit
    assert verdict.forbidden in (NAMED,) or verdict.forbidden == "" and protocol in (0, 1, 4, 5)
    if protocol == 2:
        assert verdict.sentence == f"x.ckpt would call {NAMED} when it is opened, which weights never need. It is not opened."
    assert not mark.exists()


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (Call(eval, "1"), "builtins.eval"),
        (Call(exec, "1"), "builtins.exec"),
        (Call(getattr, 1, "real"), "builtins.getattr"),
        (Call(builtins.__import__, "os"), "builtins.__import__"),
        (Call(subprocess.run, "true"), "subprocess.run"),
        (Call(os.system, "true"), NAMED),
        (Call(pickle.loads, b"N."), "pickle.loads"),
    ],
)
def test_whatever_is_called_is_named(tmp_path: Path, call: Call, name: str) -> None:
    verdict = examine(archive(tmp_path / "x.pt", pickle.dumps(call, 2)))
    assert (verdict.fit, verdict.forbidden) == (False, name)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (b"\x80\x02ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes"),  # opens a pickle within the pickle
        (b"\x80\x02ctorch.hub\nload\n.", "torch.hub.load"),
        (b"\x80\x02ctorch\nload\n.", "torch.load"),
        (b"\x80\x02cnumpy.testing._private.utils\nrunstring\n.", "numpy.testing._private.utils.runstring"),
        (b"\x80\x02ccollections\nnamedtuple\n.", "collections.namedtuple"),
        (b"\x80\x02(ios\nsystem\n.", "os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x04\x8c\x06system\x94\x8c\x02os\x94h\x00\x93.", "os.system"),
        (b"\x80\x02\x82\x01.", "extension 1"),
        (b"\x80\x02cos\x1b[2J\nsystem\n.", "os?[2J.system"),
    ],
)
def test_every_way_to_name_a_call(tmp_path: Path, text: bytes, name: str) -> None:
    assert examine(archive(tmp_path / "x.bin", text)).forbidden == name


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: raw(path, b""), "is empty"),
        (lambda path: raw(path, b"7z\xbc\xaf\x27\x1c" + b"\0" * 99), "is not a weight file of PyTorch's"),
        (lambda path: raw(path, b"\x89PNG\r\n\x1a\n"), "is not a weight file of PyTorch's"),
        (lambda path: raw(path, b"PK\x03\x04" + b"\0" * 99), "its archive cannot be read"),
        (lambda path: raw(path, pickle.dumps({"a": 1}, 2)), "is a pickle, but not a weight file"),
        (lambda path: raw(path, LEGACY_HEAD), "is damaged or cut off"),
        (lambda path: raw(path, LEGACY_HEAD + pickle.dumps({}, 2)[:-1]), "is damaged or cut off"),
        (lambda path: legacy(path, pickle.dumps([1], 4)), "instruction FRAME"),
        (lambda path: raw(path, archive(path, pickle.dumps({}, 2)).read_bytes()[:-30]), "its archive cannot be read"),
        (lambda path: archive(path, pickle.dumps({}, 2)[:-1]), "is damaged or cut off"),
        (lambda path: archive(path, pickle.dumps({}, 2) + pickle.dumps({}, 2)), "a second pickle behind the first"),
        (lambda path: archive(path, pickle.dumps({}, 2), packing=zipfile.ZIP_DEFLATED), "is packed"),
        (lambda path: archive(path, pickle.dumps({}, 2), {"archive/code/x.py": b""}), "is a program"),
        (lambda path: archive(path, pickle.dumps({}, 2), {"archive/data/0.pkl": b""}), "something else"),
        (lambda path: archive(path, pickle.dumps({}, 2), {"other/data.pkl": b""}), "something else"),
        (lambda path: archive(path, pickle.dumps({}, 2), {"../x": b""}), "something else"),
        (lambda path: archive(path, pickle.dumps({}, 2), {"archive/.data/evil": b""}), "something else"),
        (enormous, "a pickle of more than 64 MB"),
        (overlapping, "parts that lie over one another"),
        (single_file, "is a safetensors file under a wrong name. Rename it to x.safetensors."),
    ],
)  # fmt: skip
def test_what_is_no_weight_file_is_refused_in_a_sentence(tmp_path: Path, make: Callable[[Path], Any], says: str) -> None:
    make(tmp_path / "x.ckpt")
    verdict = examine(tmp_path / "x.ckpt")
    assert not verdict.fit
    assert says in verdict.sentence
    assert verdict.sentence.startswith("x.ckpt ")
    assert verdict.sentence.endswith(".")


def test_a_pickle_that_swells_is_not_read_into_memory(tmp_path: Path) -> None:
    """Ten thousand times the same text from a packed archive: the packing is refused before anything is unpacked."""
    path = archive(tmp_path / "x.ckpt", b"\x80\x02" + b"N0" * 100_000_000 + b"N.", packing=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 500_000
    assert "may swell" in examine(path).sentence


def test_two_members_of_one_name(tmp_path: Path) -> None:
    """A reader that takes the first and a looker that takes the last would differ."""
    with pytest.warns(UserWarning, match="Duplicate"):
        archive(tmp_path / "x.ckpt", pickle.dumps(attack(tmp_path / "mark"), 2), {"archive/data.pkl": pickle.dumps({}, 2)})
    assert "something else" in examine(tmp_path / "x.ckpt").sentence


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_folders_and_pipes_are_not_followed(tmp_path: Path) -> None:
    real = archive(tmp_path / "real.ckpt", pickle.dumps({}, 2))
    (tmp_path / "link.ckpt").symlink_to(real)
    (tmp_path / "folder.ckpt").mkdir()
    os.mkfifo(tmp_path / "pipe.ckpt")
    assert "is a link" in examine(tmp_path / "link.ckpt").sentence
    for name in ("folder.ckpt", "pipe.ckpt"):
        assert "is not a file" in examine(tmp_path / name).sentence
    with pytest.raises(OSError, match="No such file"):
        examine(tmp_path / "nowhere.ckpt")


def test_what_weights_need_is_fit(tmp_path: Path) -> None:
    verdict = examine(archive(tmp_path / "x.ckpt", pickle.dumps(OrderedDict(a=1.5, b=(1, 2)), 2)))
    assert verdict.fit
    assert verdict.globals == ("collections.OrderedDict",)
    assert examine(legacy(tmp_path / "y.ckpt", pickle.dumps(OrderedDict(), 2))).container == "legacy"


@given(st.binary(max_size=300))
@settings(max_examples=500, deadline=None)
def test_any_bytes_give_a_verdict(text: bytes) -> None:
    import io

    for start in (b"", b"\x80\x02", b"\x80\x02ctorch\nFloatStorage\n"):
        try:
            read_pickle(io.BytesIO(start + text))
        except Unfit as unfit:
            assert str(unfit)


def test_nothing_is_run_to_find_out() -> None:
    """The looker imports neither torch nor what the pickles name."""
    code = "import sys, webui.quarantine.scan, webui.quarantine.convert; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert scan.MAX_PICKLE < 100_000_000
