"""What stands in the foreground of a scene: lake, cabin, pine trees, sailboat."""

import numpy as np

from webui.starter import palette
from webui.starter.canvas import Canvas

Rng = np.random.Generator
Colour = tuple[float, float, float]


def paint_things(canvas: Canvas, time: str, extras: tuple[str, ...], rng: Rng) -> None:
    """Paint the foreground back to front; cabin and pines keep to opposite sides of the lake."""
    left = bool(rng.random() < 0.5)
    cabin_x, pines_x, lake_x = (0.2, 0.8, 0.5) if left else (0.8, 0.2, 0.5)
    if "lake" in extras:
        nudge = 0.06 * (("pine trees" in extras) - ("cabin" in extras)) * (-1 if left else 1)
        _lake(canvas, time, lake_x + nudge, rng)
    if "cabin" in extras:
        _cabin(canvas, time, cabin_x + rng.uniform(-0.03, 0.05), rng)
    if "pine trees" in extras:
        _pines(canvas, time, pines_x, rng)
    if "sailboat" in extras:
        _sailboat(canvas, time, rng)


def _lit(time: str, colour: Colour, glow: float = 0.0) -> Colour:
    """The colour in the light of the hour; `glow` 0..1 keeps it from going dark."""
    r, g, b = ((k + (1.0 - k) * glow) * c for k, c in zip(palette.LIGHT[time], colour, strict=True))
    return r, g, b


def _box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _lake(canvas: Canvas, time: str, at: float, rng: Rng) -> None:
    """A still lake that mirrors the lower sky, with a sandy rim."""
    unit = min(canvas.width, canvas.height)
    x, y = canvas.width * at, canvas.height * rng.uniform(0.875, 0.9)
    rx, ry = unit * rng.uniform(0.27, 0.33), unit * rng.uniform(0.062, 0.075)
    canvas.ellipse(x, y, rx * 1.05, ry * 1.13, _lit(time, (196, 178, 132)))
    sky = palette.SKY[time]
    water = tuple(0.55 * a + 0.45 * b for a, b in zip(sky[-1][1], sky[len(sky) // 2][1], strict=True))
    blue = 0.2 if time == "sunset" else 0.5
    deep = tuple((1 - blue) * a + blue * b for a, b in zip(water, (40, 110, 190), strict=True))
    shade = 0.9 if time != "night" else 1.15
    canvas.ellipse(x, y, rx, ry, [c * shade for c in deep])
    for dx, dy, size in ((-0.3, -0.3, 0.3), (0.25, 0.1, 0.36), (-0.15, 0.45, 0.25)):
        bright = [min(255.0, c * 1.1 + 18) for c in water]
        canvas.ellipse(x + dx * rx, y + dy * ry, size * rx, unit * 0.0065, bright, 0.75)


def _cabin(canvas: Canvas, time: str, at: float, rng: Rng) -> None:
    """A wooden cabin with a red roof; its window is lit after dark."""
    unit = min(canvas.width, canvas.height)
    w = unit * rng.uniform(0.165, 0.19)
    x, foot = canvas.width * at, canvas.height * rng.uniform(0.86, 0.9)
    h = w * 0.6
    glow = 0.22 if time == "night" else 0.1
    canvas.polygons([_box(x - w / 2, foot - h, x + w / 2, foot)], _lit(time, (166, 108, 62), glow))
    canvas.polygons([_box(x + w * 0.22, foot - h * 1.7, x + w * 0.36, foot - h)], _lit(time, (120, 92, 84), glow))
    roof = [(x - w * 0.64, foot - h * 0.94), (x, foot - h * 1.9), (x + w * 0.64, foot - h * 0.94)]
    canvas.polygons([roof], _lit(time, (204, 56, 44), glow))
    canvas.polygons([_box(x - w * 0.3, foot - h * 0.62, x - w * 0.06, foot)], _lit(time, (84, 52, 34), glow))
    window = (255, 222, 120) if time in ("night", "sunset") else (214, 236, 250)
    canvas.polygons([_box(x + w * 0.1, foot - h * 0.68, x + w * 0.36, foot - h * 0.26)], window)


def _pines(canvas: Canvas, time: str, at: float, rng: Rng) -> None:
    """Three or four tall pines in a group, the nearer the larger."""
    unit = min(canvas.width, canvas.height)
    spots = (-0.085, 0.075, -0.005, 0.13)[: int(rng.integers(3, 5))]
    for i, dx in enumerate(spots):
        x = canvas.width * at + unit * (dx + rng.uniform(-0.012, 0.012)) * (1 if at < 0.5 else -1)
        _pine(canvas, time, x, canvas.height * (0.84 + 0.03 * i), unit * rng.uniform(0.24, 0.29))


def _pine(canvas: Canvas, time: str, x: float, foot: float, tall: float) -> None:
    trunk = tall * 0.045
    canvas.polygons([_box(x - trunk, foot - tall * 0.2, x + trunk, foot)], _lit(time, (96, 66, 44)))
    tiers = ((0.12, 0.52, 0.25), (0.36, 0.76, 0.20), (0.6, 1.0, 0.145))
    for side, colour, glow in ((1, (26, 74, 54), 0.06), (-1, (48, 106, 70), 0.10)):
        halves = [
            [(x + side * tall * half, foot - tall * low), (x, foot - tall * high), (x, foot - tall * low)] for low, high, half in tiers
        ]
        canvas.polygons(halves, _lit(time, colour, glow))


def _sailboat(canvas: Canvas, time: str, rng: Rng) -> None:
    """A sailing boat with a white and a red sail and its reflection."""
    unit = min(canvas.width, canvas.height)
    x, y = canvas.width * rng.uniform(0.3, 0.7), canvas.height * rng.uniform(0.8, 0.86)
    s = unit * rng.uniform(0.24, 0.28)
    flip = 1 if rng.random() < 0.5 else -1
    canvas.ellipse(x, y + s * 0.1, s * 0.36, s * 0.045, _lit(time, (30, 76, 110)), 0.55)
    deck, keel = y - s * 0.08, y + s * 0.09
    hull = [(x - s * 0.36, deck), (x + s * 0.36, deck), (x + s * 0.22, keel), (x - s * 0.22, keel)]
    canvas.polygons([hull], _lit(time, (132, 72, 44), 0.15))
    canvas.polygons([_box(x - s * 0.014, y - s * 0.98, x + s * 0.014, y)], _lit(time, (92, 62, 46), 0.15))
    sail = [(x + flip * s * 0.03, y - s * 0.95), (x + flip * s * 0.36, y - s * 0.15), (x + flip * s * 0.03, y - s * 0.15)]
    canvas.polygons([sail], _lit(time, (255, 252, 244), 0.5))
    jib = [(x - flip * s * 0.03, y - s * 0.85), (x - flip * s * 0.28, y - s * 0.15), (x - flip * s * 0.03, y - s * 0.15)]
    canvas.polygons([jib], _lit(time, (226, 74, 60), 0.3))
