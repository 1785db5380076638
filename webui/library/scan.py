"""Walks the models folder: names, sizes and times alone, no file is opened.

The folders of A1111 (`Stable-diffusion`), Forge (`diffusers`) and ComfyUI (`checkpoints`, `diffusers`) are understood, in any case.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

CHECKPOINT_FOLDERS = ("checkpoints", "stable-diffusion", "diffusers")  # in the order in which they may claim a name
WEIGHT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf")  # in the same order
NOT_CHECKPOINTS = (".vae", "-vae")  # A1111 keeps a checkpoint's own VAE beside it, as `x.vae.safetensors`
CARD = "gesso.json"  # in a diffusers folder; beside a single file it is `<stem>.gesso.json`
INDEX = "model_index.json"
MAX_DEPTH = 16  # folders within folders

log = logging.getLogger(__name__)

Stamp = tuple[tuple[str, int, int], ...]  # (name, size, mtime in ns) of all that a record is made from


class Found(NamedTuple):
    """A weight file, or a folder in diffusers' layout."""

    path: Path
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
    if any(_kind_folders(models)):
        return
    try:
        (models / CHECKPOINT_FOLDERS[0]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("There is no folder for checkpoints, and none can be made in %s: %s.", models, error.strerror)


def walk(models: Path, embedded: Path | None = None) -> Walk:
    """All checkpoints below `models`, and the folder `embedded`, which may lie elsewhere; a folder that cannot be read is left out."""
    found: list[Found] = []
    folders = [models]
    for place in _kind_folders(models):
        _walk(place, "", found, folders, set())
    if embedded is not None and (embedded / INDEX).is_file() and not any(_same(one.path, embedded) for one in found):
        folders.append(embedded)
        found.append(_diffusers(embedded, embedded.name, folders))
    return Walk(tuple(found), tuple(folders))


def _same(one: Path, other: Path) -> bool:
    return one.name == other.name and os.path.realpath(one) == os.path.realpath(other)


def _kind_folders(models: Path) -> Iterator[Path]:
    names = [entry.name for entry in _entries(models) if entry.is_dir()]
    for kind in CHECKPOINT_FOLDERS:
        yield from (models / name for name in sorted(names) if name.lower() == kind)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []  # gone, or not ours to read: nothing in it can be used


def _walk(folder: Path, below: str, found: list[Found], folders: list[Path], above: set[str]) -> None:
    real = os.path.realpath(folder)
    if real in above or len(above) > MAX_DEPTH:  # a link that leads back up
        return
    folders.append(folder)
    entries = _entries(folder)
    names = {entry.name for entry in entries}
    if INDEX in names and below:
        found.append(_diffusers(folder, below.rstrip("/"), folders))
        return
    cards = {entry.name.lower(): entry for entry in entries if entry.name.lower().endswith(f".{CARD}")}
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            _walk(folder / entry.name, f"{below}{entry.name}/", found, folders, above | {real})
        elif _is_checkpoint(entry.name):
            single = _single(folder, below, entry, cards)
            if single is not None:
                found.append(single)


def _is_checkpoint(name: str) -> bool:
    stem, suffix = os.path.splitext(name.lower())  # noqa: PTH122  # half the time of Path's, for thousands of names
    return suffix in WEIGHT_SUFFIXES and not stem.endswith(NOT_CHECKPOINTS)


def _single(folder: Path, below: str, entry: os.DirEntry[str], cards: dict[str, os.DirEntry[str]]) -> Found | None:
    stem = entry.name.rpartition(".")[0]
    card = cards.get(f"{stem}.{CARD}".lower())
    try:
        stamps = [_stamp(entry), *([_stamp(card)] if card else [])]
    except OSError:
        return None  # a dangling link, or gone since it was listed
    return Found(
        folder / entry.name, f"{below}{entry.name}", "single_file", stamps[0][1], tuple(stamps), folder / card.name if card else None
    )


def _stamp(entry: os.DirEntry[str]) -> tuple[str, int, int]:
    stat = entry.stat()
    return entry.name, stat.st_size, stat.st_mtime_ns


def _diffusers(folder: Path, name: str, folders: list[Path]) -> Found:
    stamps: list[tuple[str, int, int]] = []
    weights = 0
    inside = [folder, *(folder / entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith("."))]
    for place in inside:
        for entry in _entries(place):
            if entry.is_file():
                _, size, changed = _stamp(entry)
                stamps.append((f"{place.name}/{entry.name}", size, changed))
                weights += size if entry.name.endswith(WEIGHT_SUFFIXES) else 0
    folders.extend(inside[1:])
    card = folder / CARD
    return Found(folder, name, "diffusers", weights, tuple(stamps), card if card.is_file() else None)
