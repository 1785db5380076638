"""`EngineProcess`: an engine in a process of its own, behind the same protocol; the page's process never maps torch."""

import contextlib
import logging
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import webui
from webui.core.errors import Cancelled, EngineDied
from webui.core.events import EngineEvent, Loading
from webui.core.parts import EngineState
from webui.core.request import GenerationRequest
from webui.engine.config import EngineConfig
from webui.engine.wire import Build, Built, Cancel, Command, Ended, Failed, Run, Sender, Told, Unload, Warm, receive

DIFFUSION = "webui.engine.factory:diffusion"
NICE = 5  # the page stays quick while a picture is made
POLL = 0.05  # seconds between questions whether the job is cancelled
PATIENCE = 0.5  # seconds for a process to end when asked, before it is killed
GRACE = 2.0  # seconds that a cancelled run is waited for: it may be loading, or in a step that takes a minute
WEDGED = 180.0  # seconds of silence after that, with the next run waiting, before the process is killed
DYING = 10.0  # seconds for a killed process to be gone
STILL_BUSY = "The engine is still busy with a picture that was cancelled …"
STUCK = f"The engine hung for {WEDGED / 60:.0f} minutes in a picture that was cancelled, so it was ended and starts anew."
UNDYING = "The engine hangs in a picture that was cancelled, and its process cannot be ended. Restart the computer."
_GONE: Final = object()  # after the last message of a process

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Child:
    """One process, from its start to its end."""

    process: subprocess.Popen[bytes]
    sender: Sender
    events: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    ended: threading.Event = field(default_factory=threading.Event)
    reason: str = ""  # why it could not build its engine
    obituary: str = ""
    left: set[int] = field(default_factory=set)  # runs that were told to end and have not yet
    heard: float = 0.0  # on the monotonic clock: when it was last heard of a run, or one was left


