"""The land of a scene: ridges, dunes, hills, trees in rows, and the sea."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from webui.starter import palette
from webui.starter.canvas import Array, Canvas, gradient

Rng = np.random.Generator
Paint = Callable[[Canvas, float | None], None]  # canvas, x of the sun's or moon's reflection
Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Land:
    """Land that knows its outline before it is painted, so that the sun can stand on it."""

    skyline: Array  # for each column the y where the land begins
    horizon: float
    paint: Paint


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when the land lies."""

    kind: str
    time: str
    width: int
    height: int

    @property
    def unit(self) -> int:
        return min(self.width, self.height)

    def colour(self, base: tuple[float, float, float], haze: float = 0.0, glow: float = 0.0) -> Colour:
        """`base` in the light of the hour, `haze` 0..1 of the way to the horizon's colour; `glow` resists the dark."""
        horizon = palette.SKY[self.time][-1][1]
        light = [k + (1.0 - k) * glow for k in palette.LIGHT[self.time]]
        lit = [b * k + (h - b * k) * haze for b, k, h in zip(base, light, horizon, strict=True)]
        return lit[0], lit[1], lit[2]


def build_land(kind: str, time: str, width: int, height: int, rng: Rng) -> Land:
    """Lay out the land of one scene; nothing is painted yet."""
    return _BUILDERS[kind](Place(kind, time, width, height), rng)


def _wave(place: Place, level: float, swing: float, rng: Rng, waves: float = 1.0) -> Array:
    """A smooth line about `level` (0..1 of the height) that swings by `swing` of the unit."""
    x = (np.arange(place.width, dtype=np.float32) + 0.5) / place.unit
    a, b = rng.uniform(0, 2 * np.pi, 2)
    pace = rng.uniform(0.85, 1.15) * waves * 2 * np.pi
    line = 0.7 * np.sin(x * pace + a) + 0.3 * np.sin(x * pace * 1.9 + b)
    ridge: Array = (place.height * level + place.unit * swing * line).astype(np.float32)
    return ridge


def _shaded(place: Place, ridge: Array, top: Colour, foot: Colour, reach: float) -> Array:
    """A colour map that goes from `top` at the ridge to `foot` `reach` units below it."""
    y = (np.arange(place.height, dtype=np.float32) + 0.5)[:, None]
    return gradient(((0.0, top), (1.0, foot)), np.clip((y - ridge[None, :]) / (reach * place.unit), 0.0, 1.0))


def _meadow(place: Place, rng: Rng, level: float = 0.76) -> Callable[[Canvas], None]:
    """The ground in front, on which lake, cabin and pines stand."""
    ridge = _wave(place, level, 0.015, rng, 0.7)
    near = palette.LAND[place.kind][2]
    bright = tuple(min(255.0, c * 1.16) for c in near)
    colours = _shaded(place, ridge, place.colour((bright[0], bright[1], bright[2]), 0.08), place.colour(near), 0.25)
    return lambda canvas: canvas.below(ridge, colours)


@dataclass(frozen=True, slots=True)
class Range:
    """One row of peaks."""

    ridge: Array  # for each column the y of the outline
    centre: Array  # for each column the x of the peak it belongs to
    summit: Array  # for each column the y of that peak's top


def _range(place: Place, level: float, heights: tuple[float, float], count: float, rng: Rng) -> Range:
    """Peaks side by side, their feet at `level` of the height; `heights` in units, `count` peaks per unit."""
    number = max(2, round(count * place.width / place.unit)) + 1
    x = np.arange(place.width, dtype=np.float32) + 0.5
    spots = (np.arange(number) + rng.uniform(-0.22, 0.22, number)) / (number - 1) * place.width
    tops = place.height * level - place.unit * rng.uniform(*heights, number)
    slopes = rng.uniform(0.62, 0.95, number)
    lines = tops[:, None] + np.abs(x[None, :] - spots[:, None]) * slopes[:, None]
    owner = lines.argmin(0)
    knots = np.arange(0, place.width + 12, 12)
    rough = np.interp(x, knots, rng.uniform(-1, 1, len(knots)))
    calm = np.clip(np.abs(x - spots[owner]) / 14, 0, 1)
    ridge = lines.min(0) + rough * calm * place.unit * 0.010
    return Range(ridge.astype(np.float32), spots[owner].astype(np.float32), tops[owner].astype(np.float32))


