"""The number beside the prompt, against the tokenizer that the engine uses."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from webui.core.records import ModelRecord
from webui.studio import Studio
from webui.ui import tokens

MERGES = [
    ("m", "o"),
    ("mo", "u"),
    ("mou", "n"),
    ("s", "e"),
    ("se", "a</w>"),
    ("a", "t</w>"),
    ("moun", "t"),
    ("l", "a"),
    ("la", "k"),
    ("lak", "e</w>"),
]
TEXTS = [
    "",
    "sea",
    "a lake at sea",
    "mountain",
    "Mountains, 12 of them!",
    "l'été à la mer",
    "don't  stop\n",
    "🏔️ lake",
    "seasea at",
    "__ (( ))",
]


@pytest.fixture
def record(tmp_path: Path) -> ModelRecord:
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in MERGES) + "\n")
    return ModelRecord(id="x", label="x", path=tmp_path, layout="diffusers", family="sd15", bytes=1)


def ask(record: ModelRecord, text: str) -> tokens.Answer:
    studio = cast(Studio, SimpleNamespace(checkpoints=lambda: (record,)))
    return tokens.answer(studio, tokens.Question(checkpoint=record.id, text=text))


def reference() -> Any:
    """CLIP's tokenizer as the `tokenizers` library builds it, over the same merges."""
    library = pytest.importorskip("tokenizers")
    letters = list(tokens._BYTES)
    words = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in MERGES)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    made = library.Tokenizer(library.models.BPE(vocab=vocabulary, merges=MERGES, end_of_word_suffix="</w>"))
    made.normalizer = library.normalizers.Sequence([library.normalizers.NFC(), library.normalizers.Lowercase()])
    pattern = library.Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    made.pre_tokenizer = library.pre_tokenizers.Sequence(
        [
            library.pre_tokenizers.Split(pattern, behavior="removed", invert=True),
            library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return made


@pytest.mark.parametrize("text", TEXTS)
def test_words_become_as_many_pieces_as_for_the_engine(record: ModelRecord, text: str) -> None:
    merges = tokens.merges_of(record)
    counted = len(tokens._tokens(text, False, merges))
    assert counted == len(reference().encode(text).ids)


def test_weights_do_not_count_and_breaks_begin_anew(record: ModelRecord) -> None:
    assert ask(record, "(lake:1.2)") == tokens.Answer(tokens=1, limit=75, exact=True)
    assert ask(record, "lake BREAK sea").tokens == 2


def test_the_limit_grows_by_chunks(record: ModelRecord) -> None:
    assert ask(record, "").limit == 75
    assert (ask(record, "sea " * 75).tokens, ask(record, "sea " * 75).limit) == (75, 75)
    assert (ask(record, "sea " * 76).tokens, ask(record, "sea " * 76).limit) == (76, 150)


def test_a_checkpoint_without_a_tokenizer_gets_an_estimate_that_says_so(record: ModelRecord) -> None:
    (record.path / "tokenizer" / "merges.txt").unlink()
    answer = ask(record, "a lake at sea")
    assert (answer.exact, answer.tokens) == (False, 4)


def test_merges_are_also_read_from_a_fast_tokenizers_file(record: ModelRecord) -> None:
    folder = record.path / "tokenizer"
    (folder / "merges.txt").unlink()
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"merges": [list(pair) for pair in MERGES]}}))
    assert ask(record, "lake") == tokens.Answer(tokens=1, limit=75, exact=True)


def test_a_replaced_tokenizer_is_read_again(record: ModelRecord) -> None:
    assert ask(record, "sea").tokens == 1
    (record.path / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    import os

    os.utime(record.path / "tokenizer" / "merges.txt", ns=(1, 1))
    assert ask(record, "sea").tokens == 3


def test_a_single_file_is_counted_with_clips_own_vocabulary(tmp_path: Path) -> None:
    single = ModelRecord(id="x", label="x", path=tmp_path / "x.safetensors", layout="single_file", family="sd15", bytes=1)
    answer = ask(single, "a photo of a cat, unbelievably photorealistic")
    assert (answer.tokens, answer.exact) == (9, True)


def test_what_is_cut_out_of_a_prompt_is_not_counted(record: ModelRecord) -> None:
    assert ask(record, "a lake <lora:nothing:1>") == ask(record, "a lake ")
