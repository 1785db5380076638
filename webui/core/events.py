"""What is told while a job runs: first by the engine, then by the dispatcher to whoever listens."""

from dataclasses import dataclass, field
from typing import Literal

from PIL.Image import Image

from webui.core.job import Job
from webui.core.picture import Picture

# --- from an Engine; crosses a process boundary, so plain and picklable ---


@dataclass(frozen=True, slots=True)
class Loading:
    """Weights are on their way; `message` is for the person at the screen."""

    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """One denoising step is done."""

    index: int  # 0-based picture of the job
    step: int  # 1-based
    total: int
    preview: bytes | None = None  # a small WebP


@dataclass(frozen=True, slots=True)
class Produced:
    """One picture is finished. `facts` go into its metadata (dtype, device, a retry in fp32 …)."""

    index: int
    image: Image
    seed: int
    facts: dict[str, str] = field(default_factory=dict)


EngineEvent = Loading | Step | Produced

# --- from the dispatcher and the studio, on the bus ---


@dataclass(frozen=True, slots=True)
class Changed:
    """The job's row changed: queued, started, moved, put back after a crash. `message` says why, if a person should know."""

    job: Job
    message: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job is. `preview` is the WebP of the current step; `seconds_left` is None until it can be known."""

    job_id: str
    owner: str
    index: int
    step: int  # 0 while weights load
    total: int
    seconds_left: float | None = None
    message: str = ""
    preview: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Saved:
    """A picture of the job is on disk and in the index."""

    job_id: str
    picture: Picture


@dataclass(frozen=True, slots=True)
class Finished:
    """The job reached its last status, and the store says so already."""

    job: Job


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """Something about the queue as a whole: paused, resumed, an engine died and is being restarted."""

    paused: bool
    message: str = ""
    level: Literal["info", "warning"] = "info"
    because: str = ""  # why the program itself paused it


JobEvent = Changed | Progress | Saved | Finished
BusEvent = JobEvent | QueueChanged