class EngineProcess:
    """A new process starts with the first call that needs one, and again after one has died."""

    def __init__(self, config: Any, factory: str = DIFFUSION) -> None:
        """`config` is what `factory` ("package.module:name") is called with over there; both must be picklable."""
        self._config = config
        self._factory = factory
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._number = 0
        self._closed = False
        name = config.device if isinstance(config, EngineConfig) else "engine"
        self._state = EngineState(device=name, label="", status="starting", message="The engine is starting …")
        self._start()

    # --- the protocol ---

    def run(self, request: GenerationRequest, *, first: int = 0, cancelled: Callable[[], bool]) -> Iterator[EngineEvent]:
        child = self._start()
        self._number += 1
        run = Run(self._number, request, first)
        self._send(child, run)
        until: float | None = None  # how long it is still waited for, once cancelled
        over = silent = False
        try:
            while not over:
                if until is None and cancelled():
                    self._send(child, Cancel(run.number))
                    until = time.monotonic() + GRACE
                match self._next(child):
                    case Told(run.number, event):
                        yield event
                    case Ended(run.number, error):
                        over = True
                        if error is not None:
                            raise error
                    case Ended(of, _):
                        child.left.discard(of)
                    case None:
                        child = yield from self._silent(child, run, until, first=not silent)
                        silent = True
        finally:
            if not over:
                self._send(child, Cancel(run.number))
                child.left.add(run.number)
                child.heard = time.monotonic()

    def _next(self, child: _Child) -> Any:
        """What the process says next, or None after a moment of silence. Raises `EngineDied`."""
        try:
            message = child.events.get(timeout=POLL)
        except queue.Empty:
            return None
        if message is _GONE:
            child.events.put(_GONE)  # for whoever asks next
            raise EngineDied(child.obituary)
        return message

    def _silent(self, child: _Child, run: Run, until: float | None, *, first: bool) -> Generator[EngineEvent, None, _Child]:
        """After a moment in which nothing was heard: the process to go on with. Raises `Cancelled` past `until`.

        A step or a load may take minutes, so nothing but a run that was left before this one is a reason to end a process.
        """
        if until is not None and time.monotonic() > until:
            raise Cancelled
        if child.left and first:
            yield Loading(STILL_BUSY)
        if child.left and time.monotonic() > child.heard + WEDGED:
            child = self._renewed(child)
            self._send(child, run)
            yield Loading(STUCK)
        return child

    def _renewed(self, child: _Child) -> _Child:
        """Another process in place of one that hangs. Raises `EngineDied` where it cannot be ended."""
        child.reason = STUCK
        child.process.kill()
        if not child.ended.wait(DYING):
            raise EngineDied(UNDYING)
        return self._start()

    def warm(self, checkpoint: str) -> None:
        self._send(self._start(), Warm(checkpoint))

    def state(self) -> EngineState:
        return self._state

    def unload(self) -> None:
        if self._child is not None:
            self._send(self._child, Unload())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            child = self._child
            self._state = self._state.model_copy(update={"status": "stopped", "message": "", "loaded": ()})
        if child is None:
            return
        child.process.terminate()
        try:
            child.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait(PATIENCE)

    # --- the process ---

    def _start(self) -> _Child:
        """The process that runs, a new one if need be. Raises `EngineDied` once closed."""
        with self._lock:
            if self._closed:
                raise EngineDied("The engine was closed.")
            if self._child is None or self._child.ended.is_set():
                self._child = self._spawn()
            return self._child

    def _spawn(self) -> _Child:
        root = str(Path(webui.__file__).parent.parent)
        path = os.pathsep.join([root, *(entry for entry in sys.path if entry)])
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "webui.engine.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert process.stdin is not None  # PIPE above
        child = _Child(process, Sender(process.stdin))
        threading.Thread(target=self._listen, args=(child,), name="engine reports", daemon=True).start()
        threading.Thread(target=_log_lines, args=(child,), name="engine log", daemon=True).start()
        self._send(child, Build(self._factory, self._config, NICE))
        return child

    def _send(self, child: _Child, command: Command) -> None:
        """A process that is gone takes nothing more: whoever waits for it is told by `_listen`."""
        with contextlib.suppress(OSError, ValueError):
            child.sender.send(command)

    def _listen(self, child: _Child) -> None:
        assert child.process.stdout is not None  # PIPE in `_spawn`
        try:
            while True:
                self._take(child, receive(child.process.stdout))
        except (EOFError, OSError) as end:
            _log.debug("The engine's process says no more: %r", end)
        except pickle.UnpicklingError as error:
            child.reason = f"The engine's process said something that is no message: {error}. Report this, please."
            child.process.kill()
        child.obituary = _obituary(child)
        child.sender.close()
        child.process.stdout.close()
        with self._lock:
            if not self._closed:
                _log.warning("%s", child.obituary)
                changes = {"status": "restarting", "message": child.obituary, "loaded": (), "memory_used": 0}
                self._state = self._state.model_copy(update=changes)
        child.ended.set()
        child.events.put(_GONE)

    def _take(self, child: _Child, report: Any) -> None:
        match report:
            case EngineState():
                with self._lock:
                    if not self._closed:
                        self._state = report
            case Built(probed):
                if isinstance(self._config, EngineConfig):
                    self._config = replace(self._config, probed=probed)
            case Failed(reason):
                child.reason = reason
            case _:
                child.heard = time.monotonic()
                child.events.put(report)


def _obituary(child: _Child) -> str:
    """Why the process ended; what happens now is for whoever tells it."""
    code = child.process.wait()
    if child.reason:
        return child.reason
    if code < 0:
        name = signal.Signals(-code).name
        why = f"was ended ({name})" + (", perhaps because memory ran out" if name == "SIGKILL" else "")
    else:
        why = f"ended with code {code}"
    return f"The engine's process {why}. The log has more."


def _log_lines(child: _Child) -> None:
    """What the process prints goes to the log."""
    assert child.process.stderr is not None  # PIPE in `_spawn`
    with child.process.stderr as lines:
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            if text:
                _log.info("%s", text)
