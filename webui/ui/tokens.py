"""How many tokens a prompt is, for the number beside it: CLIP's byte pair encoding, read from the checkpoint's own tokenizer.

Without torch and transformers. A checkpoint that brings no tokenizer (a single file) gets an estimate, and the page says so.
"""

import json
import re
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from webui.core.networks import cut
from webui.core.prompt import CHUNK, Token, chunks, limit, parse
from webui.core.records import ModelRecord
from webui.core.request import MAX_PROMPT, Frozen
from webui.library.vocabulary import clip_merges
from webui.studio import Studio

Merges = dict[tuple[str, str], int]  # pair → rank, the lowest joins first
_WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")  # CLIP's pattern, in terms of Python's `re`


class Question(Frozen):
    """A prompt as typed, weights and all."""

    checkpoint: str = Field("", max_length=300)
    text: str = Field("", max_length=MAX_PROMPT)


class Answer(Frozen):
    """`limit` is a multiple of 75: how many tokens fit into the chunks that the prompt takes."""

    tokens: int
    limit: int
    exact: bool


def router(studio: Studio) -> APIRouter:
    """`POST ui/tokens`, for the page alone."""
    made = APIRouter(include_in_schema=False)

    @made.post("/ui/tokens")
    async def tokens(question: Question) -> Answer:
        return await run_in_threadpool(answer, studio, question)

    return made


def answer(studio: Studio, question: Question) -> Answer:
    record = next((row for row in studio.checkpoints() if row.id == question.checkpoint), None)
    merges = merges_of(record) if record is not None else None
    found = [token for run in parse(cut(question.text).text) for token in _tokens(run.text, run.stop, merges)]
    used = sum(len(chunk) for chunk in chunks(found))
    return Answer(tokens=used, limit=max(CHUNK, limit(used)), exact=merges is not None)


def _tokens(text: str, stop: bool, merges: Merges | None) -> list[Token | None]:
    """One `Token` for each token of a run, None for a BREAK; ids are of no interest here."""
    if stop:
        return [None]
    words: list[Token | None] = []
    for word in _WORDS.findall(" ".join(text.lower().split())):
        words += [Token(0, comma=word == ",")] * (pieces(word, merges) if merges is not None else -(-len(word) // 6))
    return words


def merges_of(record: ModelRecord) -> Merges | None:
    """A checkpoint's own merges; of a single file CLIP's, which the engine uses for it. None where there are none."""
    folder = record.path / "tokenizer"
    for name in ("merges.txt", "tokenizer.json"):
        file = folder / name
        if record.layout == "diffusers" and file.is_file():
            return _read(file, file.stat().st_mtime_ns)
    return _clips() if record.layout == "single_file" else None


@lru_cache(maxsize=1)
def _clips() -> Merges | None:
    merges = clip_merges()
    return None if merges is None else {pair: rank for rank, pair in enumerate(merges)}


@lru_cache(maxsize=4)
def _read(file: Path, changed: int) -> Merges | None:  # `changed` makes a replaced file be read again
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".txt":
        lines = [line.split(" ") for line in text.splitlines() if line and not line.startswith("#version")]
        return {(pair[0], pair[1]): rank for rank, pair in enumerate(lines) if len(pair) == 2}
    rows = json.loads(text).get("model", {}).get("merges")
    if rows is None:
        return None
    pairs = [row.split(" ") if isinstance(row, str) else row for row in rows]
    return {(pair[0], pair[1]): rank for rank, pair in enumerate(pairs)}


def pieces(word: str, merges: Merges) -> int:
    """How many tokens one word becomes: bytes, joined pair by pair in the order of the merges (Sennrich et al. 2016)."""
    letters = [_BYTES[byte] for byte in word.encode("utf-8", "replace")]
    parts = [*letters[:-1], letters[-1] + "</w>"]
    while len(parts) > 1:
        pairs = [merges.get(pair, len(merges)) for pair in zip(parts, parts[1:], strict=False)]
        best = min(pairs)
        if best == len(merges):
            break
        joined: list[str] = []
        at = 0
        while at < len(parts):
            if at < len(pairs) and pairs[at] == best:
                joined.append(parts[at] + parts[at + 1])
                at += 2
            else:
                joined.append(parts[at])
                at += 1
        parts = joined
    return len(parts)


def _byte_letters() -> tuple[str, ...]:
    """GPT-2's letter for every byte: printable ones stand for themselves, the others follow from 256 on."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(256))


_BYTES = _byte_letters()
