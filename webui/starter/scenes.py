"""Procedural landscape scenes: what is in one (`Scene`), and how one is drawn."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from webui.starter.canvas import Canvas
from webui.starter.terrain import Land, build_land
from webui.starter.things import paint_things
from webui.starter.weather import Sky, paint_sky

TIMES: Final = ("dawn", "day", "sunset", "night")
LANDS: Final = ("mountains", "snowy mountains", "hills", "dunes", "sea", "islands", "forest")
CLOUDS: Final = ("none", "white", "golden", "pink", "grey")
EXTRAS: Final = ("sun", "moon", "stars", "lake", "cabin", "pine trees", "sailboat", "birds")
SIZES: Final = ((256, 256), (384, 256), (256, 384))  # width, height

_CLOUD_ODDS: Final[dict[str, tuple[float, ...]]] = {  # in the order of CLOUDS
    "dawn": (0.22, 0.17, 0.19, 0.24, 0.18),
    "day": (0.24, 0.38, 0.08, 0.08, 0.22),
    "sunset": (0.22, 0.08, 0.32, 0.20, 0.18),
    "night": (0.36, 0.34, 0.0, 0.0, 0.30),
}
_MEADOWS: Final = ("mountains", "snowy mountains", "hills", "forest")
_EXTRA_ODDS: Final = {
    "sun": 0.6, "moon": 0.66, "stars": 0.62, "lake": 0.4, "cabin": 0.38, "pine trees": 0.42, "sailboat": 0.5, "birds": 0.32,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """What is in a picture; two equal scenes of one size are the same picture."""

    time: str  # of TIMES
    land: str  # of LANDS
    clouds: str  # of CLOUDS
    extras: tuple[str, ...]  # of EXTRAS, in that order
    seed: int  # places, sizes and counts


def fits(extra: str, time: str, land: str) -> bool:
    """Whether a thing can be in such a picture: no sun at night, no cabin on the sea."""
    if extra in ("moon", "stars"):
        return time == "night"
    if extra in ("sun", "birds"):
        return time != "night"
    if extra == "sailboat":
        return land in ("sea", "islands")
    if extra == "pine trees":
        return land in _MEADOWS and land != "forest"
    return land in _MEADOWS


def sample(seed: int) -> Scene:
    """Draw a scene at random; the same seed gives the same scene."""
    rng = np.random.default_rng((seed, 1))
    time = str(rng.choice(TIMES))
    land = str(rng.choice(LANDS))
    clouds = str(rng.choice(CLOUDS, p=_CLOUD_ODDS[time]))
    wanted = rng.random(len(EXTRAS))
    extras = tuple(extra for extra, chance in zip(EXTRAS, wanted, strict=True) if fits(extra, time, land) and chance < _EXTRA_ODDS[extra])
    return Scene(time, land, clouds, extras, seed)


def draw(scene: Scene, size: tuple[int, int] = SIZES[0]) -> Image.Image:
    """Paint a scene, back to front; `size` is width, height in pixels."""
    width, height = size
    canvas = Canvas(width, height)
    land: Land = build_land(scene.land, scene.time, width, height, _stream(scene, 2))
    sky = Sky(scene.time, scene.clouds, scene.extras, land.skyline, land.horizon)
    glitter = paint_sky(canvas, sky, scene.seed)
    land.paint(canvas, glitter)
    paint_things(canvas, scene.time, scene.extras, _stream(scene, 9))
    return canvas.image()


def _stream(scene: Scene, purpose: int) -> np.random.Generator:
    """A stream of random numbers for each purpose, so that a moon more does not move the mountains."""
    return np.random.default_rng((scene.seed, purpose))
