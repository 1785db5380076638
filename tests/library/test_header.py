"""Headers that an enemy, or half a download, wrote."""

import json
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

from tests.library.weights import SIGNS, header_bytes, single_file
from tests.library.zoo import ZOO
from webui.core.errors import LoadFailed
from webui.library.header import DTYPE_BITS, MAX_HEADER, TensorInfo, parse_header, read_header
from webui.library.passport import of_header


def one(dtype: Any = "F16", shape: Any = (2, 3), offsets: Any = (0, 12), **more: Any) -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}}


def parsed(header: Any, data: int = 12) -> Any:
    return parse_header(json.dumps(header).encode(), data)


def test_a_header_says_names_types_shapes_and_metadata(tmp_path: Path) -> None:
    header = read_header(single_file(tmp_path / "a.safetensors", {"x": (2, 3), "y": (), "z": (0, 4)}))
    assert header.tensors == {"x": TensorInfo("U8", (2, 3), 0, 6), "y": TensorInfo("U8", (), 6, 7), "z": TensorInfo("U8", (0, 4), 7, 7)}
    assert header.metadata == {"made": "0"}


def test_padding_after_the_json_is_allowed() -> None:
    assert parse_header(json.dumps(one()).encode() + b"   ", 12).tensors["a"].dtype == "F16"


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (one(dtype="F17"), "unknown type F17"),
        (one(dtype=["F16"]), "unknown type"),
        (one(dtype=None), "unknown type"),
        (one(shape=(2, 4)), "does not fit its bytes"),
        (one(shape=(2, -3)), "no proper shape"),
        (one(shape=(2, 3.0)), "no proper shape"),
        (one(shape=(True, 6)), "no proper shape"),
        (one(shape="23"), "no proper shape"),
        (one(shape=(1,) * 65), "no proper shape"),
        (one(shape=(2**40, 2**40)), "does not fit its bytes"),
        (one(shape=(2**63,)), "no proper shape"),
        (one(offsets=(0,)), "no proper shape or offsets"),
        (one(offsets=(0, 12, 24)), "no proper shape or offsets"),
        (one(offsets=(12, 0)), "does not fit its bytes"),
        (one(offsets=(12, 24)), "holes"),
        (one(more=1), "not described as one"),
        ({"a": 1}, "not described as one"),
        ({"a": {"dtype": "F16"}}, "not described as one"),
        (one() | {"b": one()["a"]}, "overlap"),
        (one() | {"b": one(offsets=(24, 36))["a"]}, "holes"),
        (one() | {"b": one(offsets=(12, 24))["a"]}, "cut off: 12 of 24 bytes are missing"),
        ({"__metadata__": {"a": 1}}, "metadata is not text"),
        ({"__metadata__": []}, "metadata is not text"),
        ({}, "12 bytes follow"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(header: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parsed(header)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "not JSON"),
        (b" {}", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1,"a":1}', "twice"),
        (b'{"\xff":1}', "not UTF-8"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply|not JSON"),
        (b'{"a":' + b"9" * 10_000 + b"}", "digits"),
        (b'{"a":NaN}', "not described"),
        (b'{"a":{"dtype":"U8","shape":[12],"data_offsets":[-0,12]}}', "no proper shape or offsets"),
    ],
)
def test_what_is_no_header_is_said(text: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_header(text, 12)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a safetensors file"),
        (b"\x08\0\0", "not a safetensors file"),
        ((10**6).to_bytes(8, "little") + b'{"a"', "cut off within its header"),
        ((MAX_HEADER + 1).to_bytes(8, "little") + b"{" * 100, "not a safetensors file"),
        ((2**64 - 1).to_bytes(8, "little") + b"{" * 100, "not a safetensors file"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "not a safetensors file"),
        (b"PK\x03\x04" + b"\0" * 100, "not a safetensors file|not JSON"),
        (header_bytes(one())[:-3], "not a safetensors file|cut off|not JSON"),
        (header_bytes(one()) + b"\0" * 11, "cut off: 1 of 12 bytes"),
    ],
)
def test_files_that_are_none_are_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(LoadFailed, match=rf"x\.safetensors .*({says})"):
        read_header(path)


