"""A1111's grammar: its own vectors, and that whatever was written is read back."""

import json
import random
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webui.core.infotext import Infotext, of_image, parse, quote, unquote, write

A1111 = """a majestic mountain (sunset:1.2), golden clouds
Negative prompt: blurry, low quality
Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 512x768, Model hash: 45dee52b, Model: v1-5, Version: v1.10.1"""


def test_a_whole_text() -> None:
    read = parse(A1111)
    assert read.prompt == "a majestic mountain (sunset:1.2), golden clouds"
    assert read.negative_prompt == "blurry, low quality"
    assert list(read.fields) == ["Steps", "Sampler", "CFG scale", "Seed", "Size", "Model hash", "Model", "Version"]
    assert read.fields["Sampler"] == "Euler a"
    assert read.pair("Size") == (512, 768)
    assert write(read) == A1111


def test_vector_of_the_last_line() -> None:
    read = parse("Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 512x512, Model hash: 45dee52b")
    assert len(read.fields) == 6
    flat = read.flat()
    assert (flat["Size-1"], flat["Size-2"]) == ("512", "512")
    assert "Size" not in flat
    assert read.prompt == ""


def test_vector_of_a_quoted_list() -> None:
    read = parse('x\nSteps: 1, Sampler: b, Lora hashes: "a: 111, b: 222"')
    assert read.fields == {"Steps": "1", "Sampler": "b", "Lora hashes": "a: 111, b: 222"}


@pytest.mark.parametrize("text", ["best quality: high", "a: 1, b: 2", "", "one, two, three", "Steps: 20, Sampler: Euler"])
def test_fewer_than_three_fields_belong_to_the_prompt(text: str) -> None:
    assert parse(text) == Infotext(prompt=text)


@pytest.mark.parametrize(
    ("value", "written"),
    [("abc", "abc"), ("a, b", '"a, b"'), ("a: b", '"a: b"'), ("a\nb", '"a\\nb"'), ('a"b', 'a"b'), ("ä, ö", '"ä, ö"'), ('a"b,', '"a\\"b,"')],
)
def test_vectors_of_quoting(value: str, written: str) -> None:
    assert quote(value) == written
    assert unquote(written) == value


@pytest.mark.parametrize("text", ['"', '""x', '"\\x"', '"a" b', 'a"', '"\\ud800"', "1"])
def test_what_is_no_json_string_stays(text: str) -> None:
    assert unquote(text) == text


def test_none_is_left_out_whole_numbers_have_no_point_and_a_value_like_its_key_stands_alone() -> None:
    made = of_image("p", "", {"Steps": 20, "Sampler": "Euler", "CFG scale": 7.0, "Eta": 0.5, "Tiling": None, "Flag": "Flag"})
    assert write(made) == "p\nSteps: 20, Sampler: Euler, CFG scale: 7, Eta: 0.5, Flag"


def test_lines_of_both_prompts_are_stripped_and_joined() -> None:
    read = parse("\n a \n\n b\nNegative prompt:  c \n\t d\nSteps: 1, Sampler: b, Seed: 3")
    assert (read.prompt, read.negative_prompt) == ("a\n\nb", "c\nd")


def test_lines_after_the_fields_do_not_hide_them() -> None:
    trailer = "Template: {a|b} mountain, with: colons, and: more, of: them\nsecond line\nNegative Template: bad"
    read = parse(A1111 + "\n" + trailer)
    assert read == parse(A1111).model_copy(update={"trailer": trailer})
    assert write(read) == A1111 + "\n" + trailer


def test_a_line_of_fields_within_the_prompt_stays_there() -> None:
    inner = "Steps: 1, Sampler: b, Seed: 3\nand on"
    read = parse(f"{inner}\nSteps: 2, Sampler: c, Seed: 4")
    assert read.prompt == inner
    assert read.fields["Steps"] == "2"


def test_controlnet_and_odd_keys() -> None:
    text = 'x\nSteps: 4, ControlNet 0: "Module: canny, Weight: 1.0", Hires resize: 0x1024, a/b-c: d:e, Size: 10x20, ,, Last: '
    assert parse(text).fields == {
        "Steps": "4", "ControlNet 0": "Module: canny, Weight: 1.0", "Hires resize": "0x1024", "a/b-c": "d:e", "Size": "10x20", "Last": "",
    }  # fmt: skip


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PIECES = ["a", ":", ",", "\n", '"', " ", "Negative prompt:", "Steps: 1, b: 2, c: 3", "Template: x", "\\", "(a:1.2)"]
PROMPTS = st.one_of(WORDS, st.lists(st.sampled_from(PIECES)).map("".join))
KEYS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_ \-/]{0,12}[A-Za-z0-9_\-/]", fullmatch=True)
FIELDS = st.dictionaries(KEYS, WORDS, min_size=3, max_size=8)


def normal(prompt: str) -> str:
    """What is left of a prompt by the grammar: its lines without the space around them, none blank before the first."""
    return "\n".join(line.strip() for line in prompt.split("\n")).lstrip("\n")


def sayable(prompt: str) -> bool:
    return not any(line.strip().startswith("Negative prompt:") for line in prompt.split("\n"))


@given(PROMPTS.filter(sayable), PROMPTS.filter(sayable), FIELDS)
@example("a\n", "\nb", {"a1": "x", "b1": "y", "c1": "z"})
@settings(max_examples=200, deadline=None)
def test_what_was_written_is_read_back(prompt: str, negative: str, fields: dict[str, str]) -> None:
    fields = {key: value for key, value in fields.items() if key != value}
    fields |= {"Steps": "20", "Sampler": "Euler", "Seed": "3"}
    read = parse(write(Infotext(prompt=prompt, negative_prompt=negative, fields=fields)))
    assert read.fields == fields
    assert read.prompt == normal(prompt)
    assert read.negative_prompt == normal(negative)


@given(st.one_of(st.text(), st.lists(st.sampled_from(list('ab: ,\n"\\/-x1') + ["Negative prompt:", "Template:"])).map("".join)))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_and_once_read_is_stable(text: str) -> None:
    read = parse(text)
    if read.fields and sayable(read.prompt):
        again = parse(write(read))
        assert again.fields == {key: value for key, value in read.fields.items() if key != value} or len(again.fields) < 3


HOSTILE = ("a", "a b-", ": ", '"', 'a:"\\', "aa:", "\n", "Template:\n", "Negative prompt:\n", '"a', "a1: 2,\nTemplate:", "a1:b,")


@pytest.mark.parametrize("piece", HOSTILE)
def test_reading_takes_no_longer_than_the_text_is_long(piece: str) -> None:
    text = piece * (400_000 // len(piece))
    started = time.process_time()
    parse(text)
    assert time.process_time() - started < 2


@pytest.mark.long
def test_a_million_mutations_are_read() -> None:
    chance = random.Random(5)
    alphabet = list(A1111 + '"\\\n\x00') + ["Negative prompt:", "Template: ", json.dumps("a, b"), "\u2028", "\r"]
    for _ in range(1_000_000):
        text = list(A1111)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(text))
            text[at : at + chance.randint(0, 12)] = chance.choice(alphabet)
        write(parse("".join(text)))
