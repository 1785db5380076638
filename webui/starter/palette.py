"""Colours of the starter's scenes: plain data, sRGB 0..255."""

from typing import Final

Colour = tuple[int, int, int]

# The sky from the zenith (0) down to the horizon (1).
SKY: Final[dict[str, tuple[tuple[float, Colour], ...]]] = {
    "dawn": (
        (0.0, (139, 164, 226)),
        (0.45, (206, 190, 232)),
        (0.75, (252, 203, 205)),
        (1.0, (255, 231, 204)),
    ),
    "day": ((0.0, (36, 112, 214)), (0.55, (104, 176, 244)), (1.0, (206, 236, 255))),
    "sunset": (
        (0.0, (70, 32, 110)),
        (0.4, (164, 50, 110)),
        (0.72, (238, 102, 66)),
        (1.0, (255, 190, 84)),
    ),
    "night": ((0.0, (7, 10, 34)), (0.55, (19, 31, 80)), (1.0, (54, 76, 138))),
}

# How the light of the hour multiplies the colour of the land.
LIGHT: Final[dict[str, tuple[float, float, float]]] = {
    "dawn": (0.98, 0.88, 0.95),
    "day": (1.0, 1.0, 1.0),
    "sunset": (0.80, 0.54, 0.56),
    "night": (0.29, 0.36, 0.55),
}

# Lit top and shaded base of a cloud.
CLOUD: Final[dict[str, tuple[Colour, Colour]]] = {
    "white": ((255, 255, 255), (214, 226, 242)),
    "golden": ((255, 222, 110), (246, 166, 44)),
    "pink": ((255, 178, 206), (240, 112, 164)),
    "grey": ((132, 136, 148), (82, 86, 100)),
}

# Moonlit clouds are dimmer, or they would outshine the moon.
CLOUD_LIGHT: Final[dict[str, float]] = {"dawn": 1.0, "day": 1.0, "sunset": 0.97, "night": 0.86}

SUN: Final[dict[str, tuple[Colour, Colour]]] = {
    "dawn": ((255, 240, 168), (255, 226, 178)),
    "day": ((255, 244, 150), (255, 250, 214)),
    "sunset": ((255, 224, 110), (255, 170, 70)),
}
MOON: Final[tuple[Colour, Colour]] = ((244, 242, 224), (150, 170, 220))

# Far, middle and near layers of each kind of land, in full daylight.
LAND: Final[dict[str, tuple[Colour, Colour, Colour]]] = {
    "mountains": ((134, 128, 146), (104, 96, 108), (86, 132, 74)),
    "snowy mountains": ((140, 152, 182), (98, 112, 146), (84, 134, 88)),
    "hills": ((142, 190, 96), (106, 166, 74), (72, 136, 56)),
    "dunes": ((242, 206, 140), (232, 184, 106), (216, 158, 80)),
    "forest": ((92, 142, 108), (52, 108, 76), (28, 76, 54)),
    "sea": ((88, 166, 206), (36, 108, 172), (36, 108, 172)),
    "islands": ((88, 166, 206), (36, 108, 172), (84, 150, 72)),
}
