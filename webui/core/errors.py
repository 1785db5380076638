"""The one tree of errors. `str(error)` is fit for the person at the screen and says the way out.

Translated at exactly three edges: the dispatcher, `ui/watch`, and `api`.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar


class GessoError(Exception):
    """Root of all errors that Gesso raises on purpose."""

    status: ClassVar[int] = 500  # the HTTP status at the api edge

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross from the engine's process, whatever their constructors take."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[GessoError], args: tuple[object, ...], state: dict[str, object]) -> GessoError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UserError(GessoError):
    """Something asked for cannot be done as asked; the sentence says what would work."""

    status = 422

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field  # dotted name of the request field at fault, e.g. "sampling.steps"


class UnknownName(UserError):
    """A name that is not in a registry or the library, with the nearest known one."""

    status = 404

    def __init__(self, kind: str, name: str, known: Iterable[str], *, field: str | None = None) -> None:
        names = sorted(known)
        near = get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
        hint = next((n for n in names if n.lower() == near[0]), None) if near else None
        if hint is not None:
            way_out = f"Did you mean “{hint}”?"
        elif names:
            way_out = f"Known: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}."
        else:
            way_out = f"There is no {kind} yet."
        super().__init__(f"There is no {kind} called “{name[:80]}”. {way_out}", field=field)
        self.kind = kind
        self.name = name


class NotFound(UserError):
    """A job or picture that does not exist (or no longer does)."""

    status = 404


class Unsupported(UserError):
    """The checkpoint, family or device at hand cannot do what was asked."""


class BadImage(UserError):
    """A picture file that cannot be used: unreadable, too large, or not a picture."""


class Conflict(UserError):
    """The thing is not in a state in which this can be done, e.g. cancelling a finished job."""

    status = 409


class NotAllowed(UserError):
    """The person has no right to do this."""

    status = 403


class TooMany(UserError):
    """A limit on how much one person may ask for at once."""

    status = 429


class SetupError(GessoError):
    """The program cannot start as configured: a port, a folder, a lock, a database from a newer version."""


class StorageError(GessoError):
    """Disk full or not writable; nothing that was saved before is lost."""

    status = 507


class EngineError(GessoError):
    """The engine failed; the job may be tried again, and others may fail in the same way."""

    tries: ClassVar[int | None] = None  # where the job alone is the reason: starts without a new picture before it fails


class LoadFailed(EngineError):
    """Weights could not be loaded, with the file's name and the reason."""

    tries = 1


class OutOfMemory(EngineError):
    """The device ran out of memory, with the numbers. What was kept for other jobs has been let go of, so it is tried once more."""

    tries = 2


class NoPicture(EngineError):
    """What came out are no numbers; it would be the same again."""

    tries = 1


class EngineDied(EngineError):
    """The engine's process ended while it was working (killed, out of memory, a driver crash)."""


class Cancelled(GessoError):
    """The job was cancelled; not an error for anyone to see."""
