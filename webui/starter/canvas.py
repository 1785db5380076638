"""A small anti-aliased painter over NumPy: every shape is a coverage map laid over the picture."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float32]
Points = Sequence[tuple[float, float]]
_SUPER = 4  # polygons are drawn this much larger and averaged down


class Canvas:
    """A picture being painted: `pixels` is height × width × 3, float32, 0..255."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pixels: Array = np.zeros((height, width, 3), np.float32)
        self.x: Array = (np.arange(width, dtype=np.float32) + 0.5)[None, :]
        self.y: Array = (np.arange(height, dtype=np.float32) + 0.5)[:, None]

    def over(self, colour: Array | Sequence[float], alpha: Array, top: int = 0, left: int = 0) -> None:
        """Lay `colour` (3 values, or a map of them) over the window at (`left`, `top`); `alpha` 0..1."""
        height, width = alpha.shape
        window = self.pixels[top : top + height, left : left + width]
        window += alpha[:, :, None] * (np.asarray(colour, np.float32) - window)

    def below(self, ridge: Array, colour: Array | Sequence[float]) -> None:
        """Fill everything under the line `ridge` (width values, y downwards in pixels)."""
        slope = np.gradient(ridge)
        sharp = 1.0 / np.sqrt(1.0 + slope * slope)
        top = max(0, int(ridge.min()) - 2)
        if top >= self.height:
            return
        alpha = np.clip((self.y[top:] - ridge[None, :]) * sharp[None, :] + 0.5, 0.0, 1.0)
        colour = np.asarray(colour, np.float32)
        shown = colour[top:] if colour.ndim == 3 and colour.shape[0] > 1 else colour
        self.over(shown, alpha.astype(np.float32), top)

    def disc(self, cx: float, cy: float, radius: float, colour: Sequence[float], opacity: float = 1.0) -> None:
        """A round disc with a one-pixel soft rim."""
        self.ellipse(cx, cy, radius, radius, colour, opacity)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, colour: Array | Sequence[float], opacity: float = 1.0) -> None:
        """An upright ellipse; the rim is about one pixel soft in every direction."""
        window = self._window(cx - rx - 2, cy - ry - 2, cx + rx + 2, cy + ry + 2)
        if window is None:
            return
        left, top, right, bottom = window
        dx, dy = (self.x[:, left:right] - cx) / rx, (self.y[top:bottom] - cy) / ry
        radius = np.sqrt(dx * dx + dy * dy)
        grade = np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2) / np.maximum(radius, 1e-3)
        alpha = np.clip((1.0 - radius) / np.maximum(grade, 1e-6) + 0.5, 0.0, 1.0) * opacity
        self.over(colour, alpha.astype(np.float32), top, left)

    def glow(self, cx: float, cy: float, radius: float, colour: Sequence[float], strength: float) -> None:
        """Light that fades outwards as a Gaussian of standard deviation `radius`."""
        distance = (self.x - cx) ** 2 + (self.y - cy) ** 2
        self.over(colour, (strength * np.exp(-distance / (2 * radius * radius))).astype(np.float32))

    def polygons(self, shapes: Sequence[Points], colour: Sequence[float]) -> None:
        """Filled polygons of one colour, in pixels; drawn larger and averaged down."""
        xs = [x for shape in shapes for x, _ in shape]
        ys = [y for shape in shapes for _, y in shape]
        window = self._window(min(xs) - 1, min(ys) - 1, max(xs) + 1, max(ys) + 1)
        if window is None:
            return
        left, top, right, bottom = window
        mask = Image.new("L", ((right - left) * _SUPER, (bottom - top) * _SUPER))
        pen = ImageDraw.Draw(mask)
        for shape in shapes:
            pen.polygon([((x - left) * _SUPER, (y - top) * _SUPER) for x, y in shape], fill=255)
        self.over(colour, np.asarray(mask.reduce(_SUPER), np.float32) / 255.0, top, left)

    def image(self) -> Image.Image:
        """The finished picture, 8 bits a channel."""
        return Image.fromarray(np.clip(self.pixels + 0.5, 0, 255).astype(np.uint8))

    def _window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int] | None:
        left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
        right, bottom = min(self.width, int(np.ceil(x1))), min(self.height, int(np.ceil(y1)))
        return (left, top, right, bottom) if right > left and bottom > top else None


def gradient(stops: Sequence[tuple[float, Sequence[float]]], at: Array) -> Array:
    """Colour stops (position 0..1, colour) read at the positions `at`: shape of `at` + 3."""
    positions = [position for position, _ in stops]
    channels = [np.interp(at, positions, [colour[i] for _, colour in stops]) for i in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