def _zigzag(x: Array, period: float, shift: float) -> Array:
    """A triangle wave, -1..1."""
    phase = np.mod(x / period + shift, 1.0)
    wave: Array = (4.0 * np.abs(phase - 0.5) - 1.0).astype(np.float32)
    return wave


def _paint_range(canvas: Canvas, place: Place, peaks: Range, haze: float, snow: bool, layer: int) -> None:
    """Two-sided peaks: the left face lit, the right one in shade, with a cap of snow where asked."""
    base = palette.LAND[place.kind][layer]
    lit = np.asarray(place.colour((base[0] * 1.14, base[1] * 1.14, base[2] * 1.14), haze), np.float32)
    dark = np.asarray(place.colour((base[0] * 0.80, base[1] * 0.80, base[2] * 0.84), haze), np.float32)
    depth = canvas.y - peaks.summit[None, :]
    fold = _zigzag(depth, place.unit * 0.17, 0.25) * place.unit * 0.022 + depth * 0.10
    side = np.clip((canvas.x - peaks.centre[None, :] - fold) * 0.7 + 0.5, 0.0, 1.0)[:, :, None]
    colours = lit + (dark - lit) * side
    if snow:
        white = np.asarray(place.colour((250, 252, 255), haze * 0.5, 0.55), np.float32)
        shade = np.asarray(place.colour((190, 206, 236), haze * 0.5, 0.45), np.float32)
        edge = place.unit * (0.125 + 0.026 * _zigzag(canvas.x - peaks.centre[None, :], place.unit * 0.085, 0.0))
        cap = np.clip((edge - depth) * 0.7 + 0.5, 0.0, 1.0)[:, :, None]
        colours = colours + (white + (shade - white) * side - colours) * cap
    canvas.below(peaks.ridge, colours.astype(np.float32))


def _mountains(place: Place, rng: Rng) -> Land:
    snow = place.kind == "snowy mountains"
    far = _range(place, 0.68, (0.24, 0.36), 2.2, rng)
    near = _range(place, 0.74, (0.15, 0.25), 2.6, rng)
    meadow = _meadow(place, rng)

    def paint(canvas: Canvas, _glitter: float | None) -> None:
        _paint_range(canvas, place, far, 0.36, snow, 0)
        _paint_range(canvas, place, near, 0.12, snow, 1)
        meadow(canvas)

    return Land(np.minimum(far.ridge, near.ridge), place.height * 0.68, paint)


def _hills(place: Place, rng: Rng) -> Land:
    far, middle, near = palette.LAND["hills"]
    rows = (
        (_wave(place, 0.56, 0.045, rng, 0.9), far, 0.30),
        (_wave(place, 0.64, 0.045, rng, 0.8), middle, 0.10),
        (_wave(place, 0.76, 0.04, rng, 0.6), near, 0.0),
    )

    def paint(canvas: Canvas, _glitter: float | None) -> None:
        for ridge, base, haze in rows:
            bright = (base[0] * 1.14, base[1] * 1.1, base[2] * 1.14)
            top, foot = place.colour(bright, haze), place.colour((base[0] * 0.9, base[1] * 0.93, base[2] * 0.9), haze)
            canvas.below(ridge, _shaded(place, ridge, top, foot, 0.22))

    return Land(np.minimum(rows[0][0], rows[1][0]), place.height * 0.6, paint)


def _dune(place: Place, level: float, swing: float, rng: Rng) -> Range:
    """A row of dunes: long windward slopes, rounded tops."""
    count = max(2, round(1.7 * place.width / place.unit))
    x = np.arange(place.width, dtype=np.float32) + 0.5
    spots = (np.arange(count) + rng.uniform(0.15, 0.85, count)) / count * place.width
    tops = place.height * level - place.unit * rng.uniform(0.6, 1.0, count) * swing
    width = place.unit * rng.uniform(0.24, 0.34, count)
    reach = (x[None, :] - spots[:, None]) / width[:, None]
    lines = tops[:, None] + (1.0 - np.exp(-reach * reach)) * place.unit * swing * 1.3
    owner = lines.argmin(0)
    return Range(lines.min(0).astype(np.float32), spots[owner].astype(np.float32), tops[owner].astype(np.float32))


