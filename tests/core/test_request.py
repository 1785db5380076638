"""A request is closed, finite and complete; a draft is the same with holes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from webui.core.errors import UserError
from webui.core.request import MAX_SEED, GenerationRequest, RequestDraft, Sampling, SamplingDraft, complete


def test_the_draft_has_the_same_fields() -> None:
    assert set(RequestDraft.model_fields) == set(GenerationRequest.model_fields)
    assert set(SamplingDraft.model_fields) == set(Sampling.model_fields)
    assert all(not field.is_required() for field in RequestDraft.model_fields.values())


def test_absent_fields_take_the_defaults_and_the_seed_is_drawn() -> None:
    defaults = {
        "checkpoint": "starter",
        "width": 256,
        "height": 384,
        "steps": 12,
        "guidance": 3.5,
        "sampler": "Euler",
        "schedule": "Uniform",
    }
    whole = complete(RequestDraft.parse({"prompt": "sea", "sampling": {"steps": 7}}), defaults)
    assert (whole.checkpoint, whole.width, whole.height) == ("starter", 256, 384)
    assert (whole.sampling.sampler, whole.sampling.steps, whole.sampling.guidance) == ("Euler", 7, 3.5)
    seeds = {complete(RequestDraft.parse({"checkpoint": "a"}), {}).sampling.seed for _ in range(20)}
    assert len(seeds) > 1
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_null_is_the_same_as_absent() -> None:
    draft = RequestDraft.parse({"width": None, "sampling": {"steps": None}, "checkpoint": "a"})
    assert complete(draft, {"width": 320}).width == 320


@pytest.mark.parametrize(
    ("data", "field", "allowed"),
    [
        ({"width": 10_000}, "width", "4096"),
        ({"height": 56}, "height", "64"),
        ({"width": 100}, "width", "multiple of 8"),
        ({"count": 0}, "count", "1"),
        ({"sampling": {"guidance": float("nan")}}, "sampling.guidance", "finite"),
        ({"sampling": {"steps": "many"}}, "sampling.steps", "integer"),
        ({"sampling": {"seed": -1}}, "sampling.seed", "0"),
        ({"widht": 512}, "widht", "no field"),
        ({"sampling": {"stepz": 5}}, "sampling.stepz", "no field"),
        ({"task": {"kind": "dance"}}, "task.kind", "text_to_image"),
        ({"prompt": "x" * 20_001}, "prompt", "20000"),
        ({"prompt": 5}, "prompt", "string"),
    ],
)
def test_what_is_not_allowed_names_the_field_and_what_is(data: dict[str, object], field: str, allowed: str) -> None:
    with pytest.raises(UserError) as caught:
        RequestDraft.parse(data)
    assert caught.value.field == field
    assert allowed in str(caught.value)
    assert len(str(caught.value)) < 250


def test_no_checkpoint_is_said() -> None:
    with pytest.raises(UserError, match="checkpoint"):
        complete(RequestDraft.parse({}), {})


def test_requests_are_frozen() -> None:
    with pytest.raises(ValidationError):
        GenerationRequest(checkpoint="a").width = 64  # type: ignore[misc]  # this is the test


@given(st.integers(0, MAX_SEED), st.integers(0, 99))
def test_seeds_wrap(seed: int, index: int) -> None:
    request = GenerationRequest(checkpoint="a", sampling=Sampling(seed=seed))
    assert request.seed_of(index) == (seed + index) % 2**32


@given(
    st.builds(
        GenerationRequest,
        checkpoint=st.text(min_size=1, max_size=20),
        prompt=st.text(max_size=200),
        width=st.integers(8, 512).map(lambda n: n * 8),
        height=st.integers(8, 512).map(lambda n: n * 8),
        count=st.integers(1, 100),
        sampling=st.builds(Sampling, steps=st.integers(1, 150), guidance=st.floats(1, 30), seed=st.integers(0, MAX_SEED)),
    )
)
def test_a_request_survives_json_and_draft(request: GenerationRequest) -> None:
    assert GenerationRequest.model_validate_json(request.model_dump_json()) == request
    assert complete(RequestDraft.model_validate_json(request.model_dump_json()), {}) == request
