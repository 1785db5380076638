"""CLIP's vocabulary, for checkpoints that bring none: its list of merges lies in the package open_clip_torch, no line of which is run."""

import gzip
import importlib.util
from functools import lru_cache
from pathlib import Path

PACKAGE = "open_clip"
FILE = "bpe_simple_vocab_16e6.txt.gz"
COUNT = 49152 - 256 - 2  # how many of the file's merges CLIP uses; it lists some hundred thousand more


@lru_cache(maxsize=1)
def clip_merges() -> tuple[tuple[str, str], ...] | None:
    """Pairs in the order in which they join (Sennrich et al. 2016), or None where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    packed = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if packed is None or not packed.is_file():
        return None
    lines = gzip.decompress(packed.read_bytes()).decode("utf-8").split("\n")[1 : COUNT + 1]
    return tuple((first, second) for first, _, second in (line.partition(" ") for line in lines))
