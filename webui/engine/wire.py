"""Messages between the page's process and the engine's: pickled, one after another, each with its length before it."""

import pickle
import struct
import threading
from dataclasses import dataclass
from typing import Any, BinaryIO

from webui.core.events import EngineEvent
from webui.core.parts import EngineState
from webui.core.request import GenerationRequest

_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Build:
    """The first message: which engine, by dotted name, and what to call it with."""

    factory: str  # "package.module:name"
    argument: Any
    nice: int


@dataclass(frozen=True, slots=True)
class Run:
    number: int
    request: GenerationRequest
    first: int


@dataclass(frozen=True, slots=True)
class Cancel:
    number: int


@dataclass(frozen=True, slots=True)
class Warm:
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Unload:
    pass


@dataclass(frozen=True, slots=True)
class Built:
    """The engine stands; `probed` is what it measured, for the next process."""

    probed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """The engine could not be built; the process ends."""

    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    number: int
    event: EngineEvent


@dataclass(frozen=True, slots=True)
class Ended:
    """A run is over; `error` is None when all went well."""

    number: int
    error: Exception | None


Command = Build | Run | Cancel | Warm | Unload
Report = Built | Failed | Told | Ended | EngineState


class Sender:
    """Thread-safe. Raises `OSError` or `ValueError` when the other side is gone."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Command | Report) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._stream.write(_LENGTH.pack(len(data)))
            self._stream.write(data)
            self._stream.flush()


def receive(stream: BinaryIO) -> Any:
    """The next message. Raises `EOFError` when the other side is gone, in the middle of one too."""
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return pickle.loads(_exactly(stream, length))


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
