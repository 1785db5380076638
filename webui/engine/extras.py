"""What a request names beside its checkpoint: its files found, checked against the family, and named by hash for the infotext."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from webui.core.networks import cut
from webui.core.records import ModelRecord
from webui.core.request import BUILT_IN, GenerationRequest
from webui.engine.embeddings import Word
from webui.engine.loras.files import LoraFile, check_family
from webui.library.hashes import Hashes
from webui.library.header import read_header
from webui.shelves import Shelves, WeightFile

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


def facts(extras: Extras, words: Iterable[Word], hashes: Hashes) -> dict[str, str]:
    """A1111's fields: `Lora hashes`, `TI hashes`, `VAE`, `VAE hash`; without those that say nothing."""
    loras = {file.path.stem: _lora_hash(file.path, hashes) for file in extras.loras}
    inversions = {word.name: hashes.compute((word.path,))[:LORA_HASH] for word in words}
    found = {
        "Lora hashes": ", ".join(f"{name}: {value}" for name, value in loras.items()),
        "TI hashes": ", ".join(f"{name}: {value}" for name, value in inversions.items()),
    }
    if extras.vae is not None:
        found |= {"VAE hash": hashes.compute((extras.vae.path,))[:VAE_HASH], "VAE": extras.vae.path.name}
    return {key: value for key, value in found.items() if value}


def _lora_hash(path: Path, hashes: Hashes) -> str:
    """Of the tensors alone, or the trainer's own word for it."""
    said = read_header(path).metadata.get("sshs_model_hash")
    return (said or hashes.compute((path,), tensors=True))[:LORA_HASH]
