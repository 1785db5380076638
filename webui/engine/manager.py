"""`PipelineManager`: pipelines in memory within a budget, the longest unused leaving first. Runs without torch."""

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """Which components on which device: equal specs share a pipeline. Names no prompt and no LoRA."""

    checkpoint: str  # ModelRecord.id
    device: str
    precision: str
    stamp: str = ""  # changes when the files do
    bytes: int = field(default=0, compare=False)  # what it is expected to take


@dataclass(slots=True)
class _Loaded(Generic[P]):
    pipeline: P
    bytes: int
    borrowers: int = 0


class PipelineManager(Generic[P]):
    """Thread-safe. One load at a time; `loaded` and `used` never wait for it."""

    def __init__(self, load: Callable[[PipelineSpec], P], size: Callable[[P], int], budget: int) -> None:
        """`budget` is in bytes. A pipeline that is larger alone is still loaded: better slow than not at all."""
        self._load = load
        self._size = size
        self.budget = budget
        self._lock = threading.RLock()
        self._pipelines: dict[PipelineSpec, _Loaded[P]] = {}  # the longest unused first
        self._names: tuple[str, ...] = ()
        self._bytes = 0

    @contextmanager
    def borrow(self, spec: PipelineSpec) -> Iterator[P]:
        """The pipeline, loaded if need be; it stays until the last borrower leaves."""
        with self._lock:
            entry = self._pipelines.pop(spec, None)
            if entry is None:
                self._evict(spec.bytes)
                pipeline = self._load(spec)
                entry = _Loaded(pipeline, self._size(pipeline))
                del pipeline
            self._pipelines[spec] = entry
            entry.borrowers += 1
            self._evict(0)
            self._note()
        try:
            yield entry.pipeline
        finally:
            with self._lock:
                entry.borrowers -= 1

    def __contains__(self, spec: PipelineSpec) -> bool:
        return spec in self._pipelines

    def _evict(self, coming: int) -> None:
        """Let go of what is not borrowed until `coming` more bytes fit."""
        for spec in [spec for spec, entry in self._pipelines.items() if not entry.borrowers]:
            if sum(entry.bytes for entry in self._pipelines.values()) + coming <= self.budget:
                break
            _log.info("%s leaves memory", spec.checkpoint)
            del self._pipelines[spec]
            gc.collect()  # networks hold themselves in cycles
        self._note()

    def clear(self) -> None:
        """Let go of everything that is not borrowed."""
        with self._lock:
            for spec in [spec for spec, entry in self._pipelines.items() if not entry.borrowers]:
                del self._pipelines[spec]
            gc.collect()
            self._note()

    def _note(self) -> None:
        self._names = tuple(spec.checkpoint for spec in reversed(self._pipelines))
        self._bytes = sum(entry.bytes for entry in self._pipelines.values())

    @property
    def loaded(self) -> tuple[str, ...]:
        """Checkpoints in memory, the last used first."""
        return self._names

    @property
    def used(self) -> int:
        """Bytes that pipelines take."""
        return self._bytes
