"""`Shelves`: LoRAs, VAEs and embeddings by name, in the folders that A1111, Forge and ComfyUI keep them in. No file is read."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from webui.core.errors import UnknownName, UserError
from webui.core.request import BUILT_IN

Kind = Literal["lora", "vae", "embedding"]
FOLDERS: Mapping[Kind, frozenset[str]] = {  # below the models folder, in lower case
    "lora": frozenset(("lora", "loras", "lycoris")),
    "vae": frozenset(("vae",)),
    "embedding": frozenset(("embeddings",)),
}
CHECKPOINT_FOLDERS = frozenset(("checkpoints", "stable-diffusion"))
SUFFIXES = (".safetensors", ".sft")
BESIDE = ".vae"  # x.vae.safetensors beside x.safetensors is its VAE
MAX_CARD = 1_000_000  # bytes of a checkpoint's x.json


class WeightFile(NamedTuple):
    """A file on a shelf. `name` is its path below the shelf without the suffix, with `/`; `stamp` changes when it does."""

    name: str
    path: Path
    stamp: tuple[int, int]  # bytes, and nanoseconds since 1970 of its last change

    @property
    def stem(self) -> str:
        return self.name.rpartition("/")[2]


class Shelves:
    """Looks at the folders anew each time, so a file that was just put there is found."""

    def __init__(self, models_dir: Path) -> None:
        self._models = models_dir

    def files(self, kind: Kind) -> tuple[WeightFile, ...]:
        """All of a kind, by name; where a name is there twice, the first folder's."""
        found: dict[str, WeightFile] = {}
        for folder in self._folders(FOLDERS[kind]):
            for file in _files(folder):
                found.setdefault(file.name.casefold(), file)
        if kind == "embedding":  # A1111 keeps them beside the models folder
            for file in _files(self._models.parent / "embeddings"):
                found.setdefault(file.name.casefold(), file)
        if kind == "vae":
            for folder in self._folders(CHECKPOINT_FOLDERS):
                for file in _files(folder):
                    if file.name.casefold().endswith(BESIDE):
                        found.setdefault(file.name.casefold(), file)
        return tuple(found[name] for name in sorted(found))

    def find(self, kind: Kind, name: str, field: str | None = None) -> WeightFile:
        """By name, by name with suffix, by stem, without regard to case, `\\` as good as `/`.

        Raises `UnknownName` with the nearest; `UserError` where a stem stands for several files.
        """
        files = self.files(kind)
        wanted = name.strip().replace("\\", "/").casefold()
        for suffix in SUFFIXES:
            wanted = wanted.removesuffix(suffix)
        fitting = [file for file in files if file.name.casefold() == wanted]
        fitting = fitting or [file for file in files if file.stem.casefold() == wanted]
        if len(fitting) > 1:
            several = " or ".join(f"“{file.name}”" for file in fitting[:4])
            raise UserError(f"“{name[:80]}” may be {several}. Use one of these names.", field=field)
        if not fitting:
            called = {"lora": "LoRA", "vae": "VAE", "embedding": "embedding"}[kind]
            raise UnknownName(called, name, (file.name for file in files), field=field)
        return fitting[0]

    def vae_for(self, checkpoint: Path) -> str:
        """A1111's "Automatic": what the checkpoint's card names, else the VAE whose name begins with the checkpoint's, else its own.

        A card that cannot be read, or that names a VAE which is not here, says nothing.
        """
        files = self.files("vae")
        stem = checkpoint.name if checkpoint.is_dir() else checkpoint.stem
        said = _card(checkpoint).get("vae")
        if said == BUILT_IN:
            return BUILT_IN
        if isinstance(said, str):
            plain = Path(said).stem.casefold()
            for file in files:
                if plain in (file.stem.casefold(), file.name.casefold()):
                    return file.name
        return next((file.name for file in files if file.stem.casefold().startswith(stem.casefold())), BUILT_IN)

    def _folders(self, names: frozenset[str]) -> list[Path]:
        try:
            return sorted(path for path in self._models.iterdir() if path.name.lower() in names and path.is_dir())
        except OSError:
            return []  # the disk may be away


def _files(shelf: Path) -> Iterator[WeightFile]:
    seen: set[str] = set()
    for folder, below, names in os.walk(shelf, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # links may go in a circle
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                try:
                    stat = path.stat()
                except OSError:
                    continue  # a dangling link, or gone since it was listed
                yield WeightFile(path.relative_to(shelf).with_suffix("").as_posix(), path, (stat.st_size, stat.st_mtime_ns))


def _card(checkpoint: Path) -> Mapping[str, object]:
    """A1111's user metadata: `x.json` beside `x.safetensors`."""
    path = checkpoint.parent / f"{checkpoint.name}.json" if checkpoint.is_dir() else checkpoint.with_suffix(".json")
    try:
        if path.stat().st_size > MAX_CARD:
            return {}
        made = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}
