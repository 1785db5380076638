"""Time left, on a made clock: steps of 1 s, 3 s between pictures."""

import pytest

from tests.jobs.conftest import ask
from webui.core.events import Step
from webui.jobs.estimate import Estimate, Pace

STEPS = 4
STEP = 1.0
DECODE = 3.0


def run(count: int, pace: Pace, batch: int = 1) -> list[tuple[float, float | None, float]]:
    """(when, what was said, what was true) after each step."""
    request = ask(count=count, steps=STEPS).model_copy(update={"batch_size": batch})
    estimate = Estimate(request, pace)
    now, said = 10.0, []
    for first in range(0, count, batch):
        for step in range(1, STEPS + 1):
            now += STEP
            said.append((now, estimate.step(Step(first, step, STEPS), now)))
        now += DECODE
        for index in range(first, min(first + batch, count)):
            estimate.saved(index, now)
    return [(when, left, now - when) for when, left in said]


def test_nothing_is_said_before_two_steps_were_seen() -> None:
    said = [left for _, left, _ in run(2, Pace())]
    assert said[0] is None
    assert all(left is not None for left in said[1:])


@pytest.mark.parametrize(("count", "batch"), [(1, 1), (3, 1), (4, 2), (5, 2)])
def test_it_is_right_once_the_pace_is_known(count: int, batch: int) -> None:
    pace = Pace()
    run(2 * batch, pace, batch)
    for _, left, true in run(count, pace, batch)[1:]:
        assert left == pytest.approx(true)


def test_decoding_counts_from_the_first_picture_though_it_was_never_measured() -> None:
    _, left, true = run(1, Pace())[-1]
    assert left == pytest.approx(2 * STEP)
    assert true == DECODE


def test_the_pace_is_learned_within_a_job() -> None:
    said = run(3, Pace())
    for _, left, true in said[STEPS:]:
        assert left == pytest.approx(true)


def test_the_pace_grows_with_the_pixels() -> None:
    pace = Pace()
    run(1, pace)
    large = Estimate(ask(steps=STEPS).model_copy(update={"width": 128, "height": 128}), pace)
    large.step(Step(0, STEPS - 1, STEPS), 0.0)
    assert large.step(Step(0, STEPS, STEPS), STEP) == pytest.approx(4 * DECODE)


def test_a_clock_that_stands_still_does_not_divide_by_zero() -> None:
    estimate = Estimate(ask(steps=2), Pace())
    estimate.step(Step(0, 1, 2), 5.0)
    assert estimate.step(Step(0, 2, 2), 5.0) == 0.0
