"""Textual inversion: words of a prompt that stand for vectors in a file (Gal et al., arXiv 2208.01618)."""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from webui.core.errors import LoadFailed, Unsupported
from webui.library.header import read_header

A1111 = "emb_params"
SLOTS = ("clip_l", "clip_g")  # SDXL's two text encoders
FAMILIES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 1280: "SDXL"}


class Word(NamedTuple):
    """A word and its file; `stamp` changes when the file does."""

    name: str
    path: Path
    stamp: tuple[int, int] = (0, 0)


def vectors(word: Word, width: int, most: int, slot: str | None = None) -> Tensor:
    """Shape vectors, width, in fp32: A1111's `emb_params`, diffusers' single tensor, or SDXL's tensor for the encoder `slot`.

    Raises `Unsupported` where it is for another text encoder or has more than `most` vectors, `LoadFailed` for a broken file.
    """
    names = set(read_header(word.path).tensors)
    two = names >= set(SLOTS)
    if two and slot is None:
        raise Unsupported(_foreign(word, "SDXL", width))
    key = slot if two else A1111 if A1111 in names else next(iter(names), None)
    if key is None or (not two and len(names) > 1 and key != A1111):
        raise Unsupported(
            f"“{word.name}” is no embedding: its file holds {len(names)} tensors, none of them {A1111}. Take it out of the prompts."
        )
    try:
        found = load_file(word.path)[key].to(torch.float32)
    except (OSError, SafetensorError) as error:
        raise LoadFailed(f"The embedding “{word.name}” cannot be read: {str(error)[:200]}. Copy or download it again.") from error
    found = found.unsqueeze(0) if found.ndim == 1 else found
    if found.ndim != 2 or found.shape[0] == 0:
        raise Unsupported(f"“{word.name}” is no embedding: its tensor is of shape {tuple(found.shape)}. Take it out of the prompts.")
    if found.shape[1] != width:
        raise Unsupported(_foreign(word, FAMILIES.get(found.shape[1], "another family"), width, found.shape[1]))
    if found.shape[0] > most:
        raise Unsupported(f"The embedding “{word.name}” has {found.shape[0]} vectors; {most} fit into a chunk. Take it out of the prompts.")
    return found


def _foreign(word: Word, made_for: str, width: int, own: int | None = None) -> str:
    its = f", with vectors {own} wide" if own else ""
    return (
        f"The embedding “{word.name}” was made for {made_for}{its}; this checkpoint's are {width} wide. "
        "Take its word out of the prompts, or choose a checkpoint that it was made for."
    )
