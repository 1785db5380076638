"""A real server process, on the fake engine unless told otherwise, and pages of a real browser that must stay quiet and at home."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

import pytest

from tests.library.weights import diffusers_folder

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20_000  # ms, for machines that do something else at the same time
CARD = """{"label": "alpha", "defaults": {"width": 256, "height": 256, "steps": 8, "guidance": 4.5},
 "sizes": [[256, 256], [384, 256], [256, 384]], "words": {"time": ["dawn", "sunset"], "land": ["hills", "sea"]},
 "suggestions": ["the sea at sunset", "hills at dawn", "a lake"]}"""


class Server:
    """One `python -m webui`, which a test may also kill and start again on the same data."""

    def __init__(self, data: Path, options: tuple[str, ...] = ("--fake-engine",)) -> None:
        self.data, self.options = data, options
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "webui", *self.options, "--no-browser", "--no-extensions", "--port", str(self.port)]
        self.log = (self.data / "server.log").open("ab")
        self.process = subprocess.Popen([*command, "--data-dir", str(self.data)], cwd=ROOT, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.url}health", timeout=5):
                    return
            except (URLError, OSError):
                assert self.process.poll() is None, (self.data / "server.log").read_text()
                time.sleep(0.1)
        raise AssertionError("the server did not come up: " + (self.data / "server.log").read_text())

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None
            self.log.close()


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("GESSO_REQUIRE_BROWSER") == "1":
            pytest.fail("GESSO_REQUIRE_BROWSER is set, and there is no Chromium on this machine.")
        pytest.skip("there is no Chromium on this machine")
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--no-proxy-server"], timeout=PATIENCE
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("gesso")
    for name in ("alpha", "beta"):
        diffusers_folder(data / "models" / "checkpoints" / name)
    (data / "models" / "checkpoints" / "alpha" / "gesso.json").write_text(CARD)
    (data / "models" / "checkpoints" / "beta" / "gesso.json").write_text('{"label": "beta", "defaults": {"steps": 12, "guidance": 7.0}}')
    made = Server(data)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Callable[..., Any]]:
    """`open_page(**context)` gives a page that is ready; at the end nothing may have been complained about or fetched elsewhere."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def opened(*, quiet: bool = True, path: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark", **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: _at_home(request.url, server.port, complaints))
        if quiet:
            page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(server.url + path, wait_until="commit")
        ready(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def _at_home(url: str, port: int, complaints: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https", "ws", "wss") and (parts.hostname, parts.port) != ("127.0.0.1", port):
        complaints.append(f"asked {parts.hostname} for {url}")


def ready(page: Any) -> None:
    """The form holds its values and the scripts listen."""
    page.wait_for_selector("html.ready[data-started]", state="attached", timeout=PATIENCE)
