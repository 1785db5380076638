"""The tab's handlers, on the whole program without a browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.library.weights import diffusers_folder
from webui.app import Gesso, build
from webui.core.job import HOST
from webui.settings import Settings
from webui.ui import form
from webui.ui.tabs import Shell
from webui.ui.tabs.text_to_image import NAMES, TextToImage

BROWSER = "0123456789abcdef"
FIELDS = {name: name for name in NAMES}  # a component is only a key to the handlers


@pytest.fixture
def gesso(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gesso]:
    monkeypatch.setattr("webui.app.EMBEDDED", tmp_path / "none")
    for name, card in (("alpha", {"defaults": {"width": 256, "height": 256, "steps": 8}}), ("beta", {"defaults": {"steps": 12}})):
        folder = tmp_path / "models" / "checkpoints" / name
        diffusers_folder(folder)
        (folder / "gesso.json").write_text(json.dumps(card))
    made = build(Settings(data_dir=tmp_path, fake_engine=True, extensions=False, browser=False), 7860)
    yield made
    made.studio.close()


@pytest.fixture
def tab(gesso: Gesso) -> TextToImage:
    shell = Shell(studio=gesso.studio, settings=gesso.settings, blocks=None, checkpoint="checkpoint")
    return TextToImage(shell, FIELDS, "answer")


def request(**cookies: str) -> Any:
    return SimpleNamespace(cookies=cookies, request=SimpleNamespace(scope={"state": {"person": HOST}}))


def plain(updates: dict[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in updates.items()}


def test_a_new_browser_gets_the_checkpoints_own_values(tab: TextToImage) -> None:
    found = plain(tab.restore(request()))
    assert (found["checkpoint"], found["width"], found["sampling.steps"], found["shape"]) == ("alpha", 256, 8, "1:1")
    assert [record["id"] for record in found["answer"]["checkpoints"]] == ["alpha", "beta"]
    assert found["answer"]["person"]["host"] is True


def test_without_a_checkpoint_the_form_shows_values_that_a_hand_could_set(tab: TextToImage, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "models" / "checkpoints")
    (tmp_path / "models" / "checkpoints").mkdir()
    found = plain(tab.restore(request()))
    assert (found["checkpoint"], found["width"], found["sampling.steps"], found["shape"]) == (None, 512, 20, "1:1")
    assert found["answer"]["checkpoints"] == []


def test_a_browser_finds_its_form_again_without_what_is_no_longer_allowed(tab: TextToImage, gesso: Gesso) -> None:
    kept = {
        "checkpoint": "beta",
        "prompt": "dunes",
        "sampling.steps": 33,
        "sampling.sampler": "Gone",
        "width": 7,
        "sampling.seed": "1 2",
        "seed_fixed": True,
    }
    gesso.studio.save_form(HOST, BROWSER, kept)
    found = plain(tab.restore(request(gesso_browser=BROWSER)))
    assert (found["checkpoint"], found["prompt"], found["sampling.steps"]) == ("beta", "dunes", 33)
    assert (found["sampling.seed"], found["seed_fixed"], found["width"]) == ("1 2", True, 512)
    assert found["sampling.sampler"] == gesso.studio.checkpoints()[1].defaults.sampler
    assert plain(tab.restore(request(gesso_browser="f" * 32))).get("prompt") is None, "another browser has a form of its own"


def test_a_custom_size_stays_custom(tab: TextToImage, gesso: Gesso) -> None:
    gesso.studio.save_form(HOST, BROWSER, {"checkpoint": "alpha", "width": 264, "height": 512, "shape": form.CUSTOM})
    assert plain(tab.restore(request(gesso_browser=BROWSER)))["shape"] == form.CUSTOM


def test_submit_answers_at_once_with_the_job_or_a_sentence(tab: TextToImage, gesso: Gesso) -> None:
    answer = tab.submit({"checkpoint": "alpha", "prompt": "sea", "sampling.steps": 2.0, "width": 64, "height": 64}, request())
    assert answer["kind"] == "queued"
    assert gesso.studio.job(answer["job"]).request.prompt == "sea"
    wrong = tab.submit({"checkpoint": "alpha", "sampling.schedule": "Carras"}, request())
    assert (wrong["kind"], wrong["field"]) == ("error", "sampling.schedule")
    assert "Karras" in wrong["sentence"]
    gone = tab.submit({"checkpoint": "gone"}, request())
    assert (gone["kind"], gone["field"]) == ("error", "checkpoint")


def test_another_checkpoint_says_what_it_changed(tab: TextToImage) -> None:
    start = plain(tab.restore(request()))
    found = plain(tab.choose(start | {"checkpoint": "beta"}))
    assert (found["width"], found["sampling.steps"], found["applied"], found["shape"]) == (512, 12, "beta", "1:1")
    assert found["answer"]["changed"] == {"width": 512, "height": 512, "sampling.steps": 12}
    assert found["answer"]["before"] == {"width": 256, "height": 256, "sampling.steps": 8, "shape": "1:1"}
    assert tab.choose(start | {"checkpoint": "gone"}) == {"answer": {"kind": "none"}}


def follow(gesso: Gesso, tab: TextToImage, form: dict[str, Any], sampler: str, schedule: str) -> dict[str, Any]:
    """What choosing beta changes, where its own sampler and schedule are these."""
    card = {"defaults": {"steps": 12, "sampler": sampler, "schedule": schedule}}
    (gesso.settings.models / "checkpoints" / "beta" / "gesso.json").write_text(json.dumps(card))
    gesso.studio.library.rescan()
    return plain(tab.choose(form | {"checkpoint": "beta"}))


def test_another_checkpoint_leaves_no_schedule_that_does_not_go_with_the_sampler(tab: TextToImage, gesso: Gesso) -> None:
    start = plain(tab.restore(request()))
    hand = {"sampling.sampler": "PLMS", "sampling.schedule": "Karras"}  # the sampler by hand, the schedule as alpha wants it
    found = follow(gesso, tab, start | hand, "Euler", "Uniform")
    assert found["sampling.schedule"] == "Automatic"
    assert "sampling.sampler" not in found
    assert found["answer"]["changed"]["sampling.schedule"] == "Automatic"
    assert found["answer"]["before"]["sampling.schedule"] == "Karras"
    touched = start | {"sampling.schedule": "Uniform"}  # the schedule by hand
    assert follow(gesso, tab, touched, "PLMS", "DDIM")["sampling.schedule"] == "Automatic"
    assert follow(gesso, tab, touched, "Euler", "Karras")["sampling.schedule"] == "Uniform", "it goes with the new sampler, and stays"


def test_filling_a_sampler_alone_keeps_a_schedule_that_goes_with_it(tab: TextToImage) -> None:
    start = plain(tab.restore(request())) | {"sampling.schedule": "Beta"}
    assert plain(tab.fill({"draft": {"sampling": {"sampler": "Euler"}}}, start))["sampling.schedule"] == "Beta"
    assert plain(tab.fill({"draft": {"sampling": {"sampler": "PLMS"}}}, start))["sampling.schedule"] == "Automatic"


def test_schedules_are_those_that_go_with_the_sampler(tab: TextToImage, gesso: Gesso) -> None:
    for sampler in gesso.studio.samplers:
        offered = tab.schedules(sampler.id, "Karras")
        names = [value for _, value in offered.choices]
        assert names == list(sampler.schedules or gesso.studio.schedules.ids)
        assert offered.value == ("Karras" if "Karras" in names else names[0])


def test_filling_names_only_what_it_brings(tab: TextToImage) -> None:
    start = plain(tab.restore(request()))
    found = plain(tab.fill({"draft": {"prompt": "x", "sampling": {"seed": 5}}}, start))
    assert found == {
        "prompt": "x",
        "sampling.seed": "5",
        "seed_fixed": True,
        "answer": {"kind": "filled", "fields": ["prompt", "sampling.seed", "seed_fixed"]},
    }
    size = plain(tab.fill({"draft": {"width": 512, "height": 512, "checkpoint": "beta"}}, start))
    assert (size["shape"], size["checkpoint"], size["applied"]) == ("1:1", "beta", "beta")
    back = plain(tab.fill({"values": start}, start))
    assert back["width"] == 256 and back["checkpoint"] == "alpha"
    assert tab.fill({"draft": {"width": 1}}, start)["answer"]["kind"] == "error"


def test_shapes_and_swap(tab: TextToImage) -> None:
    assert tab.shape("1:1", "beta") == (512, 512)
    width, height = tab.shape("2:3", "alpha")
    assert tab.swap(width, height, "alpha") == (height, width, "3:2")
    assert tab.swap(264, 512, "alpha") == (512, 264, form.CUSTOM)
