"""The upper half of a scene: sky, stars, sun or moon, clouds, birds."""

from dataclasses import dataclass

import numpy as np

from webui.starter import palette
from webui.starter.canvas import Array, Canvas, gradient

Rng = np.random.Generator
Spot = tuple[float, float, float]  # x, y, radius in pixels


@dataclass(frozen=True, slots=True)
class Sky:
    """What the painter of the sky has to know."""

    time: str
    clouds: str
    extras: tuple[str, ...]
    skyline: Array  # for each column the y where the land begins
    horizon: float  # y of the horizon


def paint_sky(canvas: Canvas, sky: Sky, seed: int) -> float | None:
    """Paint the sky and say at which x the sun or moon stands, if there is one."""
    stops = palette.SKY[sky.time]
    canvas.pixels[:] = gradient(stops, np.minimum(canvas.y / sky.horizon, 1.0)[:, :1])
    light = _light(canvas, sky, np.random.default_rng((seed, 3)))
    if "stars" in sky.extras:
        _stars(canvas, sky, light, np.random.default_rng((seed, 4)))
    if "moon" in sky.extras:
        _moon(canvas, light)
    elif sky.time != "night":
        _sun(canvas, sky, light)
    lit = bool({"sun", "moon"} & set(sky.extras))
    if sky.clouds != "none":
        _clouds(canvas, sky, light if lit else None, np.random.default_rng((seed, 5)))
    if "birds" in sky.extras:
        _birds(canvas, sky, light, np.random.default_rng((seed, 6)))
    return light[0] if lit else None


def _light(canvas: Canvas, sky: Sky, rng: Rng) -> Spot:
    """Where the sun or moon stands: high by day and night, just over the skyline at dawn and sunset."""
    unit = min(canvas.width, canvas.height)
    x = canvas.width * rng.uniform(0.18, 0.82)
    if sky.time in ("day", "night"):
        return x, canvas.height * rng.uniform(0.15, 0.26), unit * rng.uniform(0.068, 0.082)
    radius = unit * rng.uniform(0.085, 0.105)
    return x, float(sky.skyline[int(x)]) - radius * rng.uniform(0.15, 0.9), radius


def _sun(canvas: Canvas, sky: Sky, light: Spot) -> None:
    x, y, radius = light
    body, halo = palette.SUN[sky.time]
    low = sky.time != "day"
    shown = "sun" in sky.extras
    canvas.glow(x, y, radius * (4.2 if low else 3.0), halo, (0.6 if low else 0.55) * (1.0 if shown else 0.5))
    if shown:
        canvas.glow(x, y, radius * 1.5, body, 0.55)
        canvas.disc(x, y, radius, body)


def _moon(canvas: Canvas, light: Spot) -> None:
    x, y, radius = light
    body, halo = palette.MOON
    canvas.glow(x, y, radius * 2.6, halo, 0.55)
    canvas.disc(x, y, radius, body)
    for dx, dy, size in ((-0.3, -0.25, 0.24), (0.35, 0.1, 0.18), (-0.1, 0.45, 0.15)):
        canvas.disc(x + dx * radius, y + dy * radius, size * radius, (214, 212, 200))


def _stars(canvas: Canvas, sky: Sky, light: Spot, rng: Rng) -> None:
    """Stars a few pixels across on a jittered grid, so that none of them merge."""
    unit = min(canvas.width, canvas.height)
    pitch = unit / 7.5
    for row in range(int(canvas.height / pitch) + 1):
        for column in range(int(canvas.width / pitch) + 1):
            x, y = (column + rng.uniform(0.1, 0.9)) * pitch, (row + rng.uniform(0.1, 0.9)) * pitch
            size, keep = unit / 256 * rng.choice((1.3, 1.7, 2.3)), rng.random() < 0.8
            near = (x - light[0]) ** 2 + (y - light[1]) ** 2 < (2.0 * light[2]) ** 2
            if keep and not near and x < canvas.width and y < sky.skyline[int(x)] - 8:
                canvas.disc(x, y, size, (255, 252, 232))


