"""A1111's `parameters` text: a prompt, a negative prompt and a line of `Key: value` fields, written and read by its rules.

Behaviour of A1111 1.10, as its files must be read and ours be readable there; see https://github.com/AUTOMATIC1111/stable-diffusion-webui.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import Field

from webui.core.request import Frozen

NEGATIVE = "Negative prompt:"
TRAILERS = ("Template:", "Negative Template:")  # lines that the dynamic-prompts extension adds after the fields
LEAST_FIELDS = 3  # a line with fewer belongs to the prompt

_RUN = re.compile(r"[\w \-/]+")  # where a key may be; tried run by run, so that reading stays linear
_KEY = re.compile(r"\w[\w \-/]+")
_SPACES = re.compile(r"\s*")
_QUOTED = re.compile(r'"(?:\\.|[^\\"])+"(?=,|$)')
_SIZE = re.compile(r"(\d{1,9})x(\d{1,9})", re.ASCII)


class Infotext(Frozen):
    """What such a text says. `fields` are in the order in which they stand; `trailer` are lines after them."""

    prompt: str = ""
    negative_prompt: str = ""
    fields: dict[str, str] = Field(default_factory=dict)
    trailer: str = ""

    def pair(self, key: str) -> tuple[int, int] | None:
        """A field like `Size: 512x768` as numbers; None where it is absent or something else."""
        found = _SIZE.fullmatch(self.fields.get(key, ""))
        return (int(found[1]), int(found[2])) if found else None

    def flat(self) -> dict[str, str]:
        """The fields as A1111's programs name them: `Size: 512x768` is `Size-1` and `Size-2`."""
        made: dict[str, str] = {}
        for key, value in self.fields.items():
            pair = self.pair(key)
            made |= {key: value} if pair is None else {f"{key}-1": str(pair[0]), f"{key}-2": str(pair[1])}
        return made


class _Line(NamedTuple):
    number: int
    fields: dict[str, str]


def write(infotext: Infotext) -> str:
    """The text A1111 would write; read back by `parse`, but for white space around the prompts' lines.

    A prompt that itself has a line starting with `Negative prompt:` cannot be told apart in this grammar.
    """
    negative = f"{NEGATIVE} {infotext.negative_prompt}" if infotext.negative_prompt else ""
    fields = ", ".join(key if key == value else f"{key}: {quote(value)}" for key, value in infotext.fields.items())
    return "\n".join(part for part in (infotext.prompt, negative, fields, infotext.trailer) if part).strip()


def quote(value: str) -> str:
    """In JSON's quotes where a comma, a colon or a line break is in it, or where it would not be read back without."""
    plain = not any(mark in value for mark in ",:\n") and value == value.strip() and not (value.startswith('"') and value.endswith('"'))
    return value if plain else json.dumps(value, ensure_ascii=False)


def unquote(text: str) -> str:
    """What `quote` was given; what is no JSON string stays as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    try:
        value = json.loads(text)
        value.encode()  # an escape may stand for half a character, which could be neither stored nor shown
    except ValueError:
        return text
    return str(value)


def parse(text: str) -> Infotext:
    """Reads any text, and never raises: one without a line of fields is all prompt."""
    lines = text.strip().split("\n")
    found = _field_line(lines)
    prompt, negative = _prompts(lines[: found.number] if found else lines)
    if found is None:
        return Infotext(prompt=prompt, negative_prompt=negative)
    trailer = "\n".join(lines[found.number + 1 :])
    return Infotext(prompt=prompt, negative_prompt=negative, fields=found.fields, trailer=trailer)


def _field_line(lines: list[str]) -> _Line | None:
    """The last line, or one that is followed by a trailer, with three fields or more."""
    for index in range(len(lines) - 1, -1, -1):
        if index == len(lines) - 1 or lines[index + 1].startswith(TRAILERS):
            fields = list(_fields(lines[index]))
            if len(fields) >= LEAST_FIELDS:
                return _Line(index, dict(fields))
    return None


def _fields(line: str) -> Iterator[tuple[str, str]]:
    position = 0
    while run := _RUN.search(line, position):
        position = run.end()
        key = _KEY.search(run[0])
        if key is None or not line.startswith(":", position):
            continue
        start = _SPACES.match(line, position + 1).end()  # type: ignore[union-attr]  # no spaces match too
        quoted = _QUOTED.match(line, start)
        comma = line.find(",", start) if quoted is None else quoted.end()
        end = len(line) if comma < 0 else comma
        yield key[0].rstrip(), unquote(line[start:end])
        position = end


def _prompts(lines: list[str]) -> tuple[str, str]:
    parts: tuple[list[str], list[str]] = ([], [])
    now = 0
    for raw in lines:
        line = raw.strip()
        if line.startswith(NEGATIVE):
            now, line = 1, line[len(NEGATIVE) :].strip()
        if line or parts[now]:  # blank lines before the first word are no part of a prompt
            parts[now].append(line)
    return "\n".join(parts[0]), "\n".join(parts[1])


def of_image(prompt: str, negative_prompt: str, known: Mapping[str, object]) -> Infotext:
    """An infotext of values: None is left out, a whole number is written without a point."""
    fields = {key: _plain(value) for key, value in known.items() if value is not None}
    return Infotext(prompt=prompt, negative_prompt=negative_prompt, fields=fields)


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
