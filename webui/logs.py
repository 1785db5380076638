"""Logs: everything to a rotating file under the outputs folder; the terminal sees warnings as one line each. Nothing is sent anywhere."""

import logging
import re
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from webui.core.errors import SetupError

MAX_BYTES = 2_000_000
KEPT = 5  # older files
OURS = "gesso"  # the name of our handlers, by which a second start in one process finds and replaces them


class _OneLine(logging.Formatter):
    """A record without its stack trace, which is in the file, and without what would steer the terminal: it may quote a stranger."""

    def format(self, record: logging.LogRecord) -> str:
        return re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", f"{record.levelname.capitalize()}: {record.getMessage()}")


def start(folder: Path, name: str = "gesso", terminal: TextIO | None = None) -> Path:
    """Begin to log to `folder/name.log`, one file for each process; returns the file. Replaces what an earlier call set up.

    Raises `SetupError` where the folder cannot be written to.
    """
    path = folder / f"{name}.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SetupError(f"The folder {folder} cannot be written to: {error.strerror}. Choose another with --outputs-dir.") from error
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    screen = logging.StreamHandler(terminal or sys.stderr)
    screen.setFormatter(_OneLine())
    screen.setLevel(logging.WARNING)
    screen.addFilter(logging.Filter("webui"))
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if handler.get_name() == OURS]:
        root.removeHandler(old)
        old.close()
    for handler in (file, screen):
        handler.set_name(OURS)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for chatty in ("httpx", "httpcore", "asyncio", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each broken request: a stranger could fill the file with them
    return path
