import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.core.prompt import MAX_WEIGHT, Token, chunks, limit, parse

VECTORS = {
    "": [["", 1]],
    "an (important) word": [["an ", 1], ["important", 1.1], [" word", 1]],
    "(unbalanced": [["unbalanced", 1.1]],
    "unbalanced)": [["unbalanced)", 1]],
    r"\(literal\]": [["(literal]", 1]],
    "(unnecessary)(parens)": [["unnecessaryparens", 1.1]],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ["a ", 1], ["house", 1.573], [" ", 1.1], ["on", 1], [" a ", 1.1], ["hill", 0.55], [", sun, ", 1.1], ["sky", 1.4641], [".", 1.1],
    ],
    "(a:1.5)": [["a", 1.5]],
    "(a:)": [["a:", 1.1]],
    "[a:0.5]": [["a:0.5", 0.90909]],
    "(a:-1)": [["a", -1]],
    "(a: 1.2 )": [["a", 1.2]],
    "(a:.5)": [["a", 0.5]],
    "(a:1.)": [["a", 1]],
    "(a:+2)": [["a", 2]],
    "a:1.4": [["a:1.4", 1]],
    "a:1.4)": [["a:1.4)", 1]],
    "[[[x]]]": [["x", 0.7513148]],
    "a BREAK b": [["a", 1], ["BREAK", -1], ["b", 1]],
    "a, BREAK, b": [["a,", 1], ["BREAK", -1], [", b", 1]],
    "(a BREAK b:1.2)": [["a", 1.2], ["BREAK", -1.2], ["b", 1.2]],
    "aBREAKb": [["aBREAKb", 1]],
    r"foo\bar": [["foobar", 1]],
    r"foo\\bar": [[r"foo\bar", 1]],
    "(a:1.2:1.3)": [["a:1.2", 1.3]],
    "[a|b]": [["a|b", 0.90909]],
    "<lora:x:0.8> (a)": [["<lora:x:0.8> ", 1], ["a", 1.1]],
    "(a [b) c]": [["a ", 1.1], ["b", 1], [" c", 0.90909]],
}  # fmt: skip  # one vector a line


@pytest.mark.parametrize("text", VECTORS)
def test_vectors(text):
    wanted = VECTORS[text]
    runs = parse(text)
    assert [run.text for run in runs] == [words for words, _ in wanted]
    assert [run.weight for run in runs] == pytest.approx([weight for _, weight in wanted], abs=1e-5)
    assert [run.stop for run in runs] == [words == "BREAK" for words, _ in wanted]


grammar = st.lists(st.sampled_from([*"ab ,:.-+019()[]\\|\n", "BREAK", " BREAK ", ":1.3)"]), max_size=60).map("".join)


@given(st.one_of(st.text(), grammar))
def test_never_raises_and_weights_are_finite(text):
    runs = parse(text)
    assert runs
    assert all(math.isfinite(run.weight) and abs(run.weight) <= MAX_WEIGHT for run in runs)
    assert all(run.text for run in runs) or runs == [("", 1.0, False)]


@given(st.text(st.characters(exclude_characters="()[]:\\"), max_size=40).filter(lambda text: "BREAK" not in text))
def test_text_without_brackets_stays_whole(text):
    assert parse(text) == [(text, 1.0, False)]


@pytest.mark.parametrize(
    "text", ["(" * 20_000, "(a" * 10_000, ":" + " " * 19_998, ":" + "1" * 19_999, "(a:" + "9" * 19_000 + ")", "[(" * 9_999]
)
def test_the_longest_prompts_take_no_time(text):
    begin = time.process_time()
    parse(text)
    assert time.process_time() - begin < 0.5


def row(count, comma_at=(), start=0):
    return [Token(start + number, 1.0, number in comma_at) for number in range(count)]


def test_chunks_of_75():
    assert [len(chunk) for chunk in chunks(row(0))] == [0]
    assert [len(chunk) for chunk in chunks(row(75))] == [75]
    assert [len(chunk) for chunk in chunks(row(76))] == [75, 1]
    assert [len(chunk) for chunk in chunks(row(151))] == [75, 75, 1]


def test_a_phrase_moves_on_whole_when_its_comma_is_near():
    assert [len(chunk) for chunk in chunks(row(80, comma_at=(70,)))] == [71, 9]
    assert [len(chunk) for chunk in chunks(row(80, comma_at=(55,)))] == [56, 24]
    assert [len(chunk) for chunk in chunks(row(80, comma_at=(54,)))] == [75, 5]
    assert [len(chunk) for chunk in chunks(row(80, comma_at=(74,)))] == [75, 5]
    assert [len(chunk) for chunk in chunks(row(80, comma_at=(70, 75)))] == [75, 5]  # the 76th is a comma itself


def test_break_closes_a_chunk():
    assert [len(chunk) for chunk in chunks([*row(3), None, *row(4)])] == [3, 4]
    assert [len(chunk) for chunk in chunks([None, *row(4)])] == [0, 4]


@given(st.lists(st.one_of(st.none(), st.booleans()), max_size=400))
def test_chunks_keep_every_token_in_order(kinds):
    tokens = [None if kind is None else Token(number, 1.0, kind) for number, kind in enumerate(kinds)]
    made = chunks(tokens)
    assert [token for chunk in made for token in chunk] == [token for token in tokens if token]
    assert all(len(chunk) <= 75 for chunk in made)


@pytest.mark.parametrize(("tokens", "wanted"), [(0, 75), (1, 75), (75, 75), (76, 150), (150, 150), (151, 225)])
def test_limit(tokens, wanted):
    assert limit(tokens) == wanted
