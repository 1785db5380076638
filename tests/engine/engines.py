"""Engines for tests of the process, made over there by dotted name."""

import os
import sys
import time
from typing import Any

from webui.core.errors import LoadFailed, SetupError
from webui.core.events import Loading
from webui.engine.fake import FakeEngine


class Talkative(FakeEngine):
    """Prints, and reports in the checkpoint's name whether torch is there."""

    def run(self, request, *, first=0, cancelled):
        sys.stdout.write("said on stdout\n")
        sys.stdout.flush()
        sys.stderr.write("said on stderr\n")
        yield from super().run(request, first=first, cancelled=cancelled)


class Breaking(FakeEngine):
    """Fails in the way that the prompt names."""

    def run(self, request, *, first=0, cancelled):
        yield from super().run(request.model_copy(update={"count": 1}), first=first, cancelled=cancelled)
        match request.prompt:
            case "unknown":
                raise ZeroDivisionError("by nought")
            case "known":
                raise LoadFailed("no such weights")
            case "exit":
                os._exit(3)


class Hanging(FakeEngine):
    """Never comes back where the prompt says "hang", and late for "slow", whoever asks it to."""

    def run(self, request, *, first=0, cancelled):
        sys.stderr.write("a run begins\n")
        yield Loading("Nothing comes after this, or late.")
        while request.prompt == "hang":
            time.sleep(1)
        if request.prompt == "slow":
            time.sleep(3)
        yield from super().run(request, first=first, cancelled=cancelled)


def hanging(options: dict[str, Any]) -> FakeEngine:
    return Hanging(**options)


def talkative(options: dict[str, Any]) -> FakeEngine:
    return Talkative(**options)


def breaking(options: dict[str, Any]) -> FakeEngine:
    return Breaking(**options)


def impossible(options: dict[str, Any]) -> FakeEngine:
    raise SetupError("There is no such device. Choose another.")
