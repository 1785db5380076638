"""`python -m webui.bench [part …] [--json FILE]`: measure, print a table, write JSON. Code 1 where a promise is not kept."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from webui.bench.report import Figure, table, write_json
from webui.settings import ROOT


def _queue() -> list[Figure]:
    from webui.bench.storage import queue  # each part imports what it measures, and no more

    return queue()


def _gallery() -> list[Figure]:
    from webui.bench.storage import gallery

    return gallery()


def _start() -> list[Figure]:
    from webui.bench.serving import start

    return start()


def _starter() -> list[Figure]:
    from webui.bench.diffusion import starter

    return starter()


def _sd15() -> list[Figure]:
    from webui.bench.diffusion import sd15

    return sd15()


PARTS: dict[str, Callable[[], list[Figure]]] = {
    "start": _start,
    "queue": _queue,
    "gallery": _gallery,
    "starter": _starter,
    "sd15": _sd15,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="launch.py bench", description="Measure Gesso on this machine.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all without one")
    parser.add_argument("--json", type=Path, default=ROOT / "outputs" / "bench.json", metavar="FILE", help="where the figures go")
    asked = parser.parse_args(arguments)
    unknown = [part for part in asked.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; known: {', '.join(PARTS)}")
    figures: list[Figure] = []
    for part in asked.parts or PARTS:
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        figures += PARTS[part]()
    print(table(figures))
    write_json(asked.json, figures)
    return 1 if any(figure.kept is False for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