def test_only_the_header_is_read(tmp_path: Path) -> None:
    path = single_file(tmp_path / "a.safetensors", {"x": (2**40,)}, body=False)
    assert read_header(path).tensors["x"].end == 2**40


def test_every_type_has_its_width() -> None:
    for dtype, bits in DTYPE_BITS.items():
        assert parsed(one(dtype=dtype, shape=(8,), offsets=(0, bits)), bits).tensors["a"].end == bits


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["F16", "U8", "data_offsets"])
KEYS = st.sampled_from(["dtype", "shape", "data_offsets", "__metadata__", "a"])
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner), max_leaves=12)


@given(st.one_of(st.binary(max_size=200), JSON.map(lambda value: header_bytes(value)[8:])), st.integers(0, 100))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_header_or_a_sentence(text: bytes, data: int) -> None:
    try:
        header = parse_header(text, data)
    except ValueError as error:
        assert str(error)
    else:
        assert sum(tensor.end - tensor.begin for tensor in header.tensors.values()) == data


def mutated(chance: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made))
        match chance.randrange(4):
            case 0:
                made[at] = chance.randrange(256)
            case 1:
                made[at : at + chance.randint(1, 8)] = b""
            case 2:
                made[at:at] = chance.choice([b"0", b"-", b'"', b"{", b"[", b",", b"9" * 20, b"1e9", b"null", b"\xff"])
            case 3:
                made[at:at] = made[chance.randrange(len(made)) :][: chance.randint(1, 30)]
        if not made:
            break
    return bytes(made)


BASES = {name: ZOO[name] for name in ("kohya sdxl", "peft flux", "lokr", "embedding sdxl", "vae", "dat", "controlnet", "checkpoint sdxl")}
TRAINED = {"ss_tag_frequency": '{"1_a": {"b": 2}}', "ss_output_name": "x", "modelspec.architecture": "flux-1", "ss_network_alpha": "1"}


def small(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """With all sides but the last 1, so that mutated files are quickly written."""
    return {name: tuple(side if index == len(shape) - 1 else 1 for index, side in enumerate(shape)) for name, shape in shapes.items()}


def check_mutations(folder: Path, count: int) -> int:
    """What we let pass, the loader that reads the weights must let pass too, and all that is said of it is fit to be sent.

    Returns how many passed.
    """
    wholes = [single_file(folder / "0.safetensors", SIGNS).read_bytes()]
    wholes += [single_file(folder / "1.safetensors", small(base.shapes), metadata=TRAINED).read_bytes() for base in BASES.values()]
    chance, path, passed = random.Random(11), folder / "x.safetensors", 0
    for number in range(count):
        whole = wholes[0 if number % 2 else number // 2 % len(wholes)]
        head = 8 + int.from_bytes(whole[:8], "little")
        content = mutated(chance, whole[:head]) + whole[head:]
        length = int.from_bytes(content[:8], "little")
        if length > len(content) - 8:
            continue
        try:
            header = parse_header(content[8 : 8 + length], len(content) - 8 - length)
        except ValueError:
            continue
        passed += 1
        assert of_header(header, len(content)).model_dump_json()
        path.write_bytes(content)
        try:
            with safe_open(path, "numpy"):
                pass
        except SafetensorError as error:
            assert "torch" not in sys.modules
            pytest.fail(f"passed here, refused by safetensors: {error}: {content[:2000]!r}")
    return passed


def test_mutations_that_pass_here_pass_the_loader(tmp_path: Path) -> None:
    assert check_mutations(tmp_path, 3000) > 0


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_million_mutations(tmp_path: Path) -> None:
    assert check_mutations(tmp_path, 1_000_000) > 0
