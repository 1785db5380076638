"""A1111's attention grammar and its chunks of 75 tokens: pure text and arithmetic."""

import re
from collections.abc import Iterable
from typing import NamedTuple

CHUNK = 75  # tokens between the begin and the end mark
BACKTRACK = 20  # tokens: a phrase that begins within this many at a chunk's end moves to the next one
PER_BRACKET = 1.1
MAX_WEIGHT = 100.0  # beyond it a weight is held, so that any text has finite weights

_TOKEN = re.compile(
    r"""\\(?P<escaped>[()\[\]\\]) | \\
    | (?P<open>[(\[])
    | :\s*+(?P<weight>[+-]?(?:\d++\.?\d*+|\.\d++))\s*+\)
    | (?P<close>[)\]])
    | (?P<text>[^\\()\[\]:]++|:)""",
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")


class Run(NamedTuple):
    """Text with one weight. `stop` marks a BREAK: what follows begins a new chunk."""

    text: str
    weight: float = 1.0
    stop: bool = False


class Vector(NamedTuple):
    """One vector of an embedding: the word that stands for it, its place from 0, and how many the word has."""

    word: str
    place: int
    of: int


class Token(NamedTuple):
    """A token's id, the weight of the text that it came from, whether it is a comma, and what it is of an embedding."""

    id: int
    weight: float = 1.0
    comma: bool = False
    vector: Vector | None = None


class _Brackets:
    """Round and square brackets close each other's kind only, so their factors nest independently."""

    def __init__(self, factors: list[float]) -> None:
        self._factors = iter(factors)
        self._stacks = {"(": [1.0], "[": [1.0]}

    def open(self, kind: str) -> None:
        stack = self._stacks[kind]
        stack.append(max(-MAX_WEIGHT, min(MAX_WEIGHT, stack[-1] * next(self._factors))))

    def close(self, kind: str) -> None:
        self._stacks[kind].pop()

    @property
    def weight(self) -> float:
        product = self._stacks["("][-1] * self._stacks["["][-1]
        return max(-MAX_WEIGHT, min(MAX_WEIGHT, product))


def parse(text: str) -> list[Run]:
    """Runs of equal weight, in order; never raises, and an empty text is one empty run.

    `(x)` is 1.1, `[x]` 1/1.1, `(x:1.3)` 1.3, nesting multiplies, an unclosed bracket holds to the end, an unopened one is text.
    """
    pieces = _pieces(text)
    brackets = _Brackets(_factors(pieces))
    runs: list[Run] = []
    for kind, piece in pieces:
        if kind == "open":
            brackets.open(piece)
        elif kind == "close":
            brackets.close(piece)
        elif kind == "break":
            runs.append(Run("BREAK", -brackets.weight, True))
        elif runs and not runs[-1].stop and runs[-1].weight == brackets.weight:
            runs[-1] = Run(runs[-1].text + piece, brackets.weight)
        elif piece:
            runs.append(Run(piece, brackets.weight))
    return runs or [Run("")]


def _pieces(text: str) -> list[tuple[str, str]]:
    """Kind and content; a "close" always has an "open" before it, and its content is the bracket's kind or `(weight`."""
    pieces: list[tuple[str, str]] = []
    depth = {"(": 0, "[": 0}
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        found = match[kind] if kind else ""
        bracket = "[" if found == "]" else "("
        if kind == "open":
            depth[found] += 1
            pieces.append(("open", found))
        elif kind in ("close", "weight") and depth[bracket]:
            depth[bracket] -= 1
            if kind == "weight":
                pieces.append(("weight", found))
            pieces.append(("close", bracket))
        elif kind == "escaped":
            pieces.append(("text", found))
        elif kind is not None:
            pieces.extend(_split(match[0]))
    return pieces


def _split(text: str) -> Iterable[tuple[str, str]]:
    parts = _BREAK.split(text)
    for number, part in enumerate(parts):
        if number:
            yield "break", ""
            part = part.lstrip()
        yield "text", part if number == len(parts) - 1 else part.rstrip()


def _factors(pieces: list[tuple[str, str]]) -> list[float]:
    """One factor for each opening bracket; takes the "weight" pieces out of `pieces`."""
    factors: list[float] = []
    open_at: dict[str, list[int]] = {"(": [], "[": []}
    kept = []
    for kind, piece in pieces:
        if kind == "open":
            open_at[piece].append(len(factors))
            factors.append(PER_BRACKET if piece == "(" else 1 / PER_BRACKET)
        elif kind == "weight":
            factors[open_at["("][-1]] = float(piece)
            continue
        elif kind == "close":
            open_at[piece].pop()
        kept.append((kind, piece))
    pieces[:] = kept
    return factors


def chunks(tokens: Iterable[Token | None], size: int = CHUNK, backtrack: int = BACKTRACK) -> list[list[Token]]:
    """Tokens in chunks of at most `size`, at least one chunk; None is a BREAK.

    Where a chunk is full within a phrase, and a comma stands among its last `backtrack` tokens, the phrase moves on whole.
    An embedding that does not fit closes its chunk: its vectors (at most `size`) stay together.
    """
    done: list[list[Token]] = []
    current: list[Token] = []
    comma = -1  # index in `current`
    for token in tokens:
        if token is None:
            done.append(current)
            current, comma = [], -1
            continue
        if len(current) == size:
            keep = comma + 1 if not token.comma and comma >= 0 and size - comma <= backtrack else size
            done.append(current[:keep])
            current, comma = current[keep:], -1
        if token.vector is not None and token.vector.place == 0 and len(current) + token.vector.of > size:
            done.append(current)
            current, comma = [], -1
        if token.comma:
            comma = len(current)
        current.append(token)
    if current or not done:
        done.append(current)
    return done


def limit(tokens: int, size: int = CHUNK) -> int:
    """How many tokens fit into the chunks that `tokens` need: 75, 150, … for the label “80 / 150”."""
    return size * max(1, -(-tokens // size))
