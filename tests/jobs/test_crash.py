"""Real processes killed at random moments and at every dangerous one: no job lost, no picture twice, seeds and order kept."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.jobs.crash_child import POINTS
from webui.core.job import Status
from webui.database import Database
from webui.engine.fake import colour
from webui.jobs.store import MAX_ATTEMPTS, JobStore

ROOT = Path(__file__).parent.parent.parent
SOON = 120.0  # seconds; starting on a busy machine takes some
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of POSIX")


class Server:
    """One run of `crash_child`; `saved` and `accepted` are what it said until it was killed."""

    def __init__(self, folder: Path, point: str | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.crash_child", str(folder), *([point] if point else [])],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        self.lines: list[str] = []
        self.added = 0
        self.orphans: list[psutil.Process] = []
        self._told = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._told:
                self.lines.append(line.strip())
                self._told.notify_all()
        with self._told:
            self.lines.append("dead")
            self._told.notify_all()

    def heard(self, word: str) -> list[list[str]]:
        with self._told:
            return [line.split() for line in self.lines if line.split()[0] == word]

    def until(self, word: str, times: int = 1) -> None:
        """Until it said `word` so often, or died."""
        with self._told:
            waited = self._told.wait_for(lambda: "dead" in self.lines or sum(line.split()[0] == word for line in self.lines) >= times, SOON)
        assert waited, (word, self.lines)

    def add(self, count: int, seed: int) -> None:
        assert self.process.stdin is not None
        self.added += 1
        try:
            self.process.stdin.write(f"add {count} {seed}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.until("dead")

    def new_picture(self, seen: int) -> None:
        """Until it saved more than `seen` pictures, or has nothing left to make, or died."""

        def done() -> bool:
            words = [line.split()[0] for line in self.lines]
            answered = words.count("accepted") == self.added
            idle = answered and "idle" in words and "accepted" not in words[_last(words, "idle") :]
            return "dead" in words or idle or words.count("saved") > seen

        with self._told:
            assert self._told.wait_for(done, SOON), self.lines

    def engines(self) -> list[psutil.Process]:
        """The processes of its engine; none while it starts."""
        try:
            return psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        self.orphans += self.engines()
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        assert self.process.wait(SOON) == -signal.SIGKILL
        self._reader.join(SOON)

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("stop\n")
        self.process.stdin.close()
        assert self.process.wait(SOON) == 0
        self._reader.join(SOON)


def _last(words: list[str], word: str) -> int:
    return len(words) - 1 - words[::-1].index(word)


class Story:
    """A folder, the servers that ran on it, and what was promised to whom."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[Server] = []
        self.seed = 1000

    def start(self, point: str | None = None) -> Server:
        self.servers.append(Server(self.folder, point))
        return self.servers[-1]

    def add(self, server: Server, count: int) -> None:
        server.add(count, self.seed)
        self.seed += 100

    def finish(self) -> None:
        """A last run, undisturbed, until nothing is left to do."""
        server = self.start()
        server.until("idle")
        server.stop()

    def check(self) -> None:
        lines = [line[1:] for server in self.servers for line in server.heard("accepted")]
        check(self.folder, [(job_id, int(count), int(seed)) for job_id, count, seed in lines])


def check(folder: Path, accepted: list[tuple[str, int, int]]) -> None:
    """That an outputs folder is as if nothing had happened; `accepted` are (job, count, seed), in the order of their answers."""
    database = Database(folder / "gesso.sqlite3")
    store = JobStore(database)
    jobs = {job.id: job for job in reversed(store.list(limit=100_000))}
    rows = database.read("SELECT * FROM pictures ORDER BY number")
    integrity = database.read("PRAGMA integrity_check")[0][0]
    database.close()
    assert integrity == "ok"

    assert [job_id for job_id, _, _ in accepted] == [job_id for job_id in jobs if job_id in {line[0] for line in accepted}]
    assert {job.status for job in jobs.values()} == {Status.DONE}, [job.error for job in jobs.values() if job.error]
    made = [(row["job_id"], row["picture_index"], row["seed"]) for row in rows]
    assert made == [(job.id, index, job.request.sampling.seed + index) for job in jobs.values() for index in range(job.request.count)], (
        "every picture once, in the jobs' order, with the seeds of an uninterrupted run"
    )
    for job_id, count, seed in accepted:
        assert (jobs[job_id].request.count, jobs[job_id].request.sampling.seed) == (count, seed)

    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
    assert files == {row["path"] for row in rows}
    for row in rows:
        with Image.open(folder / row["path"]) as image:
            image.load()
            assert image.getpixel((0, 0)) == colour(row["seed"])
    assert not [path.name for path in folder.rglob("*.part")]


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    told = Story(tmp_path)
    yield told
    for server in told.servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def test_killed_at_every_dangerous_point(story: Story) -> None:
    """One life after another, each ending at another point, all on the same folder."""
    server = story.start()
    story.add(server, 2)
    story.add(server, 3)
    server.until("saved")
    server.kill()
    for point in POINTS:
        server = story.start(point)
        story.add(server, 2)
        server.until("dead")
        server.end()
    story.finish()
    story.check()


def kill_at_random(story: Story, kills: int) -> None:
    """Kill the server, or its engine alone, again and again while jobs come in.

    Never three times within one picture, which would rightly end the job.
    """
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")  # noqa: T201  # shown when the test fails
    server, fruitless, seen = None, 0, 0
    for _ in range(kills):
        if server is None:
            server, seen = story.start(), 0
        for _ in range(chance.randint(0, 2)):
            story.add(server, chance.randint(1, 4))
        if chance.random() > 0.15:  # else perhaps before it is up
            server.until("ready")
        time.sleep(chance.uniform(0, 0.4))
        if fruitless >= MAX_ATTEMPTS - 2:  # the kill before these may have been the first of a new picture
            server.new_picture(seen)
        pictures = len(server.heard("saved"))
        fruitless = 0 if pictures > seen else fruitless + 1
        seen = pictures + 1  # one may be saved between this look and the kill
        engines = server.engines()
        if engines and chance.random() < 0.4:
            for engine in engines:
                engine.kill()
        else:
            server.kill()
            server = None
    if server is not None:
        server.stop()
    story.finish()
    story.check()
    _, alive = psutil.wait_procs([orphan for server in story.servers for orphan in server.orphans], timeout=SOON)
    assert not alive, "an engine ends when its server does"


def test_killed_at_random(story: Story) -> None:
    kill_at_random(story, 6)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_a_hundred_times(story: Story) -> None:
    kill_at_random(story, 100)
