"""`Engine`: one device that turns a request into images. Nothing across this seam is a path on this disk."""

from collections.abc import Callable, Iterator
from typing import Protocol

from webui.core.events import EngineEvent
from webui.core.parts import EngineState
from webui.core.request import GenerationRequest


class Engine(Protocol):
    """Held to one contract by `tests/engine/test_contract.py`. One `run` at a time; other calls may come from any thread."""

    def run(self, request: GenerationRequest, *, first: int = 0, cancelled: Callable[[], bool]) -> Iterator[EngineEvent]:
        """Make pictures `first` … `count - 1`, in order: `Loading`*, then for each picture `Step`* and one `Produced`.

        `cancelled` is asked at least once a step; when true, `Cancelled` is raised within one step, without a decode.
        Raises `UserError` for what can never work, `EngineError` for what may work when tried again
        (`EngineDied` when the engine's process ended: the next call starts a new one).
        """
        ...

    def warm(self, checkpoint: str) -> None:
        """Start bringing a checkpoint to memory in the background; returns at once, failures show in `state()`."""
        ...

    def state(self) -> EngineState:
        """What it is doing; never blocks."""
        ...

    def unload(self) -> None:
        """Drop all weights; the next run loads them again."""
        ...

    def close(self) -> None:
        """End it, within 2 s, even while it runs. Idempotent."""
        ...
