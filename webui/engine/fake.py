"""`FakeEngine`: flat colours by seed, in milliseconds and without torch; for tests, and for work on the page."""

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from typing import Literal

from PIL import Image

from webui.core.errors import Cancelled, EngineDied, EngineError
from webui.core.events import EngineEvent, Loading, Produced, Step
from webui.core.networks import cut
from webui.core.parts import EngineState
from webui.core.request import BUILT_IN, GenerationRequest

PREVIEW_SIDE = 64  # px, the longer side
GREY = (128, 128, 128)


class FakeEngine:
    """Waits `delay` seconds a step and `load_delay` for a checkpoint; raises `fault` when it reaches picture `fail_at`.

    The fault comes `fail_times` times (−1: always), half-way through that picture's steps.
    """

    def __init__(
        self,
        *,
        delay: float = 0.0,
        load_delay: float = 0.0,
        fail_at: int | None = None,
        fail_times: int = 1,
        fault: Exception | None = None,
    ) -> None:
        self.delay = delay
        self.load_delay = load_delay
        self.fail_at = fail_at
        self.faults_left = fail_times
        self.fault = fault or EngineError("The fake engine failed, as it was asked to.")
        self._loaded: tuple[str, ...] = ()
        self._busy = False
        self._closed = threading.Event()

    def run(self, request: GenerationRequest, *, first: int = 0, cancelled: Callable[[], bool]) -> Iterator[EngineEvent]:
        self._busy = True
        try:
            if request.checkpoint not in self._loaded:
                yield Loading(f"Loading {request.checkpoint} …")
                self._pause(self.load_delay)
                self._loaded = (request.checkpoint,)
            for index in range(first, request.count):
                yield from self._steps(request, index, cancelled)
                seed = request.seed_of(index)
                image = Image.new("RGB", (request.width, request.height), colour(seed, extras_of(request)))
                notes = cut(request.prompt).notes
                yield Produced(index, image, seed, {"Device": "fake"} | ({"Left out": " ".join(notes)} if notes else {}))
        finally:
            self._busy = False

    def _steps(self, request: GenerationRequest, index: int, cancelled: Callable[[], bool]) -> Iterator[Step]:
        total = request.sampling.steps
        for step in range(1, total + 1):
            if cancelled():
                raise Cancelled
            self._pause(self.delay)
            if index == self.fail_at and step > total // 2 and self.faults_left != 0:
                self.faults_left -= 1
                raise self.fault
            yield Step(index, step, total, preview(request, index, step / total))
        if cancelled():
            raise Cancelled

    def _pause(self, seconds: float) -> None:
        if self._closed.wait(seconds) if seconds else self._closed.is_set():
            raise EngineDied("The engine was closed while it worked.")

    def warm(self, checkpoint: str) -> None:
        self._loaded = (checkpoint,)

    def state(self) -> EngineState:
        status: Literal["stopped", "busy", "idle"] = "stopped" if self._closed.is_set() else "busy" if self._busy else "idle"
        return EngineState(device="fake", label="Flat colours", status=status, loaded=self._loaded)

    def unload(self) -> None:
        self._loaded = ()

    def close(self) -> None:
        self._closed.set()


def colour(seed: int, extras: str = "") -> tuple[int, int, int]:
    """The RGB that a seed's picture is filled with; `extras` are the files that change it."""
    red, green, blue = hashlib.sha256(f"{seed}{extras}".encode()).digest()[:3]
    return red, green, blue


def extras_of(request: GenerationRequest) -> str:
    """The request's LoRAs, in any order, its embeddings and its VAE; empty for a request without."""
    used = sorted(repr(use) for use in request.loras if use.unet or use.text_encoder)
    used += sorted(request.embeddings)
    return "".join([*used, *([] if request.vae == BUILT_IN else [request.vae])])


def preview(request: GenerationRequest, index: int, done: float) -> bytes:
    """A small WebP between grey (`done` 0) and the picture's colour (`done` 1)."""
    shrink = PREVIEW_SIDE / max(request.width, request.height)
    size = max(1, round(request.width * shrink)), max(1, round(request.height * shrink))
    goal = colour(request.seed_of(index), extras_of(request))
    mixed = tuple(round(grey + (to - grey) * done) for grey, to in zip(GREY, goal, strict=True))
    data = io.BytesIO()
    Image.new("RGB", size, mixed).save(data, "WEBP", quality=60, method=0)
    return data.getvalue()
