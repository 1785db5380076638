"""`python -m webui.starter train` and `… evaluate`: make the starter checkpoint, and measure it."""

import argparse
import sys
from pathlib import Path

import torch

from webui.starter.card import update_card
from webui.starter.checkpoint import DEFAULTS
from webui.starter.evaluate import evaluate
from webui.starter.loop import Budget
from webui.starter.say import say
from webui.starter.train import OUT, WORK, Recipe, judge_for, train


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m webui.starter", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    trains = commands.add_parser("train", help="train the checkpoint, or go on where training stopped")
    trains.add_argument("--out", type=Path, default=OUT)
    trains.add_argument("--minutes-vae", type=float, default=15.0)
    trains.add_argument("--minutes-unet", type=float, default=92.0)
    trains.add_argument("--minutes-polish", type=float, default=4.0)
    trains.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help="go on from --work")
    judges = commands.add_parser("evaluate", help="measure a checkpoint; ends with 1 where a bar is missed")
    judges.add_argument("--checkpoint", type=Path, default=OUT)
    judges.add_argument("--pictures", type=int, default=400)
    judges.add_argument("--guidance", type=float, default=float(DEFAULTS["guidance"]))
    judges.add_argument("--update-card", action="store_true", help="write the figures into the checkpoint's README")
    for command in (trains, judges):
        command.add_argument("--work", type=Path, default=WORK, help="unfinished training and the judge")
        command.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


def forget(work: Path) -> None:
    """Start anew: drop the states of all stages, keep the drawn scenes."""
    for path in [*work.glob("*.pt"), *work.glob("*.json")]:
        path.unlink()


def main(arguments: list[str]) -> int:
    """Run one command; the exit status says whether it succeeded."""
    chosen = parse(arguments)
    torch.set_num_threads(chosen.threads)
    recipe = Recipe()
    if chosen.command == "train":
        vae, unet, polish = (Budget(minutes=m) for m in (chosen.minutes_vae, chosen.minutes_unet, chosen.minutes_polish))
        recipe = Recipe(vae=vae, unet=unet, polish=polish)
        if not chosen.resume:
            forget(chosen.work)
        train(recipe, chosen.work, chosen.out, say)
        return 0
    judge = judge_for(recipe, chosen.work, say)
    out = chosen.work / "evaluation"
    figures = evaluate(chosen.checkpoint, judge, chosen.pictures, chosen.guidance, out, say)
    if chosen.update_card:
        update_card(chosen.checkpoint, out / "report.json")
    return 0 if figures["passed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
