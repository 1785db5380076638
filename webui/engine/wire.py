"""Messages between the page's process and the engine's: pickled, one after another, each with its length before it."""

import contextlib
import io
import pickle
import struct
import threading
from dataclasses import dataclass
from typing import IO, Any

from webui.core.events import EngineEvent
from webui.core.parts import EngineState
from webui.core.request import GenerationRequest

KNOWN_MODULES = ("webui.core", "webui.engine.config", "webui.engine.wire", "PIL.Image", "pathlib")
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

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, message: Command | Report) -> None:
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._stream.write(_LENGTH.pack(len(data)))
            self._stream.write(data)
            self._stream.flush()

    def close(self) -> None:
        """Quietly, also when what was written last can reach nobody."""
        with contextlib.suppress(OSError), self._lock:
            self._stream.close()


def receive(stream: IO[bytes]) -> Any:
    """The next message. Raises `EOFError` when the other side is gone, in the middle of one too."""
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return _Reader(io.BytesIO(_exactly(stream, length))).load()


class _Reader(pickle.Unpickler):
    """Knows the classes that messages are made of and no other, so that nothing here runs because a message says so."""

    def find_class(self, module: str, name: str) -> Any:
        if "." in name or not any(module == known or module.startswith(f"{known}.") for known in KNOWN_MODULES):
            raise pickle.UnpicklingError(f"{module}.{name} is no part of a message")
        return super().find_class(module, name)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
