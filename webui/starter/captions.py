"""Words for scenes: many ways to say the same, in many orders, often only a part of it."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from webui.starter.scenes import Scene

Rng = np.random.Generator

ADJECTIVES: Final = (
    "majestic", "beautiful", "serene", "peaceful", "stunning", "calm", "breathtaking", "dramatic", "tranquil",
    "quiet", "lovely", "epic", "scenic", "vast", "idyllic", "magical",
)  # fmt: skip
MEDIA: Final = (
    "a painting of", "an illustration of", "a view of", "a picture of", "a photo of", "digital art of",
    "a drawing of", "an image of", "a landscape with", "a scene with", "a poster of", "artwork of",
)  # fmt: skip
QUALITY: Final = (
    "highly detailed", "vibrant colors", "masterpiece", "best quality", "vector art", "flat design", "sharp",
    "4k", "wallpaper", "soft light", "beautiful lighting", "trending", "clean lines", "minimalist", "concept art",
)  # fmt: skip
CHATTER: Final = (
    "and", "very", "in the style of", "far away", "my favourite", "holiday", "somewhere", "wide angle", "nature",
    "outdoors", "scenery", "travel", "a nice place", "background", "no people", "summer", "postcard", "dreamy",
    "blurry", "low quality", "watermark", "text", "person", "cat", "dog", "city", "ugly", "portrait", "car",
)  # fmt: skip

# Nouns that name the land; those with "landscape" take the article and the adjective well.
LAND_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "mountains": (
        "a {} mountain landscape", "{} mountains", "a {} mountain range", "{} rocky mountains", "a {} mountain view",
        "{} mountain peaks", "a {} mountain", "a {} mountain scene",
    ),
    "snowy mountains": (
        "{} snowy mountains", "{} snow-capped mountains", "a {} snowy mountain landscape", "{} snow covered peaks",
        "a {} snowy mountain", "{} mountains with snow", "{} snowy peaks", "{} snow-capped peaks",
    ),
    "hills": (
        "{} hills", "{} rolling hills", "{} green hills", "a {} hilly landscape", "a {} countryside with hills",
        "a {} landscape of hills", "{} grassy hills",
    ),
    "dunes": (
        "{} dunes", "{} sand dunes", "a {} desert", "a {} desert landscape", "{} desert dunes", "{} dunes of sand",
        "a {} sandy desert",
    ),
    "sea": (
        "the {} sea", "a {} sea", "a {} ocean", "the {} ocean", "a {} seascape", "{} open water", "a {} sea view",
        "an {} ocean view",
    ),
    "islands": (
        "{} islands", "{} islands in the sea", "{} green islands", "a {} sea with islands", "a group of {} islands",
        "{} tropical islands", "a {} island", "an ocean with {} islands",
    ),
    "forest": (
        "a {} forest", "the {} woods", "a {} pine forest", "a {} forest landscape", "a {} woodland", "{} woods",
        "a {} forest of firs",
    ),
}  # fmt: skip
TIME_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "dawn": ("at dawn", "at sunrise", "in the early morning", "in the morning", "at daybreak", "dawn", "sunrise"),
    "day": ("during the day", "by day", "at noon", "in the daytime", "at midday", "in daylight", "day", "daytime",
            "under a blue sky"),
    "sunset": ("at sunset", "at dusk", "in the evening", "at sundown", "during sunset", "sunset", "under a sunset sky"),
    "night": ("at night", "by night", "at midnight", "under the night sky", "night", "under a night sky"),
}  # fmt: skip
CLOUD_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "white": ("white clouds", "fluffy white clouds", "some white clouds", "bright white clouds", "a few white clouds"),
    "golden": ("golden clouds", "gold clouds", "yellow clouds", "glowing golden clouds", "clouds of gold"),
    "pink": ("pink clouds", "rosy clouds", "rose clouds", "soft pink clouds", "clouds in pink"),
    "grey": ("grey clouds", "gray clouds", "dark clouds", "dark grey clouds", "stormy clouds", "storm clouds"),
    "none": ("a clear sky", "no clouds", "a cloudless sky", "clear skies"),
}
ANY_CLOUDS: Final = ("clouds", "a cloudy sky", "some clouds")
EXTRA_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "sun": ("the sun", "a bright sun", "a round sun", "a sun", "the shining sun", "a big sun"),
    "moon": ("the moon", "a full moon", "a bright moon", "a moon", "a round moon", "moonlight"),
    "stars": ("stars", "a starry sky", "many stars", "bright stars", "the stars", "twinkling stars"),
    "lake": ("a lake", "a small lake", "a still lake", "a pond", "a blue lake", "a quiet lake"),
    "cabin": ("a cabin", "a wooden cabin", "a small house", "a hut", "a cottage", "a house", "a cabin with a red roof"),
    "pine trees": ("pine trees", "pines", "fir trees", "some pine trees", "tall pines", "trees", "a few fir trees"),
    "sailboat": ("a sailboat", "a sailing boat", "a boat", "a small sailboat", "a boat with sails", "a sailing ship"),
    "birds": ("birds", "flying birds", "a flock of birds", "some birds", "birds in the sky", "seagulls"),
}


def pick(words: Sequence[str], rng: Rng) -> str:
    """One of the words."""
    return words[int(rng.integers(len(words)))]


def tidy(text: str) -> str:
    """One space between words, none before a comma; "a ocean" and "an quiet sea" put right."""
    words = " ".join(text.split()).replace(" ,", ",").split(" ")
    for i, word in enumerate(words[:-1]):
        if word in ("a", "an"):
            words[i] = "an" if words[i + 1][0] in "aeiou" else "a"
    return " ".join(words)


def land_phrase(scene: Scene, rng: Rng, plain: bool = False) -> str:
    """The land with or without an adjective: "a majestic mountain landscape"."""
    adjective = "" if plain or rng.random() < 0.45 else pick(ADJECTIVES, rng)
    return pick(LAND_WORDS[scene.land], rng).format(adjective)


def mentions(scene: Scene, rng: Rng) -> dict[str, bool]:
    """Which attributes a caption names: land and time nearly always, the others mostly."""
    named = {"land": rng.random() < 0.95, "time": rng.random() < 0.92}
    named["clouds"] = bool(rng.random() < (0.5 if scene.clouds == "none" else 0.85))
    for extra in scene.extras:
        named[extra] = bool(rng.random() < 0.85)
    if not (named["land"] or named["time"]):
        named["land"] = True
    return {name: bool(value) for name, value in named.items()}


def caption(scene: Scene, rng: Rng) -> str:
    """A caption of the scene; the same stream of random numbers gives the same words."""
    return describe(scene, rng)[0]


def describe(scene: Scene, rng: Rng) -> tuple[str, dict[str, bool]]:
    """A caption and which attributes it names ("time", "land", "clouds" and each extra)."""
    named = mentions(scene, rng)
    parts = [pick(EXTRA_WORDS[extra], rng) for extra in scene.extras if named[extra]]
    if named["clouds"]:
        parts.append(pick(CLOUD_WORDS[scene.clouds], rng))
    elif scene.clouds != "none" and rng.random() < 0.3:
        parts.append(pick(ANY_CLOUDS, rng))
    parts = [parts[i] for i in rng.permutation(len(parts))]
    time = pick(TIME_WORDS[scene.time], rng) if named["time"] else ""
    land = land_phrase(scene, rng) if named["land"] else ""
    form = rng.random()
    if form < 0.5:
        text = _sentence(land, time, parts, rng)
    elif form < 0.75:
        text = ", ".join(part for part in (land, time, *parts) if part)
    else:
        tags = [part for part in (land, time, *parts) if part]
        text = ", ".join(tags[i] for i in rng.permutation(len(tags)))
    return _decorate(text, rng), named


def _sentence(land: str, time: str, parts: Sequence[str], rng: Rng) -> str:
    """ "a painting of green hills at dawn with a lake, birds and pink clouds", in a few orders."""
    listed = " and ".join(parts) if len(parts) < 3 or rng.random() < 0.3 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    subject = land or pick(("a landscape", "a scene", "a beautiful landscape", "nature"), rng)
    medium = pick(MEDIA, rng) if rng.random() < 0.3 else ""
    joined = f"{pick(('with', 'with', 'and', 'featuring'), rng)} {listed}" if listed else ""
    order = rng.random()
    if order < 0.6:
        return f"{medium} {subject} {time} {joined}"
    if order < 0.8:
        return f"{medium} {subject} {joined} {time}"
    if not listed:
        return f"{time}, {medium} {subject}" if time else f"{medium} {subject}"
    return f"{listed} {pick(('over', 'and', 'in front of', 'by'), rng)} {subject} {time}"


def _decorate(text: str, rng: Rng) -> str:
    """Now and then praise that changes nothing, so that such words stay harmless."""
    if rng.random() < 0.2:
        text = f"{text}, {', '.join(pick(QUALITY, rng) for _ in range(int(rng.integers(1, 4))))}"
    if rng.random() < 0.06:
        text = f"{pick(CHATTER, rng)} {text}" if rng.random() < 0.5 else f"{text} {pick(CHATTER, rng)}"
    if rng.random() < 0.04:
        text = f"{text} {''.join(chr(97 + int(c)) for c in rng.integers(0, 26, int(rng.integers(3, 9))))}"
    return tidy(text)


def known_words() -> dict[str, list[str]]:
    """The words that the checkpoint offers as suggestions, by kind."""
    return {
        "time of day": [words[0] for words in TIME_WORDS.values()],
        "land": [words[1].format("").replace("  ", " ").strip() for words in LAND_WORDS.values()],
        "clouds": [words[0] for words in CLOUD_WORDS.values()],
        "extras": [words[1] if kind in ("moon",) else words[0] for kind, words in EXTRA_WORDS.items()],
    }


def every_phrase() -> list[str]:
    """All the words that captions are made of: what the tokenizer is trained on."""
    groups: list[Sequence[str]] = [ADJECTIVES, MEDIA, QUALITY, CHATTER, ANY_CLOUDS]
    for table in (LAND_WORDS, TIME_WORDS, CLOUD_WORDS, EXTRA_WORDS):
        groups.extend(table.values())
    return [tidy(phrase.replace("{}", "")) for group in groups for phrase in group]
