import json
from pathlib import Path

import numpy as np
import pytest
import torch

from webui.starter.card import card_text, update_card
from webui.starter.checkpoint import DEFAULTS, SUGGESTIONS, describe_checkpoint
from webui.starter.evaluate import BARS, Asked, contact_sheet, marks, passes, uncalled, unseen_prompts
from webui.starter.judge import KINDS, Judge, Score, truth
from webui.starter.scenes import EXTRAS, Scene

SCENE = Scene("night", "sea", "grey", ("moon", "sailboat"), 1)
NAMED = {"time": True, "land": True, "clouds": False, "moon": True, "sailboat": False}


def test_a_score_counts_and_knows_nothing_of_what_was_never_asked() -> None:
    assert Score().plus(True).plus(False).plus(True) == Score(2, 3)
    assert Score(2, 4).share == 0.5
    assert Score().share == 0.0


def test_only_what_a_prompt_names_is_marked() -> None:
    right = truth(SCENE)
    wrong = [value + 1 for value in right]
    scores = marks([Asked("", SCENE, NAMED)] * 2, [right, wrong])
    assert scores["time"] == scores["land"] == scores["moon"] == scores["extras"] == Score(1, 2)
    assert scores["clouds"] == scores["sailboat"] == Score()


def test_what_nobody_asked_for_is_counted() -> None:
    row = truth(SCENE)
    row[KINDS.index("stars")] = 1
    assert uncalled([Asked("", SCENE, NAMED)], [row]) == Score(1, len(EXTRAS) - 2)


@pytest.mark.parametrize("missed", [*BARS, "psnr", "judge"])
def test_one_missed_bar_fails(missed: str) -> None:
    scores = {kind: Score(90 if kind == missed and kind != "extras" else 79 if kind == missed else 100, 100) for kind in BARS}
    scores = {kind: Score(60, 100) if kind == missed else score for kind, score in scores.items()}
    judged = {"time": Score(97 if missed == "judge" else 99, 100)}
    assert not passes(scores, 29.9 if missed == "psnr" else 31.0, judged)
    assert passes(dict.fromkeys(BARS, Score(99, 100)), 31.0, {"time": Score(99, 100)})


def test_unseen_prompts_are_the_same_every_time() -> None:
    assert unseen_prompts(5) == unseen_prompts(5)


def test_the_judge_answers_within_its_choices_at_any_size() -> None:
    torch.manual_seed(0)
    rows = Judge(8).answers(np.zeros((2, 64, 96, 3), np.uint8))
    assert [len(row) for row in rows] == [len(KINDS)] * 2


def test_a_contact_sheet_has_room_for_every_picture() -> None:
    assert contact_sheet(np.zeros((10, 16, 16, 3), np.uint8), columns=4).size == (80, 60)


def test_the_description_is_plain_data() -> None:
    described = describe_checkpoint({"weights": [[0.0] * 3] * 4, "bias": [0.0] * 3})
    assert json.loads(json.dumps(described)) == described
    assert described["defaults"] == DEFAULTS
    assert SUGGESTIONS[0] == "a majestic mountain landscape at sunset with golden clouds"


def test_the_card_tells_measured_figures_only(tmp_path: Path) -> None:
    assert "Not yet" in card_text()
    figures = {
        "pictures": 400,
        "defaults": dict(DEFAULTS),
        "vae_psnr_db": 31.25,
        "scores": {kind: {"share": 0.9125, "asked": 400} for kind in BARS},
    }
    (tmp_path / "report.json").write_text(json.dumps(figures))
    update_card(tmp_path, tmp_path / "report.json")
    text = (tmp_path / "README.md").read_text()
    assert "31.25 dB" in text and "91.2%" in text
