from pathlib import Path

import numpy as np
import pytest
from transformers import CLIPTokenizer

from webui.starter.captions import caption
from webui.starter.scenes import sample
from webui.starter.tokens import LENGTH, encode, learn_merges, load_tokenizer, write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return load_tokenizer(folder)


def test_merges_join_the_most_frequent_pair_first() -> None:
    assert learn_merges(["ab", "abc", "abd"], 1) == [("a", "b")]
    assert learn_merges(["moon"], 99)[-1][1].endswith("</w>")


def test_it_is_small_and_has_the_length_of_stable_diffusion_1(tokenizer: CLIPTokenizer) -> None:
    assert 1000 < len(tokenizer) < 2000
    assert tokenizer.model_max_length == LENGTH
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == len(tokenizer) - 1


def test_a_word_of_a_caption_is_one_token(tokenizer: CLIPTokenizer) -> None:
    prompt = "a majestic mountain landscape at sunset with golden clouds"
    assert len(tokenizer.tokenize(prompt)) == len(prompt.split())


CAPTIONS = [caption(sample(i), np.random.default_rng(i)) for i in range(20)]


@pytest.mark.parametrize("text", ["zürich 日本 xqzt", "snow-capped peaks, 4k", *CAPTIONS])
def test_texts_come_back_whole(tokenizer: CLIPTokenizer, text: str) -> None:
    back = tokenizer.decode(encode(tokenizer, [text])[0], skip_special_tokens=True)
    assert back.replace(" ", "") == text.lower().replace(" ", "")


def test_rows_start_end_and_pad(tokenizer: CLIPTokenizer) -> None:
    (row, empty) = encode(tokenizer, ["hills " * 200, ""])
    assert len(row) == len(empty) == LENGTH
    assert row[0] == empty[0] == tokenizer.bos_token_id
    assert row[-1] == tokenizer.eos_token_id
    assert set(empty[1:]) == {tokenizer.eos_token_id}
