"""Drawn scenes kept on disk: pictures as bytes, one memory-mapped file per size."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from webui.starter.loop import Report
from webui.starter.scenes import SIZES, draw, sample

Bytes = NDArray[np.uint8]
Size = tuple[int, int]  # width, height
HELD_OUT = 90_000_000  # seeds from here on are never trained on


def seeds_of(size: Size, count: int) -> range:
    """The seeds of the training scenes of one size; sizes share no scene."""
    start = SIZES.index(size) * 10_000_000
    return range(start, start + count)


def _draw_many(seeds: tuple[int, ...], size: Size) -> Bytes:
    return np.stack([np.asarray(draw(sample(seed), size)) for seed in seeds])


def draw_all(seeds: range, size: Size, workers: int) -> Iterator[Bytes]:
    """Draw scenes in `workers` processes, in order, a few dozen at a time."""
    groups = [tuple(seeds[i : i + 64]) for i in range(0, len(seeds), 64)]
    if workers <= 1:
        yield from (_draw_many(group, size) for group in groups)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_draw_many, groups, [size] * len(groups))


def pictures(folder: Path, size: Size, count: int, report: Report, workers: int = 2) -> Bytes:
    """`count` training pictures, count × height × width × 3, drawn once and then read from disk."""
    path = folder / f"pictures-{size[0]}x{size[1]}-{count}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        report(f"drawing {count} scenes at {size[0]}x{size[1]}")
        part = path.with_suffix(".part")
        store = np.lib.format.open_memmap(part, "w+", np.uint8, (count, size[1], size[0], 3))
        done = 0
        for group in draw_all(seeds_of(size, count), size, workers):
            store[done : done + len(group)] = group
            done += len(group)
        store.flush()
        part.replace(path)
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]  # numpy types load as Any
