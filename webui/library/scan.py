"""Walks the models folder: names, sizes and times alone, no file is opened.

The folders of A1111, Forge and ComfyUI are understood, in any case. A folder says where to look; what a file is, its header says.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from webui.core.records import Kind

CHECKPOINT_FOLDERS = ("checkpoints", "stable-diffusion", "diffusers")  # in the order in which they may claim a name
FOLDERS: dict[str, Kind] = {
    **dict.fromkeys(CHECKPOINT_FOLDERS, "checkpoint"),
    **dict.fromkeys(("diffusion_models", "unet"), "denoiser"),
    **dict.fromkeys(("lora", "loras", "lycoris"), "lora"),
    **dict.fromkeys(("vae", "vae-approx", "vae_approx"), "vae"),
    "embeddings": "embedding",
    **dict.fromkeys(("controlnet", "t2i_adapter", "ipadapter", "ip-adapter"), "control_network"),
    **dict.fromkeys(
        ("upscale_models", "esrgan", "realesrgan", "dat", "bsrgan", "swinir", "scunet", "hat", "omnisr", "span", "compact"), "upscaler"
    ),
    **dict.fromkeys(("text_encoders", "text_encoder", "clip"), "text_encoder"),
}
BESIDE: dict[str, Kind] = {  # A1111 keeps these beside its models folder, not in it
    "embeddings": "embedding",
    "extensions/sd-webui-controlnet/models": "control_network",
}
HOME = "models"  # only beside a folder of this name are other folders looked into
WEIGHT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")  # in the same order
OWN_VAE = (".vae", "-vae")  # A1111 keeps a checkpoint's own VAE beside it, as `x.vae.safetensors`
CARD = "gesso.json"  # in a diffusers folder; beside a single file it is `<stem>.gesso.json`
INDEX = "model_index.json"
MAX_DEPTH = 16  # folders within folders

log = logging.getLogger(__name__)

Stamp = tuple[tuple[str, int, int], ...]  # (name, size, mtime in ns) of all that a record is made from


class Found(NamedTuple):
    """A weight file, or a folder in diffusers' layout."""

    path: Path
    place: Kind  # what its folder is for
    name: str  # below its kind's folder, with "/" and suffix
    layout: Literal["diffusers", "single_file"]
    bytes: int
    stamp: Stamp
    card: Path | None


class Walk(NamedTuple):
    """What a walk found, and every folder it looked into."""

    found: tuple[Found, ...]
    folders: tuple[Path, ...]


def make_home(models: Path) -> None:
    """Make `checkpoints`, so that people find where one goes, unless the folder has another program's place for them."""
    if any(kind == "checkpoint" for _, kind in _kind_folders(models)):
        return
    try:
        (models / CHECKPOINT_FOLDERS[0]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("There is no folder for checkpoints, and none can be made in %s: %s.", models, error.strerror)


def walk(models: Path, embedded: Path | None = None) -> Walk:
    """All weight files below `models`, and the folder `embedded`, which may lie elsewhere; a folder that cannot be read is left out."""
    found: list[Found] = []
    folders = [models]
    seen: set[str] = set()
    for folder, kind in _kind_folders(models):
        real = os.path.realpath(folder)
        if real not in seen:  # `loras` may be a link to `Lora`
            seen.add(real)
            _walk(Walker(kind, found, folders), folder, "", frozenset())
    if embedded is not None and (embedded / INDEX).is_file() and not any(_same(one.path, embedded) for one in found):
        folders.append(embedded)
        found.append(_diffusers(embedded, embedded.name, folders, "checkpoint"))
    return Walk(tuple(found), tuple(folders))


def _same(one: Path, other: Path) -> bool:
    return one.name == other.name and os.path.realpath(one) == os.path.realpath(other)


def _kind_folders(models: Path) -> Iterator[tuple[Path, Kind]]:
    """Folders in the order in which they may claim a name."""
    names = [entry.name for entry in _entries(models) if entry.is_dir()]
    for known, kind in FOLDERS.items():
        yield from ((models / name, kind) for name in sorted(names) if name.lower() == known)
    if models.name.lower() == HOME:
        for below, kind in BESIDE.items():
            if (models.parent / below).is_dir():
                yield models.parent / below, kind


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []  # gone, or not ours to read: nothing in it can be used


class Walker(NamedTuple):
    """What a walk through one kind's folder carries along."""

    kind: Kind
    found: list[Found]
    folders: list[Path]


def _walk(walker: Walker, folder: Path, below: str, above: frozenset[str]) -> None:
    real = os.path.realpath(folder)
    if real in above or len(above) > MAX_DEPTH:  # a link that leads back up
        return
    walker.folders.append(folder)
    entries = _entries(folder)
    names = {entry.name for entry in entries}
    if INDEX in names and below:
        walker.found.append(_diffusers(folder, below.rstrip("/"), walker.folders, walker.kind))
        return
    cards = {entry.name.lower(): entry for entry in entries if entry.name.lower().endswith(f".{CARD}")}
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            _walk(walker, folder / entry.name, f"{below}{entry.name}/", above | {real})
        elif (place := _place(entry.name, walker.kind)) is not None:
            single = _single(folder, below, entry, cards, place)
            if single is not None:
                walker.found.append(single)


def _place(name: str, kind: Kind) -> Kind | None:
    """What the place of a weight file is for; None for all other files."""
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122  # half the time of Path's, for thousands of names
    if suffix not in WEIGHT_SUFFIXES:
        return None
    return "vae" if kind == "checkpoint" and stem.endswith(OWN_VAE) else kind


def _single(folder: Path, below: str, entry: os.DirEntry[str], cards: dict[str, os.DirEntry[str]], place: Kind) -> Found | None:
    stem = entry.name.rpartition(".")[0]
    card = cards.get(f"{stem}.{CARD}".lower())
    try:
        stamps = [_stamp(entry), *([_stamp(card)] if card else [])]
    except OSError:
        return None  # a dangling link, or gone since it was listed
    beside = folder / card.name if card else None
    return Found(folder / entry.name, place, f"{below}{entry.name}", "single_file", stamps[0][1], tuple(stamps), beside)


def _stamp(entry: os.DirEntry[str]) -> tuple[str, int, int]:
    stat = entry.stat()
    return entry.name, stat.st_size, stat.st_mtime_ns


def _diffusers(folder: Path, name: str, folders: list[Path], place: Kind) -> Found:
    stamps: list[tuple[str, int, int]] = []
    weights = 0
    inside = [folder, *(folder / entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith("."))]
    for part in inside:
        for entry in _entries(part):
            if entry.is_file():
                _, size, changed = _stamp(entry)
                stamps.append((f"{part.name}/{entry.name}", size, changed))
                weights += size if entry.name.endswith(WEIGHT_SUFFIXES) else 0
    folders.extend(inside[1:])
    card = folder / CARD
    return Found(folder, place, name, "diffusers", weights, tuple(stamps), card if card.is_file() else None)
