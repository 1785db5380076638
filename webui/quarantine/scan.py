"""Looks at a pickled weight file without opening it as one: its container, and every pickle in it."""

import io
import os
import re
import stat
import zipfile
from pathlib import Path
from typing import BinaryIO, Literal

from webui.core.errors import LoadFailed
from webui.core.request import Frozen
from webui.library.header import read_header
from webui.quarantine.opcodes import MAX_PICKLE, Unfit, read_pickle

MAX_ENTRIES = 200_000  # tensors in an archive
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # torch/serialization.py: the first pickle of a file from before 1.6
LEGACY_PROTOCOL = 1001
LOCAL_HEADER = 30  # bytes before the name of an archive's member
_MEMBER = re.compile(  # what torch.save writes, below one folder
    r"(?P<root>[^/]+)/(?:data\.pkl|data/\d+|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id)"
)


class Verdict(Frozen):
    """What the look at a file says. A file that is fit may still be refused by the process that opens it."""

    fit: bool
    sentence: str  # for the person at the screen
    forbidden: str = ""  # the first global that weights never need, if there is one
    globals: tuple[str, ...] = ()  # all that it would call when opened
    container: Literal["archive", "legacy", ""] = ""


def examine(path: Path) -> Verdict:
    """The verdict on a file, which is only read. Raises `OSError` when it cannot be."""
    try:
        with open_plain(path) as file:
            return examine_open(file, path.name)
    except Unfit as unfit:
        return Verdict(fit=False, sentence=f"{path.name} {unfit}", forbidden=unfit.name)


def open_plain(path: Path) -> BinaryIO:
    """The file itself, not what a link leads to: what was looked at is then what is converted. Raises `Unfit`, `OSError`."""
    if path.is_symlink():
        raise Unfit("is a link. Convert the file that it leads to.")
    if not stat.S_ISREG(path.lstat().st_mode):
        raise Unfit("is not a file.")
    file = path.open("rb")
    if not os.path.samestat(path.lstat(), os.fstat(file.fileno())):
        file.close()
        raise Unfit("was replaced while it was being opened. Try again.")
    return file


def examine_open(file: BinaryIO, name: str) -> Verdict:
    """The same for a file that is open, from its first byte on."""
    try:
        start = file.read(4)
        file.seek(0)
        if start == b"PK\x03\x04":
            found, container = _archive(file), "archive"
        elif start[:1] == b"\x80":
            found, container = _legacy(file), "legacy"
        else:
            raise Unfit(_other(start, name, file))
    except Unfit as unfit:
        return Verdict(fit=False, sentence=f"{name} {unfit}", forbidden=unfit.name)
    sentence = f"{name} calls nothing when it is opened but what puts tensors together."
    return Verdict(fit=True, sentence=sentence, globals=found, container="archive" if container == "archive" else "legacy")


def _other(start: bytes, name: str, file: BinaryIO) -> str:
    if not start:
        return "is empty. Copy or download it again."
    try:
        read_header(Path(str(file.name)))
    except (LoadFailed, OSError):
        return "is not a weight file of PyTorch's, whatever its name says. It is not opened."
    return f"is a safetensors file under a wrong name. Rename it to {Path(name).stem}.safetensors."


def _archive(file: BinaryIO) -> tuple[str, ...]:
    """A zip as torch.save writes it. Anything else about it is a reason to leave it alone."""
    size = file.seek(0, io.SEEK_END)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_members(members, size)
            (pickled,) = (member for member in members if member.filename.endswith("/data.pkl"))
            if pickled.file_size > MAX_PICKLE:
                raise Unfit(f"holds a pickle of more than {MAX_PICKLE // 1_000_000} MB, which no weights have. It is not opened.")
            text = archive.read(pickled)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OverflowError) as error:
        raise Unfit("is damaged or cut off: its archive cannot be read. Copy or download it again.") from error
    stream = io.BytesIO(text)
    found = read_pickle(stream).globals
    if stream.read(1):
        raise Unfit("holds a second pickle behind the first. It is not opened.")
    return found


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    if len(members) > MAX_ENTRIES:
        raise Unfit(f"holds more than {MAX_ENTRIES:,} parts. It is not opened.")
    names = [member.filename for member in members]
    if any("constants.pkl" in name or "/code/" in name for name in names):
        raise Unfit("is a program (TorchScript), not weights. It is not opened.")
    roots = {found["root"] if (found := _MEMBER.fullmatch(name)) else None for name in names}
    if len(roots) != 1 or None in roots or len(set(names)) != len(names) or sum(name.endswith("/data.pkl") for name in names) != 1:
        raise Unfit("holds something else than PyTorch's weight files do. It is not opened.")
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size or member.flag_bits & 1:
            raise Unfit("is packed or locked, which PyTorch's weight files never are; it may swell when opened. It is not opened.")
        if member.header_offset < end:
            raise Unfit("has parts that lie over one another. It is not opened.")
        end = member.header_offset + LOCAL_HEADER + len(member.filename.encode()) + member.file_size
    if end > size:
        raise Unfit("is cut off. Copy or download it again.")


def _legacy(file: BinaryIO) -> tuple[str, ...]:
    """A file from before PyTorch 1.6: a number, a number, the machine's facts, the object, its storages' names, their bytes."""
    for number in (LEGACY_MAGIC, LEGACY_PROTOCOL):
        seen = read_pickle(file)
        if seen.last != number or seen.globals:
            raise Unfit("is a pickle, but not a weight file of PyTorch's. It is not opened.")
    rest = [read_pickle(file) for _ in ("machine", "object", "storages")]
    return tuple(dict.fromkeys(name for seen in rest for name in seen.globals))
