"""The bundled example, switched on."""

import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from tests.test_extensions import RECORD, REQUEST
from webui import hooks
from webui.core.events import Saved
from webui.core.job import HOST
from webui.core.picture import Picture
from webui.extensions import OFF, Extensions

FOLDER = Path(__file__).parent.parent / "extensions"


@pytest.fixture
def extensions(tmp_path: Path) -> Extensions:
    shutil.copytree(FOLDER / "example", tmp_path / "example", ignore=shutil.ignore_patterns(OFF, "__pycache__"))
    return Extensions((), tmp_path)


def test_it_uses_every_hook_there_is(extensions: Extensions) -> None:
    specified = {name for name, value in vars(hooks).items() if hasattr(value, f"{hooks.PROJECT}_spec")}
    assert {name for name, functions in extensions._hooks.items() if functions} == specified
    assert [(row.name, row.status, row.problem) for row in extensions.report] == [("example", "loaded", "")]


def test_it_is_bundled_switched_off() -> None:
    (row,) = (row for row in Extensions((), FOLDER).report if row.name == "example")
    assert row.status == "off"
    assert "Delete the file" in row.problem


def test_its_rows(extensions: Extensions) -> None:
    assert [row.id for row in extensions.samplers()] == ["DPM++ 2M Heun"]
    assert [row.id for row in extensions.schedules()] == ["Karras 3"]
    assert [row.id for row in extensions.families()] == ["sd15-image-to-image"]
    module = extensions.family_module("sd15-image-to-image")
    assert module is not None
    assert callable(module.load)


def test_it_tidies_a_prompt_and_leaves_a_tidy_one_alone(extensions: Extensions) -> None:
    untidy = REQUEST.model_copy(update={"prompt": "  a \n lake "})
    assert extensions.prepare_request(untidy, RECORD, HOST).prompt == "a lake"
    assert extensions.prepare_request(REQUEST, RECORD, HOST) is REQUEST


def test_it_frames_a_picture_that_asks_for_it(extensions: Extensions) -> None:
    plain = Image.new("RGB", (48, 48), "black")
    asked = REQUEST.model_copy(update={"prompt": "a lake #frame"})
    assert extensions.process_image(plain, REQUEST, 0).getpixel((0, 0)) == (0, 0, 0)
    framed = extensions.process_image(plain, asked, 0)
    assert (framed.getpixel((0, 0)), framed.getpixel((24, 24)), framed.size) == ((255, 255, 255), (0, 0, 0), (48, 48))


def test_its_route_counts_the_pictures(extensions: Extensions) -> None:
    app = FastAPI()
    for owner, router in extensions.routes():
        app.include_router(router, prefix=f"/extensions/{owner}")
    facts = {"id": "p", "job_id": "j", "index": 0, "owner": "host", "path": "p.png", "width": 1, "height": 1, "bytes": 1}
    picture = Picture(**facts, seed=1, checkpoint="starter", prompt="", negative_prompt="", created_at=0)
    for _ in range(2):
        extensions.on_event(Saved("j", picture))
    assert TestClient(app).get("/extensions/example/tally").json() == {"starter": 2}


def test_its_tab_builds(extensions: Extensions) -> None:
    gradio = pytest.importorskip("gradio")
    ((owner, tab),) = extensions.tabs()
    with gradio.Blocks() as page:
        tab.build(None)
    assert (owner, tab.id) == ("example", "example")
    assert len(page.fns) == 2  # once at load, once at a click