def _until_next(centre: Array, reach: float) -> Array:
    """0..1 for each column: 1 well before the next dune to the right begins, 0 where it does."""
    ends = np.append(np.flatnonzero(np.diff(centre) > 0) + 1, 10 * len(centre))
    columns = np.arange(len(centre))
    away = ends[np.searchsorted(ends, columns, side="right")] - columns
    return np.clip(away / reach, 0.0, 1.0).astype(np.float32)


def _dunes(place: Place, rng: Rng) -> Land:
    rows = [_dune(place, level, swing, rng) for level, swing in ((0.58, 0.07), (0.68, 0.11), (0.82, 0.13))]
    skyline = np.minimum(rows[0].ridge, rows[1].ridge)

    def paint(canvas: Canvas, _glitter: float | None) -> None:
        for row, base, haze in zip(rows, palette.LAND["dunes"], (0.25, 0.08, 0.0), strict=True):
            lit = np.asarray(place.colour((base[0] * 1.05, base[1] * 1.05, base[2] * 1.08), haze), np.float32)
            dark = np.asarray(place.colour((base[0] * 0.74, base[1] * 0.68, base[2] * 0.66), haze), np.float32)
            depth = canvas.y - row.summit[None, :]
            crest = row.centre[None, :] + depth * 0.9 + np.sin(depth / (0.06 * place.unit)) * 0.035 * place.unit
            near = np.clip(1.0 - depth / (0.34 * place.unit), 0.0, 1.0) * _until_next(row.centre, 0.2 * place.unit)
            side = (np.clip((canvas.x - crest) * 0.6 + 0.5, 0.0, 1.0) * near)[:, :, None]
            canvas.below(row.ridge, (lit + (dark - lit) * side).astype(np.float32))

    return Land(skyline, place.height * 0.6, paint)


def _treeline(place: Place, level: float, size: float, rng: Rng) -> Array:
    """The outline of a row of firs: each a triangle of three tiers; `size` is a tree's height in units."""
    x = np.arange(place.width, dtype=np.float32) + 0.5
    pitch = place.unit * size * 0.36
    foot = place.height * level
    line = np.full(place.width, foot, np.float32)
    for i in range(-1, int(place.width / pitch) + 2):
        centre = (i + rng.uniform(0.3, 0.7)) * pitch
        tall = place.unit * size * rng.uniform(0.72, 1.1)
        away = np.abs(x - centre) / (tall * 0.30)  # 0 at the trunk, 1 at the skirt
        tiers = np.where(away < 1.0, np.clip(away + 0.10 * _zigzag(away * tall, tall * 0.34, 0.5), 0.0, 1.0), 1.0)
        line = np.minimum(line, foot - tall * (1.0 - tiers)).astype(np.float32)
    return line


def _forest(place: Place, rng: Rng) -> Land:
    far, middle, near = palette.LAND["forest"]
    rows = (
        (_treeline(place, 0.56, 0.13, rng), far, 0.42),
        (_treeline(place, 0.66, 0.20, rng), middle, 0.16),
        (_treeline(place, 0.79, 0.30, rng), near, 0.0),
    )
    ground = _wave(place, 0.79, 0.012, rng, 0.7)

    def paint(canvas: Canvas, _glitter: float | None) -> None:
        for ridge, base, haze in rows:
            top, foot = place.colour((base[0] * 1.15, base[1] * 1.1, base[2] * 1.1), haze), place.colour(base, haze)
            canvas.below(ridge, _shaded(place, ridge, top, foot, 0.2))
        floor = _shaded(place, ground, place.colour((112, 156, 84)), place.colour((84, 128, 66)), 0.22)
        canvas.below(ground, floor)

    return Land(np.minimum(rows[0][0], rows[1][0]), place.height * 0.54, paint)


