"""The header of a safetensors file, checked as if an enemy had written it; the tensors behind it are never read.

Format (safetensors' README): 8 bytes little-endian length N, N bytes of JSON `{name: {dtype, shape, data_offsets}}`
with an optional `__metadata__` of strings, then the tensors' bytes, without holes and without overlaps.
"""

import json
import re
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from webui.core.errors import LoadFailed

MAX_HEADER = 100_000_000  # bytes; the reference implementation's own limit
DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip


_MINUS = re.compile(rb"[\[,:]\s*-")


class TensorInfo(NamedTuple):
    """One tensor; `begin` and `end` are byte offsets after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    """What a file says it holds."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """Raises `LoadFailed` naming the file and what is wrong with it, `OSError` when it cannot be read at all."""
    with path.open("rb", buffering=0) as file:  # not a byte more than the header
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER, size - 8):
            if 2 <= length <= MAX_HEADER and file.read(1) == b"{":
                raise LoadFailed(f"{path.name} is cut off within its header. Copy or download it again.")
            raise LoadFailed(f"{path.name} is not a safetensors file.")
        text = file.read(length)
    try:
        return parse_header(text, size - 8 - len(text))
    except ValueError as error:
        raise LoadFailed(f"{path.name} cannot be used: {error}. Copy or download it again.") from error


def parse_header(text: bytes, data: int) -> Header:
    """`data` is how many bytes follow the header. Raises `ValueError` saying what is wrong."""
    if not text.startswith(b"{"):
        raise ValueError("its header is not JSON")
    try:
        raw = json.loads(text, object_pairs_hook=_no_duplicates, parse_int=_signed if _MINUS.search(text) else None)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("its header is not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("its header is not JSON") from None
    metadata = raw.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata is not text")
    tensors = {name: _tensor(name, entry) for name, entry in raw.items()}
    _check_layout(tensors, data)
    return Header(tensors, metadata)


def _signed(number: str) -> int | float:
    """-0 is 0 to Python, and no size to the loader."""
    return float(number[:20]) if number.startswith("-") else int(number)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("its header names something twice")
    return made


def _tensor(name: str, entry: object) -> TensorInfo:
    shown = f"the tensor “{name[:80]}”"
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{shown} is not described as one")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    bits = DTYPE_BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None:
        raise ValueError(f"{shown} has the unknown type {str(dtype)[:40]}")
    if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2 or len(shape) > 64:
        raise ValueError(f"{shown} has no proper shape or offsets")
    begin, end = offsets
    if (end - begin) * 8 != prod(shape) * bits:
        raise ValueError(f"{shown} has a shape that does not fit its bytes")
    return TensorInfo(dtype, tuple(shape), begin, end)


def _whole_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 2**63 for number in value)


def _check_layout(tensors: Mapping[str, TensorInfo], data: int) -> None:
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != end:
            raise ValueError("its tensors overlap" if tensor.begin < end else "there are holes between its tensors")
        end = tensor.end
    if end > data:
        raise ValueError(f"it is cut off: {end - data:,} of {end:,} bytes are missing")
    if end < data:
        raise ValueError(f"{data - end:,} bytes follow its last tensor")
