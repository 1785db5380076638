"""What a request names beside its checkpoint: its files found, checked against the family, and named by hash for the infotext."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from webui.core.networks import cut
from webui.core.records import ModelRecord
from webui.core.request import BUILT_IN, GenerationRequest
from webui.engine.embeddings import Word
from webui.engine.loras.files import LoraFile, check_family
from webui.library.header import read_header
from webui.shelves import Shelves, WeightFile

PIECE = 1 << 20  # bytes read at once
LORA_HASH, VAE_HASH = 12, 10  # hex digits, as in A1111's infotext


class Extras(NamedTuple):
    """A request's prompt without tags, and the files to use with it."""

    prompt: str
    loras: tuple[LoraFile, ...]
    words: tuple[Word, ...]
    vae: WeightFile | None
    notes: tuple[str, ...]


def find(request: GenerationRequest, record: ModelRecord, shelves: Shelves) -> Extras:
    """Raises `UnknownName` for a file that is not here, `Unsupported` for a LoRA of another family than the checkpoint's."""
    said = cut(request.prompt)
    loras = []
    for use in request.loras:
        file = shelves.find("lora", use.name, field="loras")
        check_family(use.name, file.path, record.family or "", record.label)
        loras.append(LoraFile(file.name, file.path, file.stamp, use.unet, use.text_encoder, use.rank))
    words = []
    for name in request.embeddings:
        file = shelves.find("embedding", name, field="embeddings")
        words.append(Word(file.stem, file.path, file.stamp))
    vae = None if request.vae == BUILT_IN else shelves.find("vae", request.vae, field="vae")
    return Extras(said.text, tuple(loras), tuple(words), vae, said.notes)


class Hashes:
    """Hashes of small weight files, each computed once for as long as its file stays as it is."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, tuple[int, int]], str] = {}

    def facts(self, extras: Extras, words: Iterable[Word]) -> dict[str, str]:
        """A1111's fields: `Lora hashes`, `TI hashes`, `VAE`, `VAE hash`; without those that say nothing."""
        loras = {file.path.stem: self._of(file.path, file.stamp, lora=True)[:LORA_HASH] for file in extras.loras}
        inversions = {word.name: self._of(word.path, word.stamp)[:LORA_HASH] for word in words}
        facts = {
            "Lora hashes": ", ".join(f"{name}: {value}" for name, value in loras.items()),
            "TI hashes": ", ".join(f"{name}: {value}" for name, value in inversions.items()),
        }
        if extras.vae is not None:
            facts |= {"VAE hash": self._of(extras.vae.path, extras.vae.stamp)[:VAE_HASH], "VAE": extras.vae.path.name}
        return {key: value for key, value in facts.items() if value}

    def _of(self, path: Path, stamp: tuple[int, int], lora: bool = False) -> str:
        if (path, stamp) not in self._known:
            said = read_header(path).metadata.get("sshs_model_hash") if lora else None
            self._known[path, stamp] = said or _sha256(path, after_header=lora)
        return self._known[path, stamp]


def _sha256(path: Path, after_header: bool) -> str:
    made = hashlib.sha256()
    with path.open("rb") as file:
        if after_header:
            file.seek(8 + int.from_bytes(file.read(8), "little"))
        while piece := file.read(PIECE):
            made.update(piece)
    return made.hexdigest()
