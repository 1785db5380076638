"""The command line: `python -m webui [options]`. One sentence and exit code 2 where it cannot start."""

import logging
import os
import sys
from collections.abc import Sequence

from webui.core.errors import SetupError, StorageError
from webui.settings import from_command_line, parser


def main(arguments: Sequence[str]) -> int:
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
    except KeyboardInterrupt:  # before the server took over the signal
        return 130


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all is closed and durable; taking every module apart would keep the person waiting, for seconds on a busy machine
