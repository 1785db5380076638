"""Values of the form ↔ a draft of a request."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.core.errors import UserError
from webui.core.geometry import Size
from webui.core.records import CheckpointDefaults, ModelRecord
from webui.core.request import GenerationRequest, RequestDraft, Sampling
from webui.ui import form


def record(**given_: object) -> ModelRecord:
    facts = {"id": "x", "label": "x", "path": Path("x"), "layout": "diffusers", "family": "sd15", "bytes": 1}
    return ModelRecord.model_validate(facts | given_)


STARTER = record(defaults=CheckpointDefaults(width=256, height=256, guidance=4.5), sizes=(Size(256, 256), Size(384, 256), Size(256, 384)))
FULL = record(id="y", defaults=CheckpointDefaults(width=512, height=512, guidance=7.0))


def test_every_field_of_a_request_has_a_component_or_a_reason_for_none() -> None:
    fields = {name for name in GenerationRequest.model_fields if name != "sampling"}
    fields |= {f"sampling.{name}" for name in Sampling.model_fields}
    assert fields == set(form.REQUEST_FIELDS) | set(form.NO_COMPONENT)


def test_element_ids_are_told_apart() -> None:
    ids = [*form.REQUEST_FIELDS.values(), *form.OWN_FIELDS.values()]
    assert len(ids) == len(set(ids))


def test_a_draft_says_what_the_form_says() -> None:
    values = {
        "prompt": "hills",
        "width": 256.0,
        "sampling.steps": 20.0,
        "sampling.guidance": 4.5,
        "seed_fixed": True,
        "sampling.seed": "1 234",
    }
    draft = form.draft(values)
    assert (draft.prompt, draft.width, draft.checkpoint) == ("hills", 256, None)
    assert (draft.sampling.steps, draft.sampling.guidance, draft.sampling.seed) == (20, 4.5, 1234)


def test_an_open_lock_leaves_the_seed_to_be_drawn() -> None:
    draft = form.draft({"sampling.seed": "77", "seed_fixed": False, "sampling.steps": 3})
    assert draft.sampling.seed is None


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²", None])
def test_a_kept_seed_must_be_a_number(text: str | None) -> None:
    with pytest.raises(UserError, match="Unlock it") as raised:
        form.draft({"sampling.seed": text, "seed_fixed": True})
    assert raised.value.field == "sampling.seed"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("sampling.steps", 999, "Steps can be 1 to 150, not 999."),
        ("width", 32, "The width can be 64 to 4096 px, not 32."),
        ("width", 1_000_000, "The width can be 64 to 4096 px, not 1000000."),
        ("height", 100, "The height must be a multiple of 8 px; 96 is the nearest."),
        ("count", 0, "Pictures can be 1 to 100, not 0."),
        ("sampling.guidance", 0.5, "Guidance can be 1 to 30, not 0.5."),
    ],
)
def test_a_number_out_of_range_gets_a_sentence(field: str, value: float, sentence: str) -> None:
    with pytest.raises(UserError) as raised:
        form.draft({field: value})
    assert (str(raised.value), raised.value.field) == (sentence, field)


@pytest.mark.parametrize("text", ["abc", "-2", "4294967296", "9" * 5000, ""])
def test_a_seed_that_is_none_gets_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match="whole number from 0 to 4 294 967 295") as raised:
        form.draft({"seed_fixed": True, "sampling.seed": text})
    assert raised.value.field == "sampling.seed"


def test_a_prompt_that_is_too_long_gets_a_sentence() -> None:
    with pytest.raises(UserError) as raised:
        form.draft({"prompt": "a" * 30_000})
    assert (str(raised.value), raised.value.field) == ("The prompt can have 20 000 characters; this one has 30 000.", "prompt")


@pytest.mark.parametrize("field", form.NUMBERS)
def test_a_number_left_empty_takes_the_checkpoints_own(field: str) -> None:
    draft = form.draft({field: None})
    assert draft.model_dump(exclude_none=True) == {"prompt": "", "negative_prompt": ""}


@given(
    prompt=st.text(max_size=50),
    width=st.integers(8, 512).map(lambda n: n * 8),
    steps=st.integers(1, 150),
    guidance=st.floats(1, 30),
    seed=st.integers(0, 2**32 - 1),
)
def test_draft_to_form_and_back_loses_nothing(prompt: str, width: int, steps: int, guidance: float, seed: int) -> None:
    asked = {"prompt": prompt, "negative_prompt": "", "width": width, "sampling": {"steps": steps, "guidance": guidance, "seed": seed}}
    draft = RequestDraft.parse(asked)
    assert form.draft(form.values(draft)) == draft


def test_shapes_take_a_size_that_the_checkpoint_knows() -> None:
    assert form.size_of("3:2", STARTER) == (384, 256)
    assert form.size_of("1:1", STARTER) == (256, 256)
    assert form.size_of("2:3", FULL) == (416, 624)
    assert form.size_of(form.CUSTOM, FULL) is None
    assert form.size_of("1:1", None) == (512, 512)


@pytest.mark.parametrize("shape", form.SHAPES)
@pytest.mark.parametrize("checkpoint", [STARTER, FULL])
def test_a_shapes_size_is_that_shape(shape: str, checkpoint: ModelRecord) -> None:
    size = form.size_of(shape, checkpoint)
    assert size is not None
    assert form.shape_of(size.width, size.height, checkpoint) == shape
    assert form.shape_of(size.width + 8, size.height, checkpoint) == form.CUSTOM


def test_another_checkpoint_changes_only_what_nobody_touched() -> None:
    untouched = form.defaults(STARTER)
    assert form.following(untouched, STARTER, FULL) == {"width": 512, "height": 512, "sampling.guidance": 7.0}
    touched = untouched | {"sampling.guidance": 9.0, "height": 384}
    assert form.following(touched, STARTER, FULL) == {}
    assert form.following(touched, None, FULL) == {"width": 512, "height": 512, "sampling.guidance": 7.0}


def test_a_seed_is_shown_in_groups_and_read_back() -> None:
    assert form.shown_seed(2918447013) == "2 918 447 013"
    assert form.seed_of(form.shown_seed(2918447013)) == 2918447013
