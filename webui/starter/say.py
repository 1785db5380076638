"""What a training process says to the person at the terminal; a module of its own, so that spawned processes find it."""

import sys
import time


def say(line: str) -> None:
    """One line with the time, at once."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()
