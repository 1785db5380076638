"""The program as a person starts it: time to a usable page, to the first picture, to the next; memory of the page's process."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from webui.bench.report import Figure
from webui.settings import ROOT

PROMPT = "a majestic mountain landscape at sunset with golden clouds"


class Server:
    """A real server in a process of its own, with an outputs folder of its own."""

    def __init__(self, outputs: Path, options: Sequence[str]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.begun = time.perf_counter()
        command = [sys.executable, "-m", "webui", "--no-browser", "--port", str(self.port), "--outputs-dir", str(outputs), *options]
        self.log = (outputs / "bench.log").open("wb")
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self.log, stderr=self.log, env=os.environ | {"PYTHONUNBUFFERED": "1"})

    def ask(self, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The answer's body; raises `OSError` while the server is not up."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def wait_for_page(self, seconds: float = 60) -> float:
        """Seconds from the start until the page and its configuration are served."""
        while time.perf_counter() - self.begun < seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"The server ended with code {self.process.returncode}; see {self.log.name}.")
            try:
                self.ask("/")
                return time.perf_counter() - self.begun
            except OSError:
                time.sleep(0.02)
        raise TimeoutError(f"No page within {seconds} s; see {self.log.name}.")

    def picture(self) -> float:
        """Seconds from asking for one picture at the checkpoint's defaults until it is saved."""
        begun = time.perf_counter()
        job = json.loads(self.ask("/api/jobs", {"prompt": PROMPT}))
        while True:
            now = json.loads(self.ask(f"/api/jobs/{job['id']}"))
            if now["status"] == "done":
                return time.perf_counter() - begun
            if now["status"] in ("failed", "cancelled"):
                raise RuntimeError(f"The job {now['status']}: {now['error']}")
            time.sleep(0.01)

    def resident(self) -> int:
        """Bytes of memory of the process that serves the page, without the engine's."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextmanager
def server(options: Sequence[str]) -> Iterator[Server]:
    """Ended on leaving, and its pictures with it."""
    with TemporaryDirectory() as folder:
        started = Server(Path(folder), options)
        try:
            yield started
        finally:
            started.process.terminate()
            started.process.wait(10)
            started.log.close()


def start(options: Sequence[str] = ()) -> list[Figure]:
    """From the command (with further `options`) to the page, to a first picture, and to the next ones."""
    with server(options) as running:
        page = running.wait_for_page()
        running.picture()
        first = time.perf_counter() - running.begun
        warm = sorted(running.picture() for _ in range(5))
        resident = running.resident() / 1e6
    return [
        Figure("start to page usable", page, "s", limit=3.0),
        Figure("start to first picture", first, "s"),
        Figure("warm picture, saved", warm[2], "s", detail="median of 5; 20 steps, decode, PNG, index"),
        Figure("memory of the serving process", resident, "MB"),
    ]
