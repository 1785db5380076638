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
    """Thread-safe. A load holds up those who want the same pipeline, or one that does not fit beside it, and nobody else."""

    def __init__(self, load: Callable[[PipelineSpec], P], size: Callable[[P], int], budget: int) -> None:
        """`budget` is in bytes. A pipeline that is larger alone is still loaded: better slow than not at all."""
        self._load = load
        self._size = size
        self.budget = budget
        self._changed = threading.Condition()
        self._pipelines: dict[PipelineSpec, _Loaded[P]] = {}  # the longest unused first
        self._loading: dict[PipelineSpec, int] = {}  # on their way, and the bytes that they are expected to take
        self._names: tuple[str, ...] = ()
        self._bytes = 0

    @contextmanager
    def borrow(self, spec: PipelineSpec) -> Iterator[P]:
        """The pipeline, loaded if need be; it stays until the last borrower leaves."""
        with self._changed:
            self._changed.wait_for(lambda: spec in self._pipelines or self._room(spec, sum(self._loading.values())))
            found = self._found(spec)
        entry = found or self._fetched(spec)
        try:
            yield entry.pipeline
        finally:
            with self._changed:
                entry.borrowers -= 1
                entry.bytes = self._size(entry.pipeline)  # LoRAs keep originals
                self._note()

    def bring(self, spec: PipelineSpec) -> bool:
        """Load it ahead of its use. False, and nothing is done, where it does not fit beside what is borrowed or on its way."""
        with self._changed:
            if spec in self._pipelines:
                self._pipelines[spec] = self._pipelines.pop(spec)  # now the last used
                self._note()
            if spec in self._pipelines or spec in self._loading:
                return True
            borrowed = sum(entry.bytes for entry in self._pipelines.values() if entry.borrowers)
            if not self._room(spec, borrowed + sum(self._loading.values())):
                return False
            self._loading[spec] = spec.bytes
            self._evict()
        entry = self._fetched(spec)
        with self._changed:
            entry.borrowers -= 1
        return True

    def _room(self, spec: PipelineSpec, held: int) -> bool:
        """Whether nobody loads it yet, and it fits beside `held` bytes; alone it always does."""
        return spec not in self._loading and (not held or held + spec.bytes <= self.budget)

    def _found(self, spec: PipelineSpec) -> _Loaded[P] | None:
        """The entry with one more borrower, now the last used; or None, and it is on its way."""
        entry = self._pipelines.pop(spec, None)
        if entry is None:
            self._loading[spec] = spec.bytes
        else:
            self._pipelines[spec] = entry
            entry.borrowers += 1
        self._evict()
        return entry

    def _fetched(self, spec: PipelineSpec) -> _Loaded[P]:
        """Load what was noted as on its way, for its first borrower; without the lock, since it may take minutes."""
        entry: _Loaded[P] | None = None
        try:
            pipeline = self._load(spec)
            entry = _Loaded(pipeline, self._size(pipeline), borrowers=1)
            return entry
        finally:
            with self._changed:
                del self._loading[spec]
                if entry is not None:
                    self._pipelines[spec] = entry
                self._evict()
                self._changed.notify_all()

    def __contains__(self, spec: PipelineSpec) -> bool:
        return spec in self._pipelines

    def _evict(self) -> None:
        """Let go of what is not borrowed until the rest fits, with what is on its way."""
        for spec in [spec for spec, entry in self._pipelines.items() if not entry.borrowers]:
            if sum(entry.bytes for entry in self._pipelines.values()) + sum(self._loading.values()) <= self.budget:
                break
            _log.info("%s leaves memory", spec.checkpoint)
            del self._pipelines[spec]
            gc.collect()  # networks hold themselves in cycles
        self._note()

    def clear(self) -> None:
        """Let go of everything that is not borrowed."""
        with self._changed:
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