def _clouds(canvas: Canvas, sky: Sky, light: Spot | None, rng: Rng) -> None:
    unit = min(canvas.width, canvas.height)
    count = int(rng.integers(3, 5)) + round(canvas.width / unit - 1)
    roof = 0.07 * canvas.height
    floor = min(0.62 * sky.horizon, max(0.3 * canvas.height, float(np.median(sky.skyline)) - 0.1 * unit))
    columns = rng.permutation(count)
    for i in range(count):
        half = unit * rng.uniform(0.13, 0.21)
        x = canvas.width * (columns[i] + rng.uniform(0.2, 0.8)) / count
        y = roof + (floor - roof) * (i + rng.uniform(0.3, 1.0)) / count
        if light is not None and abs(x - light[0]) < half + light[2] and abs(y - light[1]) < 2.2 * light[2]:
            x += (1 if x > light[0] else -1) * (half * 0.5 + light[2])
        _cloud(canvas, sky, (x, y, half), rng)


def _cloud(canvas: Canvas, sky: Sky, spot: Spot, rng: Rng) -> None:
    """A flat-based heap of round puffs, lit from above: (x, y of the base, half width)."""
    x, base, half = spot
    puffs = [(x + half * t, half * (0.36 - 0.2 * abs(t)) * rng.uniform(0.9, 1.25)) for t in (-0.66, -0.25, 0.2, 0.62)]
    left, right = int(max(0, x - half - 3)), int(min(canvas.width, x + half + 3))
    top, bottom = int(max(0, base - half)), int(min(canvas.height, base + half * 0.3))
    if right <= left or bottom <= top:
        return
    px, py = canvas.x[:, left:right], canvas.y[top:bottom]
    inside = np.full((bottom - top, right - left), -1e3, np.float32)
    for cx, radius in puffs:
        inside = np.maximum(inside, radius - np.hypot(px - cx, py - (base - radius * 0.75)))
    ends = 0.13 * half  # the rounded slab that joins the puffs
    gap = np.hypot(np.maximum(np.abs(px - x) - (half - ends), 0.0), py - (base - ends))
    inside = np.minimum(np.maximum(inside, ends - gap), base - py)
    lit, shaded = palette.CLOUD[sky.clouds]
    depth = np.clip((py - (base - 0.62 * half)) / (0.62 * half), 0.0, 1.0)
    dim = palette.CLOUD_LIGHT[sky.time]
    colour = gradient(((0.0, lit), (0.45, lit), (1.0, shaded)), depth) * np.float32(dim)
    canvas.over(colour, np.clip(inside + 0.5, 0.0, 1.0).astype(np.float32) * 0.97, top, left)


def _birds(canvas: Canvas, sky: Sky, light: Spot, rng: Rng) -> None:
    """A small flock of gulls, drawn as two bent wings each."""
    unit = min(canvas.width, canvas.height)
    side = 0.28 if light[0] > canvas.width / 2 else 0.72
    x, y = canvas.width * (side + rng.uniform(-0.06, 0.06)), canvas.height * rng.uniform(0.28, 0.36)
    offsets = ((0.0, 0.0), (0.14, 0.06), (-0.13, 0.075), (0.03, 0.13))[: int(rng.integers(3, 5))]
    for dx, dy in offsets:
        _bird(canvas, x + dx * unit, y + dy * unit, unit * rng.uniform(0.055, 0.068))


def _bird(canvas: Canvas, x: float, y: float, wing: float) -> None:
    thick = wing * 0.24
    t = np.linspace(0.0, 1.0, 9)
    for side in (-1, 1):
        upper = [(x + side * wing * a, y - wing * 0.62 * np.sin(np.pi * 0.72 * a)) for a in t]
        lower = [(px, py + thick * (1.0 - 0.75 * a)) for (px, py), a in zip(upper, t, strict=True)]
        canvas.polygons([[(float(a), float(b)) for a, b in upper + lower[::-1]]], (34, 34, 56))
