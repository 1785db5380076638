"""How much may wait: pure arithmetic on requests, and the sentences that refuse what is too much."""

from typing import NamedTuple, Self

from webui.core.errors import StorageError, TooMany, UserError
from webui.core.job import Job
from webui.core.request import GenerationRequest

MAX_PICTURES = 500  # waiting, of one collaborator
MAX_WORK = 20_000_000_000  # pixels × steps waiting, of one collaborator: some 600 pictures of 1024² in 30 steps
BYTES_PER_PIXEL = 2  # of a PNG: paintings and photographs take 1 to 2
RESERVE = 1_000_000_000  # bytes of the disk that collaborators leave to the host

_MEGAPIXEL = 1_000_000


class Load(NamedTuple):
    """What pictures that are not made yet will take."""

    pictures: int = 0
    work: int = 0  # pixels × steps
    space: int = 0  # bytes on the disk

    @classmethod
    def of(cls, request: GenerationRequest, made: int = 0) -> Self:
        """Of those of a request but the first `made`."""
        pictures = max(0, request.count - made)
        pixels = request.width * request.height * pictures
        return cls(pictures, pixels * request.sampling.steps, pixels * BYTES_PER_PIXEL)

    @classmethod
    def of_jobs(cls, jobs: list[Job]) -> Self:
        loads = [cls.of(job.request, job.made) for job in jobs]
        return cls(*(sum(column) for column in zip(*loads, strict=True))) if loads else cls()


def check_host(asked: Load, free: int) -> None:
    """The host may ask for all that the disk, with `free` bytes, will hold. Raises `StorageError`."""
    if asked.space > free:
        raise StorageError(f"This job may need {_gb(asked.space)}, and the disk of the outputs has {_gb(free)} free. {_LESS_SPACE}")


def check_collaborator(asked: Load, waiting: Load, free: int) -> None:
    """What one collaborator has waiting, with what is asked for now, stays within the limits above.

    Raises `TooMany` where it will fit when less is waiting, `UserError` where it never will, `StorageError` for the disk.
    """
    if asked.pictures + waiting.pictures > MAX_PICTURES:
        had = f"You have {waiting.pictures:,} pictures waiting and may have {MAX_PICTURES:,}"
        raise TooMany(f"{had}: {asked.pictures:,} more are too many. Let some finish, cancel some, or ask for fewer.", field="count")
    if asked.work > MAX_WORK:
        raise UserError(
            f"This job is {_work(asked.work)} (width × height × steps × pictures), and a colleague may ask for {_work(MAX_WORK)}. {_LESS}",
            field="count",
        )
    if asked.work + waiting.work > MAX_WORK:
        had = f"You have {_work(waiting.work)} (width × height × steps × pictures) waiting and may have {_work(MAX_WORK)}"
        raise TooMany(f"{had}: {_work(asked.work)} more are too many. Let some finish, cancel some, or ask for less.", field="count")
    if asked.space + waiting.space + RESERVE > free:
        needed = f"Your waiting pictures and these may need {_gb(asked.space + waiting.space)}"
        raise StorageError(f"{needed}, and the disk has {_gb(free)} free, of which {_gb(RESERVE)} is kept for the host. {_LESS_SPACE}")


_LESS = "Ask for fewer or smaller pictures, or fewer steps."
_LESS_SPACE = "Ask for fewer or smaller pictures, or have some space freed."


def _work(pixels: int) -> str:
    return f"{max(1, round(pixels / _MEGAPIXEL)):,} megapixel steps"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
