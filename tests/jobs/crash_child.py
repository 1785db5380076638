"""The program without a face, to be killed: `python -m tests.jobs.crash_child FOLDER [POINT]`, its engine in a process of its own.

Reads `add COUNT SEED` and `stop` from stdin; prints `ready`, `accepted ID COUNT SEED` (after the row is durable), `saved ID INDEX`
and `idle` (nothing waits or runs). With POINT it kills itself the first time it comes there.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.jobs.conftest import ask
from webui.core.events import BusEvent, Finished, Saved
from webui.core.job import HOST
from webui.database import Database
from webui.engine.process import EngineProcess
from webui.extensions import Extensions
from webui.gallery.files import Files
from webui.gallery.gallery import Gallery
from webui.gallery.index import Index
from webui.jobs.bus import Bus
from webui.jobs.dispatcher import Dispatcher
from webui.jobs.store import JobStore
from webui.library.store import Library

STEPS = 4
DELAY = 0.008  # seconds a step

# name → (class, method, whether to die before or after it), in an order in which
# each life leaves the next one something to do, and no three in a row make no picture
POINTS: dict[str, tuple[type, str, str]] = {
    "accepted, not announced": (JobStore, "add", "after"),
    "row, not counted": (JobStore, "made", "before"),
    "taken, not announced": (JobStore, "take", "after"),
    "before the file": (Files, "save", "before"),
    "counted, not announced": (JobStore, "made", "after"),
    "recovered, not started": (JobStore, "recover", "after"),
    "written, not named": (Files, "_name", "before"),
    "file without a row": (Index, "add", "before"),
    "all made, not finished": (JobStore, "finish", "before"),
    "finished, not announced": (JobStore, "finish", "after"),
}


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    owner, name, when = POINTS[point]
    real: Callable[..., Any] = getattr(owner, name)

    def deadly(*args: Any, **fields: Any) -> Any:
        if when == "before":
            die()
        result = real(*args, **fields)
        if result:  # `take` gives None, and `recover` nothing, when there is nothing
            die()
        return result

    setattr(owner, name, deadly)


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main(folder: Path, point: str | None) -> None:
    if point is not None:
        arm(point)
    database = Database(folder / "gesso.sqlite3")
    gallery = Gallery(folder, database, Library(folder / "models", ()))
    store, bus = JobStore(database), Bus()
    engine = EngineProcess({"delay": DELAY}, "webui.engine.factory:fake")
    dispatcher = Dispatcher(store, bus, {"fake": engine}, gallery.save, Extensions())

    def tell(event: BusEvent) -> None:
        match event:
            case Saved(job_id=job_id, picture=picture):
                say("saved", job_id, picture.index)
            case Finished() if not store.list(active=True, limit=1):
                say("idle")

    bus.listen(tell)
    dispatcher.start()
    say("ready")
    if not store.list(active=True, limit=1):
        say("idle")
    for line in sys.stdin:
        match line.split():
            case ["add", count, seed]:
                job = store.add(ask(count=int(count), seed=int(seed), steps=STEPS), HOST)
                say("accepted", job.id, count, seed)
                dispatcher.wake()
            case ["stop"]:
                break
    dispatcher.close()
    database.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
