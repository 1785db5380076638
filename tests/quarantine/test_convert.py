"""Pickled weights become safetensors bit for bit, in a process that can do nothing else."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.quarantine.files import archive, attack
from webui.core.errors import Cancelled, Conflict, LoadFailed, StorageError, Unsupported
from webui.quarantine import convert as converting
from webui.quarantine.convert import convert
from webui.quarantine.limits import REFUSED, Limits

ROOT = Path(__file__).parent.parent.parent


def tensors() -> dict[str, torch.Tensor]:
    """Every dtype that pickles and safetensors share; views, one value, none at all, and bits that are no number."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    made = {str(dtype): torch.arange(5).to(dtype) for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32)}
    made |= {str(dtype): torch.arange(5).to(dtype) for dtype in (torch.int16, torch.int8, torch.uint8, torch.bool)}
    odd = torch.tensor([0x7FC00001, -1, -(2**31)], dtype=torch.int32).view(torch.float32)  # NaNs with a payload, −0
    return made | {
        "whole": base,
        "turned": base.t(),
        "part": base[1:3, ::2],
        "one": torch.tensor(3.5),
        "none": torch.empty(0, 3),
        "odd": odd,
    }


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    bits = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(*bits)


@pytest.mark.parametrize("modern", [True, False], ids=["archive", "legacy"])
def test_the_same_tensors_bit_for_bit_and_the_old_file_stays(tmp_path: Path, modern: bool) -> None:
    weights = tensors()
    state = {"state_dict": weights, "epoch": 7, "global_step": np.float64(3.5), "callbacks": {"x": [1]}}
    path = tmp_path / "x.ckpt"
    torch.save(state, path, _use_new_zipfile_serialization=modern)
    before = path.read_bytes()
    made = convert(path)
    loaded = load_file(made.path)
    assert loaded.keys() == weights.keys()
    assert [name for name, tensor in weights.items() if not same(tensor, loaded[name])] == []
    assert (made.tensors, set(made.left_out)) == (len(weights), {"epoch", "global_step", "callbacks"})
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.ckpt", "x.safetensors"]
    with pytest.raises(Conflict, match=r"There is a x\.safetensors"):
        convert(path)


def parameter_dict() -> dict[str, Any]:
    held = torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(2, 768))})
    return {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": held, "name": "x", "step": 500}


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(3, 768)}, "name": "x"}, ["emb_params"]),
        (parameter_dict(), ["emb_params"]),
        ({"clip_g": torch.ones(2, 1280), "clip_l": torch.ones(2, 768)}, ["clip_g", "clip_l"]),
        ({"params": {"a": torch.zeros(1)}, "params_ema": {"conv_first.weight": torch.ones(1)}}, ["conv_first.weight"]),
    ],
    ids=["embedding", "the oldest embeddings", "embedding of SDXL", "upscaler"],
)
def test_what_weights_are_wrapped_in_is_taken_off(tmp_path: Path, state: dict[str, Any], names: list[str]) -> None:
    torch.save(state, tmp_path / "x.pt")
    assert sorted(load_file(convert(tmp_path / "x.pt").path)) == names


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ([torch.ones(1)], "holds no table of tensors, but a list"),
        ({"a": 1}, "holds no tensors by name"),
        ({"a": torch.ones(2).to_sparse()}, "would call torch._utils._rebuild_sparse_tensor"),
        ({"string_to_param": {"a": torch.ones(1), "b": torch.ones(1)}}, "an embedding of 2 words"),
    ],
)
def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path, state: Any, says: str) -> None:
    torch.save(state, tmp_path / "x.pt")
    with pytest.raises(Unsupported, match=says):
        convert(tmp_path / "x.pt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.pt"]


def test_an_attack_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive(tmp_path / "x.ckpt", pickle.dumps(attack(tmp_path / "mark"), 2))
    with pytest.raises(Unsupported, match=r"x\.ckpt would call \w+\.system when it is opened"):
        convert(tmp_path / "x.ckpt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.ckpt"]


def test_the_process_refuses_an_attack_that_the_look_let_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is a hint: were it blind, the process would still not run what is in the file."""
    archive(tmp_path / "x.ckpt", pickle.dumps(attack(tmp_path / "mark"), 2))
    fit = converting.Verdict(fit=True, sentence="")
    monkeypatch.setattr(converting, "examine_open", lambda file, name: fit)
    with pytest.raises(Unsupported, match=r"x\.ckpt cannot be opened"):
        convert(tmp_path / "x.ckpt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.ckpt"]


def test_an_archive_whose_tensors_are_missing(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "x.pt", "w") as part:
        for member in whole.infolist():
            if "/data/" not in member.filename:
                part.writestr(member.filename, whole.read(member))
    with pytest.raises(Unsupported, match=r"x\.pt cannot be opened"):
        convert(tmp_path / "x.pt")


def test_cancelled_and_no_room_and_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pt")
    with pytest.raises(Cancelled):
        convert(tmp_path / "x.pt", cancelled=lambda: True)
    with pytest.raises(LoadFailed, match="No such file"):
        convert(tmp_path / "nowhere.pt")
    usage = converting.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(converting.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(StorageError, match="Make room"):
        convert(tmp_path / "x.pt")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.pt"]


@pytest.mark.parametrize("limits", [Limits(0, 60, 10**9), Limits(2**30, 60, 1000)], ids=["memory", "size of the result"])
@pytest.mark.skipif(sys.platform != "linux", reason="bounds that the system holds")
def test_a_file_that_asks_for_more_than_it_should(tmp_path: Path, limits: Limits) -> None:
    torch.save({"a": torch.ones(20_000_000)}, tmp_path / "x.pt")
    with pytest.raises(Unsupported, match=r"^x\.pt (needs more|cannot be opened)"):
        convert(tmp_path / "x.pt", limits=limits)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.pt"]


def test_the_parent_stops_what_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pt")
    monkeypatch.setattr(converting, "STARTING", 0)
    with pytest.raises(Unsupported, match="takes longer to open"):
        convert(tmp_path / "x.pt", limits=Limits(2**30, 0, 10**9))


@pytest.mark.parametrize(
    "deed",
    [
        "import socket; socket.socket()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.fork()",
        "open('mark', 'w')",
        "import os; os.open('mark', os.O_CREAT | os.O_RDWR)",
        "import os; os.remove('keep')",
        "import pickle; pickle.loads(b'cos\\nsystem\\n.')",
        "import ctypes; ctypes.CDLL('libc.so.6')",
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the deeds are POSIX's")
def test_what_the_process_may_not_do(tmp_path: Path, deed: str) -> None:
    (tmp_path / "keep").write_text("")
    code = f"from webui.quarantine.limits import forbid; forbid()\n{deed}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == REFUSED
    assert b"refused: " in done.stderr
    assert [entry.name for entry in tmp_path.iterdir()] == ["keep"]


def test_the_process_is_told_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []
    real: Callable[..., Any] = subprocess.Popen

    def watched(command: list[str], **options: Any) -> Any:
        given.append(options["env"])
        return real(command, **options)

    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(converting.subprocess, "Popen", watched)
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pt")
    made = convert(tmp_path / "x.pt")
    assert "hf_secret" not in json.dumps(given)
    assert made.bounds == (os.name != "nt")
