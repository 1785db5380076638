"""Rows of figures: a table for the person, JSON for the next run to compare with."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from webui import __version__


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `limit` is what the project promises; None where it promises nothing."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    detail: str = ""

    @property
    def kept(self) -> bool | None:
        return None if self.limit is None else self.value <= self.limit


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall clock that `action` takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def interleaved(actions: Sequence[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each action, `rounds` times in turn, so that a slow moment of the machine hits all alike."""
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(rounds):
        for index, action in enumerate(actions):
            seconds[index].append(timed(action))
    return seconds


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of neighbouring runs: steadier than the ratio of medians on a busy machine."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def table(figures: Sequence[Figure]) -> str:
    """Aligned text, one figure a line, with the promise beside it."""
    width = max((len(figure.name) for figure in figures), default=0)
    lines = []
    for figure in figures:
        promise = "" if figure.limit is None else f"  {'ok  ' if figure.kept else 'OVER'} ≤ {figure.limit:g} {figure.unit}"
        detail = f"  ({figure.detail})" if figure.detail else ""
        lines.append(f"{figure.name:<{width}}  {figure.value:>10.3f} {figure.unit:<5}{promise}{detail}".rstrip())
    return "\n".join(lines)


def write_json(path: Path, figures: Sequence[Figure]) -> None:
    """The figures with the machine that they were measured on."""
    machine = {
        "gesso": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, "figures": [asdict(figure) for figure in figures]}, indent=2), encoding="utf-8")
