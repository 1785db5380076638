"""The texts inside a picture file, read without decoding a pixel, from files that anyone may have made.

PNG: `tEXt`, `zTXt`, `iTXt` (PNG 1.2, 4.2.3). JPEG and WebP: Exif's UserComment (Exif 2.3, 4.6.5).
"""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, NamedTuple

from webui.core.errors import BadImage

MAX_BYTES = 256 * 1024 * 1024  # of a file that is handed in
MAX_PIXELS = 64_000_000
MAX_TEXT = 4 * 1024 * 1024  # bytes of all texts in a file, unpacked
MAX_CHUNKS = 500_000  # 8 kB each, of the largest file
MAX_INFOTEXT = 200_000  # characters; ten times the longest prompt
PNG = b"\x89PNG\r\n\x1a\n"

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286


class Texts(NamedTuple):
    """`width` and `height` in px, 0 where they were not needed; `texts` by keyword, Exif's as `parameters`."""

    width: int
    height: int
    texts: dict[str, str]


def read_bytes(data: bytes) -> Texts:
    """Raises `BadImage` when it is no PNG, JPEG or WebP, is damaged, or is larger than can be read."""
    if len(data) > MAX_BYTES:
        raise BadImage(f"This file has {len(data) // 2**20} MB; at most {MAX_BYTES // 2**20} MB can be read.")
    if data.startswith(PNG):
        return read_png(BytesIO(data))
    if data.startswith(b"\xff\xd8\xff"):
        return _of_exif(_jpeg_exif(data))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _of_exif(_webp_exif(data))
    raise BadImage("This is not a PNG, JPEG or WebP picture.")


# --- PNG ---


def read_png(file: BinaryIO) -> Texts:
    """Skips over the pixels, so that a large picture is read as fast as a small one. Raises `BadImage`, `OSError`."""
    if file.read(len(PNG)) != PNG:
        raise BadImage("This is not a PNG picture.")
    texts: dict[str, str] = {}
    size = (0, 0)
    left = MAX_TEXT
    for kind, content in _png_chunks(file):
        if kind == b"IHDR":
            size = _png_size(content)
        elif size == (0, 0):
            raise BadImage("This PNG does not start with its size.")
        else:
            keyword, text = _png_text(kind, content, left)
            left -= len(text)
            texts.setdefault(keyword, text)
    if size == (0, 0):
        raise BadImage("This PNG is damaged: it has no size.")
    return Texts(*size, texts)


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """IHDR and the texts; raises at a file that ends before IEND."""
    seen = 0
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            raise BadImage("This PNG is cut off. Copy or download it again.")
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"IEND":
            return
        if kind not in (b"IHDR", b"tEXt", b"zTXt", b"iTXt"):
            file.seek(length + 4, 1)
            continue
        seen += length
        if seen > MAX_TEXT:
            raise BadImage(f"The texts in this PNG are larger than {MAX_TEXT // 2**20} MB.")
        content = file.read(length)
        if len(content) < length or file.read(4) != zlib.crc32(content, zlib.crc32(kind)).to_bytes(4, "big"):
            raise BadImage("This PNG is damaged. Copy or download it again.")
        yield kind, content
    raise BadImage("This PNG is in more pieces than any program makes.")


def _png_size(content: bytes) -> tuple[int, int]:
    if len(content) != 13:
        raise BadImage("This PNG is damaged: its size cannot be read.")
    width, height = struct.unpack(">II", content[:8])
    if not width or not height:
        raise BadImage("This PNG is damaged: it has no size.")
    if width * height > MAX_PIXELS:
        raise BadImage(f"This picture has {width} × {height} pixels; at most {MAX_PIXELS // 1_000_000} million can be read.")
    return width, height


def _png_text(kind: bytes, content: bytes, left: int) -> tuple[str, str]:
    keyword, _, rest = content.partition(b"\0")
    name = keyword.decode("latin-1")
    if kind == b"tEXt":
        return name, rest.decode("latin-1")
    if kind == b"zTXt":
        return name, _unpack(rest[1:], left).decode("latin-1")
    packed, tail = rest[:1] == b"\1", rest[2:]
    text = tail.partition(b"\0")[2].partition(b"\0")[2]  # after the language and the translated keyword
    return name, (_unpack(text, left) if packed else text).decode("utf-8", "replace")


def _unpack(packed: bytes, left: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, left + 1)
    except zlib.error:
        raise BadImage("This PNG is damaged: a text in it cannot be unpacked.") from None
    if len(text) > left:
        raise BadImage(f"The texts in this PNG are larger than {MAX_TEXT // 2**20} MB.")
    return text


# --- Exif ---


def _jpeg_exif(data: bytes) -> bytes:
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xE1 and data[position + 4 : position + 10] == b"Exif\0\0":
            return data[position + 10 : position + 2 + length]
        if marker in (0xDA, 0xD9) or length < 2:  # the pixels, or the end
            return b""
        position += 2 + length
    return b""


def _webp_exif(data: bytes) -> bytes:
    position = 12
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] == b"EXIF":
            return data[position + 8 : position + 8 + length].removeprefix(b"Exif\0\0")
        position += 8 + length + length % 2
    return b""


def _of_exif(exif: bytes) -> Texts:
    if len(exif) > MAX_TEXT:
        raise BadImage(f"The texts in this picture are larger than {MAX_TEXT // 2**20} MB.")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    comment = b""
    if order is not None:
        inner = _tag(exif, order, _number(exif, order, 4), _EXIF_IFD)
        place = None if inner is None else _tag(exif, order, inner[1], _USER_COMMENT)
        if place is not None and place[0] > 4:
            comment = exif[place[1] : place[1] + place[0]]
    text = _comment_text(comment, order or ">")
    return Texts(0, 0, {"parameters": text} if text else {})


def _number(data: bytes, order: str, at: int, size: str = "I") -> int:
    width = struct.calcsize(size)
    part = data[at : at + width]
    return int(struct.unpack(order + size, part)[0]) if len(part) == width else 0


def _tag(exif: bytes, order: str, directory: int, wanted: int) -> tuple[int, int] | None:
    """(count, value or offset) of a tag in the directory at that offset."""
    if not 8 <= directory <= len(exif) - 2:
        return None
    for entry in range(min(_number(exif, order, directory, "H"), 1000)):
        at = directory + 2 + 12 * entry
        if _number(exif, order, at, "H") == wanted:
            return _number(exif, order, at + 4), _number(exif, order, at + 8)
    return None


def _comment_text(comment: bytes, order: str) -> str:
    """The first eight bytes name the code; “UNICODE” is UTF-16 in whichever order, which the zeros of plain letters tell."""
    code, text = comment[:8], comment[8:]
    if code == b"UNICODE\0":
        if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return text.decode("utf-16", "replace")
        high, low = text[0::2].count(0), text[1::2].count(0)
        big = high > low if high != low else order == ">"
        return text.decode("utf-16-be" if big else "utf-16-le", "replace")
    if code in (b"ASCII\0\0\0", b"\0" * 8):
        return text.rstrip(b"\0").decode("utf-8", "replace")
    return comment.rstrip(b"\0").decode("utf-8", "replace")
