"""pip: running it, showing how far it is, and saying in words why it failed."""

import os
import platform
import re
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import NamedTuple, TextIO

from webui.setup.hardware import Build
from webui.setup.home import Home, Stop, alone, clean_environment, requirements, say

TORCH_INDEX = "https://download.pytorch.org/whl/"  # torch's own; it has a folder for each build


class Failure(NamedTuple):
    """Why pip failed, and whether another index could serve."""

    what: str
    way_out: str
    line: str
    elsewhere: bool = True


_DISK = ("The disk is full.", "Free some space (.venv takes {room} GB) and start again; it goes on where it stopped.")
_CAUSES = (  # what pip prints, what that means, what to try, whether another index may help; the first that fits
    (r"No space left on device|\[Errno 28\]|WinError 112|not enough space", *_DISK, False),
    (
        r"Permission denied|\[Errno 13\]|WinError 5\b|Access is denied|WinError 32",
        "A file in .venv cannot be written.",
        "Close other Gesso windows that use this folder, check who owns it, and start again.",
        False,
    ),
    (
        r"Long Path|WinError 206|File name too long",
        "A file's path is longer than this system allows (on Windows, 260 letters).",
        r"Move Gesso's folder up, to C:\gesso for example, and start again.",
        False,
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError",
        "The package index answers with a certificate that this machine does not trust, as behind a company's proxy.",
        "Name the proxy's certificate to pip: pip config set global.cert FILE.pem",
        True,
    ),
    (
        r"NewConnectionError|NameResolutionError|name resolution|getaddrinfo|unreachable|ConnectTimeout|Read timed out"
        r"|Connection (?:refused|reset|aborted)|ProxyError|timed out",
        "The package index cannot be reached: there is no network, or a proxy or firewall stands between.",
        "Connect and start again; it goes on where it stopped. To start with what is there: python launch.py --skip-install",
        True,
    ),
    (
        r"No matching distribution|Could not find a version|conflicting dependencies|Failed building wheel|Microsoft Visual C\+\+"
        r"|subprocess-exited-with-error",
        "The package index has no ready-made package for Python {python} on {system}.",
        "Start with Python 3.11, 3.12 or 3.13: python3.12 launch.py",
        True,
    ),
    (r"MemoryError|Killed", "There was not enough memory.", "Close other programs and start again.", False),
)


def explain(output: str, room: float) -> Failure:
    """The one line of pip's `output` that matters, what it means and what to try."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR:", "OSError", "error:", "HINT:"))]
    # What pip says in the end when no index answered is "no such version" or "conflict": the retries above that tell.
    vague = not errors or re.search("from versions: none|conflicting dependencies", errors[0])
    fills = {"room": f"{room:g}", "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for pattern, what, way_out, elsewhere in _CAUSES:
        for line in lines if vague else errors:
            if re.search(pattern, line):
                return Failure(what.format(**fills), way_out.format(**fills), line[:300], elsewhere)
    last = errors[0] if errors else lines[-1] if lines else "nothing"
    return Failure("pip could not install the packages.", "The log says more; python launch.py --reinstall begins anew.", last[:300])


class Progress:
    """One line that is drawn over and over on a terminal; a line now and then elsewhere."""

    def __init__(self, title: str, total: int, out: TextIO) -> None:
        self._title, self._total, self._out = title, total, out
        self._seen: set[str] = set()
        self._doing = "asking the package index"
        self._start = self._told = time.monotonic()
        self._terminal = out.isatty()
        self._write(f"{title} ..." if not self._terminal else "", "\n" if not self._terminal else "")

    def read(self, line: str) -> None:
        """Takes a line of pip's output."""
        if found := re.match(r"(Collecting|Requirement already satisfied:|Processing) ([^\s=<>~!;\[(]+)", line.strip()):
            self._seen.add(found[2].rpartition("/")[2].partition("-")[0].lower())
        if found := re.match(r"(Downloading|Using cached|Building wheel for) (\S+)(.*)", line.strip()):
            package = "-".join(found[2].rpartition("/")[2].split("-")[:2])
            self._doing = f"{found[1].lower()} {package}{found[3]}"
        elif line.startswith("Installing collected packages:"):
            self._doing = f"unpacking {line.count(',') + 1} packages"

    def tick(self) -> None:
        now = time.monotonic()
        seconds = int(now - self._start)
        text = f"{self._title}: {min(len(self._seen), self._total)} of {self._total}, {self._doing}, {seconds // 60}:{seconds % 60:02}"
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._write(f"\r{text[:width]:<{width}}")
        elif now - self._told >= 30:
            self._told = now
            self._write(f"  {text}", "\n")

    def done(self, what: str) -> None:
        seconds = int(time.monotonic() - self._start)
        text = f"{self._title}: {what} ({seconds // 60}:{seconds % 60:02})"
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            text = f"\r{text:<{width}}"
        self._write(text, "\n")

    def _write(self, text: str, end: str = "") -> None:
        self._out.write(text + end)
        self._out.flush()


