"""The program itself, `python -m webui`, killed with all its processes while jobs come in over HTTP, and started again on its folder."""

import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.jobs.test_crash import SOON, check
from tests.test_app import Program
from webui.core.job import Status

MOST_ASKED = 4  # jobs in a life of the program
STEPS = 3
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is of POSIX")


class Asker(threading.Thread):
    """Asks for one job after another until the program no longer answers; `accepted` are those that were answered, with 202."""

    def __init__(self, url: str, first_seed: int, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.accepted: list[tuple[str, int, int]] = []
        self.refused: list[str] = []
        self._asks = [(chance.randint(1, 3), first_seed + 100 * number, chance.uniform(0, 0.2)) for number in range(MOST_ASKED)]
        self.start()

    def run(self) -> None:
        for count, seed, pause in self._asks:
            ask = {"prompt": "hills", "count": count, "width": 64, "height": 64, "sampling": {"steps": STEPS, "seed": seed}}
            try:
                answer = httpx.post(f"{self.url}/api/jobs", json=ask, timeout=SOON)
            except httpx.TransportError:
                return  # killed: this one may be there or not
            if answer.status_code != 202:
                self.refused.append(answer.text)
                return
            self.accepted.append((answer.json()["id"], count, seed))
            time.sleep(pause)


class Story:
    """A program on one folder, and what it promised."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.program = Program(folder)
        self.outputs = folder / "outputs"
        self.accepted: list[tuple[str, int, int]] = []
        self._chance = chance
        self._asked = 0

    def again(self) -> None:
        self.program.process = self.program.start("--port", str(self.program.port))

    def live(self) -> None:
        """Up, jobs come in, a picture is made, and the end comes at any moment after that."""
        self.program.wait()
        made = self.pictures()
        asker = Asker(self.program.url, 1000 * self._asked, self._chance)
        self._asked += 1
        self.until(lambda: self.pictures() > made)  # else three lives without one would rightly end a job
        time.sleep(self._chance.uniform(0, 0.6))
        self.kill()
        asker.join(SOON)
        assert not asker.refused
        self.accepted += asker.accepted

    def live_shortly(self) -> None:
        """The end comes while it starts, or just after."""
        time.sleep(self._chance.uniform(0, 4))
        self.kill()

    def finish(self) -> None:
        """A last run, undisturbed, until nothing is left to do; then an end in good order."""
        self.program.wait()
        with httpx.Client(base_url=self.program.url, timeout=SOON) as client:
            self.until(lambda: client.get("/api/jobs", params={"active": True}).json()["jobs"] == [])
            for job_id, count, _ in self.accepted:
                job = client.get(f"/api/jobs/{job_id}").json()
                assert (job["status"], job["made"]) == (Status.DONE, count), job
        self.program.process.send_signal(signal.SIGINT)
        self.program.process.communicate(timeout=SOON)
        assert self.program.process.returncode == 0

    def pictures(self) -> int:
        return len(list(self.outputs.glob("*/*.png")))

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SOON
        while not done():
            assert self.program.process.poll() is None, self.program.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill(self) -> None:
        first = psutil.Process(self.program.process.pid)
        tree = [first, *first.children(recursive=True)]
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.program.process.communicate(timeout=SOON)
        assert not psutil.wait_procs(tree, timeout=SOON)[1]
        assert self.program.process.returncode == -signal.SIGKILL


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201  # shown when the test fails
    told = Story(tmp_path, random.Random(seed))
    yield told
    if told.program.process.poll() is None:
        told.program.process.kill()
    told.program.process.communicate()


def kill(story: Story, rounds: int) -> None:
    for _ in range(rounds):
        story.live()
        story.again()
        story.live_shortly()
        story.again()
    story.finish()
    assert len(story.accepted) >= rounds
    check(story.outputs, story.accepted)


def test_the_program_killed_at_work_and_at_its_start(story: Story) -> None:
    kill(story, 1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_program_killed_forty_times(story: Story) -> None:
    kill(story, 20)
