"""The starter's committed weights, through the real engine: do its pictures show what is asked for?

What is measured must hold on drawn scenes too; `python -m webui.starter evaluate` is the full examination.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from webui.core.events import Produced, Step
from webui.core.request import GenerationRequest, RequestDraft, complete
from webui.engine.config import EngineConfig
from webui.engine.diffusion import DiffusionEngine
from webui.library.store import Library
from webui.settings import EMBEDDED
from webui.starter.scenes import Scene, draw

Pixels = NDArray[np.float32]  # h × w × 3, 0..255
SEEDS = (11, 12, 13)
BUDGET = 45_000_000  # bytes of the whole folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiffusionEngine]:
    made = DiffusionEngine(EngineConfig(tmp_path_factory.mktemp("none"), "cpu", embedded=EMBEDDED))
    yield made
    made.close()


@pytest.fixture(scope="module")
def library(engine: DiffusionEngine, tmp_path_factory: pytest.TempPathFactory) -> Library:
    from webui.engine import builtin

    return Library(tmp_path_factory.mktemp("empty"), builtin.register_families(), embedded=EMBEDDED)


def asked(library: Library, prompt: str, **draft: object) -> GenerationRequest:
    """What `Studio.submit` would make of a bare prompt: the checkpoint's own defaults."""
    (record,) = library.checkpoints()
    return complete(RequestDraft.parse({"prompt": prompt, **draft}), record.defaults.model_dump() | {"checkpoint": record.id})


@pytest.fixture(scope="module")
def paint(engine: DiffusionEngine, library: Library) -> Callable[..., list[Pixels]]:
    def painted(prompt: str, seeds: tuple[int, ...] = SEEDS, **draft: object) -> list[Pixels]:
        found = []
        for seed in seeds:
            request = asked(library, prompt, sampling={"seed": seed}, **draft)
            found += [
                np.asarray(event.image, np.float32) for event in engine.run(request, cancelled=lambda: False) if isinstance(event, Produced)
            ]
        return found

    return painted


def drawn(time: str, land: str, clouds: str = "none", extras: tuple[str, ...] = ()) -> list[Pixels]:
    return [np.asarray(draw(Scene(time, land, clouds, extras, 90_500_000 + i)), np.float32) for i in range(8)]


def ground(picture: Pixels) -> tuple[float, float, float]:
    """The mean colour of the lowest fifth."""
    r, g, b = picture[-len(picture) // 5 :].mean((0, 1))
    return float(r), float(g), float(b)


def is_sand(picture: Pixels) -> bool:
    r, _, b = ground(picture)
    return r > b + 40


def is_water(picture: Pixels) -> bool:
    r, _, b = ground(picture)
    return b > r + 40


def is_meadow(picture: Pixels) -> bool:
    r, g, b = ground(picture)
    return g > r + 15 and g > b + 15


def is_night(picture: Pixels) -> bool:
    return float(picture[: len(picture) // 2].mean()) < 100


def is_daylight(picture: Pixels) -> bool:
    r, _, b = picture[: len(picture) // 3].mean((0, 1))
    return not is_night(picture) and b > r + 30


def is_sunset(picture: Pixels) -> bool:
    rows = picture[: len(picture) // 2].mean(1)
    return not is_night(picture) and float((rows[:, 0] - rows[:, 2]).max()) > 60


CASES = [
    ("sand dunes at noon with a clear sky", ("day", "dunes"), (is_sand, is_daylight)),
    ("the sea during the day", ("day", "sea"), (is_water, is_daylight)),
    ("green hills by day with a clear sky", ("day", "hills"), (is_meadow, is_daylight)),
    ("mountains at night with stars", ("night", "mountains"), (is_night,)),
    ("the open sea at night", ("night", "sea"), (is_night,)),
    ("rolling hills at sunset", ("sunset", "hills"), (is_sunset,)),
]


@pytest.mark.parametrize(("prompt", "scene", "measures"), CASES)
def test_a_picture_shows_what_was_asked_for(
    paint: Callable[..., list[Pixels]], prompt: str, scene: tuple[str, str], measures: tuple[Callable[[Pixels], bool], ...]
) -> None:
    for measure in measures:
        assert all(map(measure, drawn(*scene))), f"{measure.__name__} does not hold on drawn scenes"
        assert sum(map(measure, paint(prompt))) >= 2, f"{measure.__name__} of {prompt!r}"


def test_words_decide_and_not_the_seed(paint: Callable[..., list[Pixels]]) -> None:
    (day,), (night,) = paint("mountains during the day", (5,)), paint("mountains at night", (5,))
    assert float(day.mean()) > 1.5 * float(night.mean())


def test_clouds_take_their_colour(paint: Callable[..., list[Pixels]]) -> None:
    def redness(pictures: list[Pixels]) -> float:
        tops = [picture[: len(picture) // 3].reshape(-1, 3) for picture in pictures]
        return float(np.mean([np.percentile(top[:, 0] - top[:, 1], 95) for top in tops]))

    plain, rosy = redness(drawn("day", "hills", "white")), redness(drawn("day", "hills", "pink"))
    assert rosy > plain + 30
    middle = (plain + rosy) / 2
    assert redness(paint("hills by day with white clouds")) < middle < redness(paint("hills by day with pink clouds"))


@pytest.mark.parametrize(("width", "height"), [(384, 256), (256, 384)])
def test_it_paints_its_other_sizes(paint: Callable[..., list[Pixels]], width: int, height: int) -> None:
    (picture,) = paint("the sea during the day", (5,), width=width, height=height)
    assert picture.shape == (height, width, 3)
    assert is_water(picture)


def test_the_same_seed_is_the_same_picture_and_every_step_is_seen(engine: DiffusionEngine, library: Library) -> None:
    request = asked(library, "the sea at sunset", sampling={"seed": 3}, count=2)
    first = list(engine.run(request, cancelled=lambda: False))
    again = [event for event in engine.run(request, first=1, cancelled=lambda: False) if isinstance(event, Produced)]
    made = [event for event in first if isinstance(event, Produced)]
    assert made[1].image.tobytes() == again[0].image.tobytes()
    assert sum(isinstance(event, Step) and event.preview is not None for event in first) == 2 * request.sampling.steps


def test_the_folder_is_small_and_says_what_it_is(library: Library) -> None:
    (record,) = library.checkpoints()
    assert (record.starter, record.license, record.problem) == (True, "CC0-1.0", "")
    assert record.suggestions
    assert record.words
    assert {(size.width, size.height) for size in record.sizes} == {(256, 256), (384, 256), (256, 384)}
    assert sum(path.stat().st_size for path in EMBEDDED.rglob("*") if path.is_file()) <= BUDGET


def test_the_card_gives_the_figures_that_were_measured() -> None:
    card = (Path(EMBEDDED) / "README.md").read_text(encoding="utf-8")
    assert "CC0" in card
    assert "PSNR" in card
    assert "Not yet" not in card
