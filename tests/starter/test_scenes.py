import numpy as np
import pytest

from webui.starter.captions import CLOUD_WORDS, EXTRA_WORDS, LAND_WORDS, TIME_WORDS, caption, describe, every_phrase, known_words, tidy
from webui.starter.scenes import CLOUDS, EXTRAS, LANDS, SIZES, TIMES, Scene, draw, fits, sample


@pytest.mark.parametrize("size", SIZES)
def test_a_scene_is_the_same_picture_every_time(size: tuple[int, int]) -> None:
    first, second = draw(sample(5), size), draw(sample(5), size)
    assert first.size == size
    assert first.tobytes() == second.tobytes()


def test_other_seeds_are_other_pictures() -> None:
    assert len({draw(sample(seed)).tobytes() for seed in range(12)}) == 12


@pytest.mark.parametrize("land", LANDS)
@pytest.mark.parametrize("time", TIMES)
def test_every_land_is_drawn_at_every_hour(land: str, time: str) -> None:
    extras = tuple(extra for extra in EXTRAS if fits(extra, time, land))
    pixels = np.asarray(draw(Scene(time, land, "white", extras, 3)))
    assert pixels.shape == (256, 256, 3)
    assert pixels.std() > 10


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_changes_the_picture_and_nothing_else_moves(extra: str) -> None:
    time = "night" if extra in ("moon", "stars") else "day"
    land = "sea" if extra == "sailboat" else "hills"
    without = np.asarray(draw(Scene(time, land, "none", (), 8))).astype(int)
    changed = (np.abs(np.asarray(draw(Scene(time, land, "none", (extra,), 8))) - without).max(-1) > 24).mean()
    assert 0.0005 < changed < 0.35


def test_cloud_colours_differ() -> None:
    pictures = [np.asarray(draw(Scene("day", "hills", clouds, (), 2))).astype(int) for clouds in CLOUDS]
    for i, first in enumerate(pictures):
        for second in pictures[:i]:
            assert np.abs(first - second).max() > 40


def test_samples_hold_only_what_fits_and_cover_everything() -> None:
    scenes = [sample(seed) for seed in range(800)]
    for scene in scenes:
        assert all(fits(extra, scene.time, scene.land) for extra in scene.extras)
        assert scene.extras == tuple(extra for extra in EXTRAS if extra in scene.extras)
    assert {scene.time for scene in scenes} == set(TIMES)
    assert {scene.land for scene in scenes} == set(LANDS)
    assert {scene.clouds for scene in scenes} == set(CLOUDS)
    assert {extra for scene in scenes for extra in scene.extras} == set(EXTRAS)


def test_captions_name_what_they_say_they_name() -> None:
    for seed in range(400):
        scene = sample(seed)
        text, named = describe(scene, np.random.default_rng(seed))
        assert not named["time"] or any(words in text for words in TIME_WORDS[scene.time])
        assert not named["clouds"] or any(words in text for words in CLOUD_WORDS[scene.clouds])
        for extra in EXTRAS:
            assert not named.get(extra, False) or any(words in text for words in EXTRA_WORDS[extra])
        for other in set(EXTRAS) - set(scene.extras) - {"pine trees"}:
            assert EXTRA_WORDS[other][0] not in text


def test_captions_vary_and_repeat_with_their_stream() -> None:
    scene = sample(17)
    texts = {caption(scene, np.random.default_rng(i)) for i in range(50)}
    assert len(texts) > 40
    assert caption(scene, np.random.default_rng(1)) == caption(scene, np.random.default_rng(1))


def test_the_prompt_of_the_product_can_be_said() -> None:
    prompt = "a majestic mountain landscape at sunset with golden clouds"
    assert "a {} mountain landscape" in LAND_WORDS["mountains"]
    assert "at sunset" in TIME_WORDS["sunset"]
    assert "golden clouds" in CLOUD_WORDS["golden"]
    assert set(prompt.split()) <= set(" ".join(every_phrase()).split()) | {"with"}


def test_tidy_puts_articles_right() -> None:
    assert tidy("a  ocean and an quiet sea , by day") == "an ocean and a quiet sea, by day"


def test_known_words_cover_every_kind() -> None:
    words = known_words()
    assert len(words["time of day"]) == len(TIMES)
    assert len(words["land"]) == len(LANDS)
    assert len(words["clouds"]) == len(CLOUDS)
    assert len(words["extras"]) == len(EXTRAS)
    assert all(word == tidy(word) for group in words.values() for word in group)