def run_logged(command: Sequence[str], home: Home, progress: Progress | None = None, lock: int | None = None) -> tuple[int, str]:
    """Runs `command` with its output in the log; returns its exit status and what it printed."""
    environment = clean_environment() | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(home.temporary))  # /tmp is often small
    printed: list[str] = []
    with home.log.open("a", encoding="utf-8") as log:
        log.write("$ " + " ".join(command) + "\n")
        log.flush()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
            env=environment, pass_fds=() if lock is None or os.name == "nt" else (lock,),
        )  # fmt: skip

        def read() -> None:
            for line in child.stdout or ():
                printed.append(line)
                log.write(line)
                log.flush()
                if progress:
                    progress.read(line)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            _wait(child, progress)
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            reader.join(5)
    return child.returncode, "".join(printed)


def _wait(child: "subprocess.Popen[str]", progress: Progress | None) -> None:
    while True:
        try:
            child.wait(0.5)
            return
        except subprocess.TimeoutExpired:
            if progress:
                progress.tick()


def reachable(url: str, seconds: float = 3) -> bool:
    """Whether `url` answers soon, through a proxy too. In a thread, for a name look-up knows no time limit."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
                answers.append(True)
        except urllib.error.URLError as error:
            answers.append(isinstance(error.reason, ssl.SSLError))  # pip brings its own certificates
        except (OSError, ValueError):
            answers.append(False)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds + 0.5)
    return answers == [True]


def install(home: Home, extras: Sequence[str], build: Build, lock: int, out: TextIO) -> None:
    """pip's part, from torch's own index first, then from what pip is configured with."""
    total = sum("==" in line for line in home.constraints.read_text(encoding="utf-8").splitlines())
    torch = re.search(r"^torch==(\S+)", home.constraints.read_text(encoding="utf-8"), re.MULTILINE)
    sources: list[list[str]] = [[]]
    if build.folder and torch:
        if reachable(TORCH_INDEX + build.folder + "/torch/"):
            sources.insert(0, ["--extra-index-url", TORCH_INDEX + build.folder, f"torch=={torch[1]}+{build.folder}"])
        else:
            say(out, "torch's own index is out of reach; what pip is configured with has to serve, though it may be another build.")
    pip = [str(home.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    pip += ["--constraint", str(home.constraints)]
    for source in sources:
        progress = Progress("Installing", total, out)
        status, output = run_logged([*pip, *source, *requirements(home, extras)], home, progress, lock)
        if status == 0 and (data := alone(home)):
            status, output = run_logged([*pip, "--no-deps", *data], home, progress, lock)
        if status == 0:
            progress.done("done")
            return
        failure = explain(output + ("Killed" if status in (-9, 137) else ""), build.room)
        progress.done("failed")
        if source is sources[-1] or not failure.elsewhere:
            raise _failed(home, failure)


def _failed(home: Home, failure: Failure) -> Stop:
    return Stop(f"Set-up did not finish. {failure.what}\n  pip said: {failure.line}\n  log: {home.log}\n  try: {failure.way_out}")
