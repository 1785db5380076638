"""What a header says a file is: its kind and family, by the tables in `signs`; where they say nothing, so does this."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from webui.core.records import Kind
from webui.library.header import Header
from webui.library.loras import modules_of
from webui.library.signs import CLAIMS, FAMILY_LABELS, FAMILY_ROWS, HERE, KIND_LABELS, KIND_ROWS, KindRow, Shape, Sign

MAX_NAME = 300  # characters of a tensor's name that are looked at
_INDEX = re.compile(r"(?<![^._])[1-9]\d*(?![^._])")
_SIGNS: tuple[Sign, ...] = tuple(
    dict.fromkeys(
        [
            *(sign for row in KIND_ROWS for sign in (*row.needs, *row.bars)),
            *(sign for family in FAMILY_ROWS for sign in (family.sign, family.unless) if sign is not None),
        ]
    )
)
_PATTERNS: tuple[tuple[re.Pattern[str], tuple[Sign, ...]], ...] = tuple(
    (re.compile(name), tuple(sign for sign in _SIGNS if sign.name == name)) for name in dict.fromkeys(sign.name for sign in _SIGNS)
)


class Told(NamedTuple):
    """`kind` None: the header does not say, or says that it is nothing for this program; `problem` says which."""

    kind: Kind | None
    variant: str = ""
    fits: tuple[str, ...] = ()  # the families that it may be of, all of which its shapes fit
    problem: str = ""

    @property
    def family(self) -> str | None:
        return self.fits[0] if len(self.fits) == 1 else None


def tell(header: Header) -> Told:
    """The kind and family of a file of safetensors. Never a guess: two kinds at once are none, and no family is none."""
    shown = signs_of((name, tensor.shape) for name, tensor in header.tensors.items())
    rows = [row for row in KIND_ROWS if _holds(row, shown, len(header.tensors))]
    if not rows:
        return Told(None, problem="Its tensors are of no kind that is known here.")
    kinds = tuple(dict.fromkeys(row.kind for row in rows))
    if len(kinds) > 1:
        several = " and of ".join(KIND_LABELS[row] if row else next(other.variant for other in rows if other.kind is None) for row in kinds)
        return Told(None, problem=f"Its tensors are those of {several} at once, so it is taken for neither.")
    first = rows[0]
    if first.kind is None:
        return Told(None, problem=f"It is {first.variant}, which is not used here.")
    if first.family is not None:
        return Told(first.kind, first.variant, (first.family,))
    if first.kind == "lora":
        shown = signs_of((module.name, module.shape) for module in modules_of(header))
    return _family(first.kind, first.variant, shown, header.metadata)


def _holds(row: KindRow, shown: set[Sign], count: int) -> bool:
    return shown.issuperset(row.needs) and shown.isdisjoint(row.bars) and (count == 1 or not row.alone)


def _family(kind: Kind, variant: str, shown: set[Sign], metadata: Mapping[str, str]) -> Told:
    rows = [row for row in FAMILY_ROWS if kind in row.kinds and row.sign in shown and (row.unless is None or row.unless not in shown)]
    if not rows:
        return Told(kind, variant, problem=f"It is {KIND_LABELS[kind]} ({variant}) of no family that is known here.")
    left = [family for family in rows[0].families if all(family in row.families for row in rows)]
    if not left:
        several = ", ".join(dict.fromkeys(FAMILY_LABELS[family] for row in rows for family in row.families))
        return Told(kind, variant, problem=f"Its tensors do not fit together: they are those of {several}.")
    claimed = {claim.family for claim in CLAIMS if _claims(metadata, claim.key, claim.value)} & set(left)
    if len(claimed) == 1:
        left = list(claimed)
    if not set(left) <= set(HERE):
        named = " or ".join(FAMILY_LABELS[family] for family in left)
        return Told(kind, variant, problem=f"It is {KIND_LABELS[kind]} ({variant}) for {named}, which cannot be used here.")
    return Told(kind, variant, tuple(left))


def _claims(metadata: Mapping[str, str], key: str, value: str) -> bool:
    return re.match(value, metadata.get(key, "")[:200], re.IGNORECASE) is not None


def signs_of(tensors: Iterable[tuple[str, Shape]]) -> set[Sign]:
    """All signs that some tensor shows."""
    shown: set[Sign] = set()
    for signs, shape in dict.fromkeys((_named(name[:MAX_NAME]), shape) for name, shape in tensors):
        shown.update(sign for sign in signs if sign.shape is None or fits(sign.shape, shape))
    return shown


@lru_cache(maxsize=50_000)
def _named(name: str) -> tuple[Sign, ...]:
    """The signs whose name this is. Names recur from file to file, so that a second LoRA of a family costs little."""
    return _written(_INDEX.sub("N", name))


@lru_cache(maxsize=20_000)
def _written(name: str) -> tuple[Sign, ...]:
    return tuple(sign for pattern, signs in _PATTERNS if pattern.search(name) for sign in signs)


def fits(sign: Shape, real: Shape) -> bool:
    """Whether a shape is that of a sign, where None is any side."""
    return len(sign) == len(real) and all(side in (None, actual) for side, actual in zip(sign, real, strict=True))
