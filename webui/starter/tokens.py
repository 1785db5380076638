"""A small byte-level BPE tokenizer in the format of CLIPTokenizer."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from transformers import CLIPTokenizer

from webui.starter.captions import every_phrase

LENGTH: Final = 77  # tokens, as in Stable Diffusion 1
START: Final = "<|startoftext|>"
END: Final = "<|endoftext|>"
_END_OF_WORD: Final = "</w>"
# Everyday words beyond the captions, so that a free prompt costs a token a word and not one a letter.
_COMMON: Final = (
    "a an the of in on at with and or by over under above below near behind front to from for no not without red blue "
    "green yellow orange purple violet black brown silver light bright warm cold big small large tiny huge high low "
    "tall wide deep old new river waterfall beach coast shore bay cliff rock rocks stone valley meadow field fields "
    "flower flowers grass tree wood path road bridge castle tower lighthouse village town rain snow storm fog mist "
    "rainbow wind autumn winter spring sunny cloudy misty foggy reflection reflections water waves horizon sky glowing "
    "golden hour style cartoon realistic watercolor oil pastel anime fantasy detailed quality best worst bad good "
    "grainy noisy dull gray grey frame border signature logo people man woman girl boy horse animal"
)


def _byte_letters() -> list[str]:
    """The 256 printable stand-ins for bytes, in the order of CLIP's vocabulary (Radford et al. 2019, GPT-2's code)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [256 + i for i in range(256 - len(plain))]
    return [chr(code) for code in plain + others]


def _merge(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    i = 0
    while i < len(parts):
        if parts[i : i + 2] == pair:
            merged.append(parts[i] + parts[i + 1])
            i += 2
        else:
            merged.append(parts[i])
            i += 1
    return tuple(merged)


def learn_merges(words: Iterable[str], limit: int) -> list[tuple[str, str]]:
    """Byte-pair encoding (Sennrich et al. 2016, 1508.07909): join the most frequent pair until all words are whole."""
    split = {word: (*word[:-1], word[-1] + _END_OF_WORD) for word in sorted(set(words))}
    merges: list[tuple[str, str]] = []
    while len(merges) < limit:
        pairs = Counter(pair for parts in split.values() for pair in zip(parts, parts[1:], strict=False))
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        split = {word: _merge(parts, best) for word, parts in split.items()}
    return merges


def write_tokenizer(folder: Path, limit: int = 1500) -> None:
    """Write vocab.json, merges.txt and the configuration that CLIPTokenizer reads."""
    folder.mkdir(parents=True, exist_ok=True)
    text = " ".join([*every_phrase(), _COMMON]).lower()
    cleaned = "".join(letter if letter.isascii() and letter.isalpha() else " " for letter in text)
    merges = learn_merges(cleaned.split(), limit)
    letters = _byte_letters()
    entries = [*letters, *(letter + _END_OF_WORD for letter in letters), *(a + b for a, b in merges), START, END]
    vocabulary = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": LENGTH, "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer from its files alone, without the network."""
    return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def encode(tokenizer: CLIPTokenizer, texts: list[str]) -> list[list[int]]:
    """Texts as 77 numbers each: start, words, end, padding."""
    found = tokenizer(texts, padding="max_length", max_length=LENGTH, truncation=True)
    return [list(row) for row in found["input_ids"]]