def _paint_water(canvas: Canvas, place: Place, level: float, glitter: float | None, rng: Rng) -> None:
    """Water from the horizon down, a few long glints, and the light's path on it."""
    far, near, _ = palette.LAND["sea"]
    ridge = np.full(place.width, level, np.float32)
    stops = ((0.0, place.colour(far, 0.5)), (0.35, place.colour(far, 0.15)), (1.0, place.colour(near)))
    depth = np.clip((canvas.y - level) / (place.height - level), 0.0, 1.0)[:, :1]
    canvas.below(ridge, np.repeat(gradient(stops, depth), place.width, axis=1))
    shine = place.colour((196, 228, 244), 0.25)
    for i in range(9):
        t = (i + rng.uniform(0.3, 0.9)) / 9
        y = level + (place.height - level) * t
        long = place.unit * (0.05 + 0.09 * t) * rng.uniform(0.8, 1.2)
        canvas.ellipse(place.width * rng.random(), y, long, place.unit * (0.0045 + 0.004 * t), shine, 0.5)
    if glitter is not None:
        body = palette.MOON[0] if place.time == "night" else palette.SUN[place.time][0]
        for i in range(7):
            t = (i + 0.6) / 7
            long = place.unit * (0.10 - 0.035 * t) * rng.uniform(0.75, 1.15)
            y = level + (place.height - level) * t * 0.85
            canvas.ellipse(glitter + place.unit * rng.uniform(-0.02, 0.02), y, long, place.unit * 0.0095, body, 0.72)


def _sea(place: Place, rng: Rng) -> Land:
    level = place.height * float(rng.uniform(0.56, 0.62))
    noise = int(rng.integers(1 << 31))

    def paint(canvas: Canvas, glitter: float | None) -> None:
        _paint_water(canvas, place, level, glitter, np.random.default_rng(noise))

    return Land(np.full(place.width, level, np.float32), level, paint)


def _islands(place: Place, rng: Rng) -> Land:
    level = place.height * float(rng.uniform(0.55, 0.60))
    noise = int(rng.integers(1 << 31))
    count = int(rng.integers(2, 4))
    order = rng.permutation(count)
    isles = [
        (
            place.width * (order[i] + rng.uniform(0.3, 0.7)) / count,
            level + place.height * (0.025 + 0.045 * i),
            place.unit * rng.uniform(0.13, 0.20) * (1 + 0.12 * i),
            rng.uniform(0.55, 0.8),
        )
        for i in range(count)
    ]

    def paint(canvas: Canvas, glitter: float | None) -> None:
        _paint_water(canvas, place, level, glitter, np.random.default_rng(noise))
        for i, (x, foot, half, steep) in enumerate(isles):
            _isle(canvas, place, (x, foot, half), steep, 0.28 - 0.11 * i)

    return Land(np.full(place.width, level, np.float32), level, paint)


def _isle(canvas: Canvas, place: Place, spot: tuple[float, float, float], steep: float, haze: float) -> None:
    """A green two-humped island on a rim of sand: (x, y of its foot, half width)."""
    x, foot, half = spot
    canvas.ellipse(x, foot + half * 0.12, half * 1.08, half * 0.11, place.colour((36, 92, 128), haze), 0.6)
    canvas.ellipse(x, foot, half * 1.1, half * 0.13, place.colour((240, 216, 160), haze))
    away = (np.arange(place.width, dtype=np.float32) + 0.5 - x) / half
    hump = np.maximum(1.0 - (away / 0.98) ** 2, 0.0) * 0.72
    second = np.maximum(1.0 - ((away + 0.28) / 0.55) ** 2, 0.0)
    tall = half * steep * np.maximum(hump, second)
    green = palette.LAND["islands"][2]
    ridge = (foot - tall).astype(np.float32)
    left, right = max(0, int(x - half)), min(place.width, int(x + half) + 1)
    top = max(0, int(ridge.min()) - 2)
    bottom = int(foot + half * 0.02)
    if right <= left:
        return
    rows = canvas.y[top:bottom]
    alpha = np.clip((rows - ridge[None, left:right]) * 0.8 + 0.5, 0.0, 1.0) * (tall[left:right] > 0.5)[None, :]
    depth = np.clip((rows - ridge[None, left:right]) / (half * steep), 0.0, 1.0)
    lit, dark = place.colour((green[0] * 1.2, green[1] * 1.1, green[2] * 1.1), haze), place.colour((44, 104, 62), haze)
    canvas.over(gradient(((0.0, lit), (1.0, dark)), depth), alpha.astype(np.float32), top, left)


_BUILDERS: Final[dict[str, Callable[[Place, Rng], Land]]] = {
    "mountains": _mountains,
    "snowy mountains": _mountains,
    "hills": _hills,
    "dunes": _dunes,
    "forest": _forest,
    "sea": _sea,
    "islands": _islands,
}
