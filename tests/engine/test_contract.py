"""Every engine is held to the same tests: the fake, the real one on both layouts, and both behind a process."""

import io
import itertools
import time

import pytest
from PIL import Image

from tests.engine.conftest import a_request, never
from webui.core.errors import Cancelled, UnknownName, Unsupported
from webui.core.events import Loading, Produced, Step
from webui.engine.fake import FakeEngine
from webui.engine.process import EngineProcess


@pytest.fixture(scope="module")
def engine_processes(config):
    made = {
        "fake behind a process": EngineProcess({"delay": 0.01}, "webui.engine.factory:fake"),
        "diffusion behind a process": EngineProcess(config),
    }
    yield made
    for engine in made.values():
        engine.close()


@pytest.fixture(params=["fake", "fake behind a process", "diffusion", "diffusion from a single file", "diffusion behind a process"])
def engine(request, diffusion, engine_processes):
    """(the engine, the checkpoint to ask it for)"""
    engines = {"fake": FakeEngine(), "diffusion": diffusion, "diffusion from a single file": diffusion} | engine_processes
    return engines[request.param], "single" if "file" in request.param else "tiny"


def pictures(events):
    return [event for event in events if isinstance(event, Produced)]


def test_steps_and_pictures_come_in_order(engine):
    engine, checkpoint = engine
    events = [event for event in engine.run(a_request(checkpoint, count=2), cancelled=never) if not isinstance(event, Loading)]
    shape = [("step", event.index, event.step, event.total) if isinstance(event, Step) else ("picture", event.index) for event in events]
    assert shape == [("step", 0, 1, 2), ("step", 0, 2, 2), ("picture", 0), ("step", 1, 1, 2), ("step", 1, 2, 2), ("picture", 1)]
    assert [(made.seed, made.image.size, made.image.mode) for made in pictures(events)] == [(7, (64, 64), "RGB"), (8, (64, 64), "RGB")]
    assert all(isinstance(value, str) for made in pictures(events) for value in made.facts.values())


def test_a_picture_depends_on_its_seed_alone(engine):
    engine, checkpoint = engine
    three = pictures(engine.run(a_request(checkpoint, count=3), cancelled=never))
    one = pictures(engine.run(a_request(checkpoint, sampling={"seed": 9}), cancelled=never))
    resumed = pictures(engine.run(a_request(checkpoint, count=3), first=1, cancelled=never))
    assert three[2].image.tobytes() == one[0].image.tobytes()
    assert [made.index for made in resumed] == [1, 2]
    assert [made.image.tobytes() for made in resumed] == [made.image.tobytes() for made in three[1:]]
    assert three[0].image.tobytes() != three[1].image.tobytes()


def test_previews_are_small_webp_pictures(engine):
    engine, checkpoint = engine
    steps = [event for event in engine.run(a_request(checkpoint, width=128), cancelled=never) if isinstance(event, Step)]
    for step in steps:
        assert len(step.preview) <= 6000
        shown = Image.open(io.BytesIO(step.preview))
        assert shown.format == "WEBP"
        assert shown.width == 2 * shown.height


def test_cancel_before_the_first_step(engine):
    engine, checkpoint = engine
    seen = []
    with pytest.raises(Cancelled):
        seen.extend(engine.run(a_request(checkpoint), cancelled=lambda: True))
    assert not pictures(seen)


def test_cancel_within_one_step(engine):
    engine, checkpoint = engine
    seen = []
    request = a_request(checkpoint, sampling={"steps": 150})
    with pytest.raises(Cancelled):
        for event in engine.run(request, cancelled=lambda: len(seen) >= 3):
            seen.append(event)
    assert not pictures(seen)
    assert len(seen) < 150
    assert len(pictures(engine.run(a_request(checkpoint), cancelled=never))) == 1, "it works on after a cancel"


def test_a_run_that_nobody_listens_to_ends(engine):
    engine, checkpoint = engine
    events = engine.run(a_request(checkpoint, sampling={"steps": 150}), cancelled=never)
    list(itertools.islice(events, 3))
    events.close()
    assert len(pictures(engine.run(a_request(checkpoint), cancelled=never))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"loras": ({"name": "ink"},)},
        {"loras": ({"name": "ink", "text_encoder": 0},)},
        {"prompt": "a (cat:1.2), dog inked", "embeddings": ("inked",)},
        {"vae": "other"},
    ],
    ids=["lora", "lora for the unet alone", "embedding", "vae"],
)
def test_files_beside_the_checkpoint_change_the_picture_and_leave_no_trace(engine, changes):
    engine, checkpoint = engine
    plain, changed, again, once_more = (
        pictures(engine.run(a_request(checkpoint, **asked), cancelled=never))[0].image.tobytes() for asked in ({}, changes, {}, changes)
    )
    assert plain == again
    assert changed == once_more
    assert plain != changed


def test_what_of_a_prompt_is_left_out_is_told(engine):
    engine, checkpoint = engine
    with_tags = a_request(checkpoint, prompt="a (cat:1.2), dog<b:c>")
    made = pictures(engine.run(with_tags, cancelled=never))[0]
    assert "<b:c> was left out" in made.facts["Left out"]
    plain = pictures(engine.run(a_request(checkpoint), cancelled=never))[0]
    assert made.image.tobytes() == plain.image.tobytes()
    assert "Left out" not in plain.facts


def test_state_tells_what_is_loaded(engine):
    engine, checkpoint = engine
    list(engine.run(a_request(checkpoint), cancelled=never))
    state = engine.state()
    assert state.status == "idle"
    assert checkpoint in state.loaded
    assert state.device
    assert state.label
    engine.unload()
    wait_for(lambda: checkpoint not in engine.state().loaded)
    engine.warm(checkpoint)
    wait_for(lambda: checkpoint in engine.state().loaded)


def test_what_can_never_work_says_so(engine):
    engine, checkpoint = engine
    if "fake" in engine.state().device:
        pytest.skip("the fake makes anything")
    with pytest.raises(UnknownName, match="tiny"):
        list(engine.run(a_request("tinny"), cancelled=never))
    with pytest.raises(UnknownName) as caught:
        list(engine.run(a_request(checkpoint, sampling={"sampler": "Eulr"}), cancelled=never))
    assert caught.value.field == "sampling.sampler"
    for field, kind, asked in (
        ("loras", "LoRA", {"loras": ({"name": "inck"},)}),
        ("vae", "VAE", {"vae": "othr"}),
        ("embeddings", "embedding", {"embeddings": ("inkd",)}),
    ):
        with pytest.raises(UnknownName, match=f"There is no {kind} called") as caught:
            list(engine.run(a_request(checkpoint, **asked), cancelled=never))
        assert caught.value.field == field
    with pytest.raises(Unsupported, match="PLMS works with"):
        list(engine.run(a_request(checkpoint, sampling={"sampler": "PLMS"}), cancelled=never))


def wait_for(true, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
