"""The queue at 10,000 waiting jobs and the gallery at 100,000 pictures, on an empty folder."""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from webui.bench.report import Figure, timed
from webui.core.job import HOST
from webui.core.request import GenerationRequest
from webui.database import Database
from webui.gallery.gallery import Gallery
from webui.jobs.store import JobStore
from webui.library.store import Library

WAITING = 10_000
SUBMITTED = 500
PICTURES = 100_000
LAND = ("mountains", "dunes", "hills", "sea", "islands", "forest", "valley")
TIME = ("dawn", "day", "sunset", "night", "dusk")


def queue() -> list[Figure]:
    """Time to accept a job, durably, while 10,000 wait."""
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "queue.sqlite3")
        store = JobStore(database)
        request = GenerationRequest(checkpoint="bench", prompt="a majestic mountain landscape at sunset")
        for _ in range(WAITING):
            store.add(request, HOST)
        seconds = sorted(timed(lambda: store.add(request, HOST)) for _ in range(SUBMITTED))
        taken = timed(lambda: store.take("bench"))
        database.close()
    p99 = seconds[int(len(seconds) * 0.99)]
    return [
        Figure(
            f"enqueue, p99 of {SUBMITTED}",
            p99 * 1000,
            "ms",
            detail=f"{WAITING} jobs waiting; median {statistics.median(seconds) * 1000:.2f} ms",
        ),
        Figure("take the next job", taken * 1000, "ms", detail=f"{WAITING + SUBMITTED} jobs waiting"),
    ]


def gallery() -> list[Figure]:
    """Time of the first page and of searches in an index of 100,000 pictures."""
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "gallery.sqlite3")
        shelf = Gallery(Path(folder), database, Library(Path(folder) / "models", ()))
        _fill(database)
        searches = {
            "gallery, first page": lambda: shelf.search("", page=1, per_page=60),
            "gallery, last page": lambda: shelf.search("", page=PICTURES // 60, per_page=60),
            "gallery, search one word": lambda: shelf.search("sunset", page=1, per_page=60),
            "gallery, search two words": lambda: shelf.search("majestic dunes", page=1, per_page=60),
            "gallery, search a rare word": lambda: shelf.search("unicorn", page=1, per_page=60),
        }
        figures = [
            Figure(name, statistics.median(timed(search) for _ in range(9)) * 1000, "ms", limit=100, detail=f"{PICTURES} pictures")
            for name, search in searches.items()
        ]
        database.close()
    return figures


def _fill(database: Database) -> None:
    now = time.time()
    with database.write() as db:
        db.executemany(
            "INSERT INTO pictures (id, job_id, picture_index, owner, path, width, height, bytes, seed, checkpoint, prompt,"
            " negative_prompt, parameters, created_at) VALUES (?, ?, 0, 'host', ?, 512, 512, 400000, ?, 'bench', ?, 'blurry', '', ?)",
            (
                (
                    f"picture{n:08d}",
                    f"job{n:08d}",
                    f"2026-01-01/{n:08d}.png",
                    n,
                    f"a majestic {LAND[n % 7]} landscape at {TIME[n % 5]}, number {n}" + (" with a unicorn" if n % 9973 == 0 else ""),
                    now - n,
                )
                for n in range(PICTURES)
            ),
        )
