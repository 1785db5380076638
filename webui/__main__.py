"""The command line: `python -m webui [options]`. One sentence and exit code 2 where it cannot start."""

import logging
import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    try:
        return _start(arguments)
    except KeyboardInterrupt:  # before the server took over the signal
        return 130


def _start(arguments: Sequence[str]) -> int:
    """Imports in here: Ctrl+C while they take their second is the person's wish too, and no stack trace."""
    from webui.core.errors import SetupError, StorageError
    from webui.settings import from_command_line, parser

    if "--help" in arguments or "-h" in arguments:
        parser().print_help()
        return 0
    try:
        settings = from_command_line(arguments)
        from webui.app import run  # after `--help` and mistyped options, which need not wait for it

        return run(settings, say)
    except (SetupError, StorageError) as error:
        print(f"Gesso cannot start. {error}", file=sys.stderr)
        return 2


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is closed and durable; taking every module apart would keep the person waiting, for seconds on a busy machine
