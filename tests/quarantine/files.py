"""Pickled files that an enemy wrote; each would leave a mark if it were ever run."""

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEGACY_HEAD = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._made = (function, arguments)

    def __reduce__(self) -> Any:
        return self._made


def attack(mark: Path) -> Call:
    """Makes the file `mark` when it is run."""
    return Call(os.system, f"touch {mark}")


def archive(path: Path, pickled: bytes, more: Mapping[str, bytes] | None = None, packing: int = zipfile.ZIP_STORED) -> Path:
    """A zip as torch.save makes it, with this pickle."""
    with zipfile.ZipFile(path, "w", packing) as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/version", b"3\n")
        for name, content in (more or {}).items():
            made.writestr(name, content)
    return path


def legacy(path: Path, pickled: bytes) -> Path:
    path.write_bytes(LEGACY_HEAD + pickled + pickle.dumps([], 2))
    return path


def enormous(path: Path) -> Path:
    """Says that its pickle holds a text of three gigabytes."""
    return archive(path, b"\x80\x02X" + struct.pack("<I", 3_000_000_000) + b"x.")


def overlapping(path: Path) -> Path:
    """Two members of the archive at one place, as zip bombs have them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("archive/data.pkl", pickle.dumps({}, 2))
        made.writestr("archive/data/0", b"\0" * 500)
        made.writestr("archive/data/1", b"\0" * 500)
        made.filelist[2].header_offset = made.filelist[1].header_offset
    path.write_bytes(buffer.getvalue())
    return path
