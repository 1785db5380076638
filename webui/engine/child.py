"""The engine's own process: builds an engine, obeys commands from standard input, reports on what was standard output.

Started by `process` as `python -m webui.engine.child`; ends by itself when its parent does.
"""

import contextlib
import importlib
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import IO, Any, cast

from webui.core import errors
from webui.core.engine import Engine
from webui.core.errors import Cancelled, EngineError, GessoError, UserError
from webui.engine.wire import Build, Built, Cancel, Ended, Failed, Run, Sender, Told, Unload, Warm, receive

STATE_EVERY = 0.2  # seconds between looks at the engine's state


class Child:
    """Runs come one after another; everything else is done while they run."""

    def __init__(self, commands: IO[bytes], reports: IO[bytes]) -> None:
        self._commands = commands
        self._sender = Sender(reports)
        self._runs: queue.SimpleQueue[Run] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._engine: Engine | None = None
        self._ready = threading.Event()

    def main(self) -> None:
        build = cast(Build, receive(self._commands))
        threading.Thread(target=self._obey, name="commands", daemon=True).start()
        if hasattr(os, "nice"):
            os.nice(build.nice)
        try:
            self._engine = make(build.factory, build.argument)
        except GessoError as error:
            self._sender.send(Failed(str(error)))
            return
        self._sender.send(Built(getattr(getattr(self._engine, "device", None), "probed", ())))
        self._ready.set()
        threading.Thread(target=self._watch, args=(self._engine,), name="state", daemon=True).start()
        while True:
            self._run(self._engine, self._runs.get())

    def _obey(self) -> None:
        """Until the parent is gone: then nothing is left to do, and a network call need not be waited for."""
        try:
            while True:
                self._take(receive(self._commands))
        except (EOFError, OSError):
            os._exit(0)

    def _take(self, command: Any) -> None:
        match command:
            case Run():
                self._runs.put(command)
            case Cancel(number):
                self._cancelled.add(number)
            case Warm(checkpoint):
                threading.Thread(target=self._when_ready, args=(lambda engine: engine.warm(checkpoint),), daemon=True).start()
            case Unload():
                threading.Thread(target=self._when_ready, args=(lambda engine: engine.unload(),), daemon=True).start()

    def _when_ready(self, act: Any) -> None:
        self._ready.wait()
        act(self._engine)

    def _run(self, engine: Engine, run: Run) -> None:
        error: Exception | None = None
        try:
            if run.number in self._cancelled:  # while another one ran
                raise Cancelled
            for event in engine.run(run.request, first=run.first, cancelled=lambda: run.number in self._cancelled):
                self._sender.send(Told(run.number, event))
        except GessoError as known:
            error = known
        except Exception as unknown:  # noqa: BLE001  # the edge of a process: told on the other side, where it is raised
            traceback.print_exc()
            error = EngineError(f"The engine failed: {type(unknown).__name__}: {str(unknown).splitlines()[0] if str(unknown) else ''}")
        self._cancelled.discard(run.number)
        self._sender.send(engine.state())
        self._sender.send(Ended(run.number, portable(error)))

    def _watch(self, engine: Engine) -> None:
        told = None
        with contextlib.suppress(BrokenPipeError):  # the parent is gone, and `_obey` ends the process
            while True:
                state = engine.state()
                if state != told:
                    self._sender.send(state)
                    told = state
                time.sleep(STATE_EVERY)


def portable(error: Exception | None) -> Exception | None:
    """The error without what only this process knows: its traceback, what caused it, and an extension's own class."""
    if error is None:
        return None
    error.__traceback__ = error.__cause__ = error.__context__ = None
    if type(error).__module__ == errors.__name__:
        return error
    return UserError(str(error), field=error.field) if isinstance(error, UserError) else EngineError(str(error))


def make(factory: str, argument: Any) -> Engine:
    """`factory` is "package.module:name"; called with `argument`."""
    module, _, name = factory.partition(":")
    return cast(Engine, getattr(importlib.import_module(module), name)(argument))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in the terminal reaches both; the parent decides
    commands, reports = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # os.devnull is no path to a file
        os.dup2(nothing.fileno(), 0)  # whoever asks finds no input
    os.dup2(2, 1)  # whatever is printed goes to the log
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        Child(commands, reports).main()
    except BrokenPipeError:
        os._exit(0)  # the parent is gone


if __name__ == "__main__":
    main()
