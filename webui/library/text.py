"""Text that came out of a file, fit to be stored, sent and shown: no control characters, no half characters, not too long."""

import re

_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)  # also marks that reorder text


def clean(text: str, most: int) -> str:
    """At most `most` characters; what is left out at the end is told by “…”."""
    whole = text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text  # lone surrogates, which JSON can write
    made = _UNFIT.sub("", whole[: 2 * most]).strip()
    return made if len(made) <= most and len(whole) <= 2 * most else made[: most - 1].rstrip() + "…"


def line(text: str, most: int) -> str:
    """The same, on one line."""
    return clean(" ".join(text[: 2 * most].split()), most)
