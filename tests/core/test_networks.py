"""A1111's extra networks: its grammar, and what becomes of the tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.core.errors import UserError
from webui.core.networks import cut, merged, tags, written
from webui.core.prompt import parse
from webui.core.request import MAX_LORAS, GenerationRequest, LoraUse


def use(name: str, weight: float = 1.0, unet: float | None = None, rank: int | None = None) -> LoraUse:
    return LoraUse(name=name, text_encoder=weight, unet=weight if unet is None else unet, rank=rank)


def request(prompt: str, *loras: LoraUse) -> GenerationRequest:
    return GenerationRequest(checkpoint="x", prompt=prompt, loras=loras)


@pytest.mark.parametrize(
    ("prompt", "text", "found"),
    [
        ("a <lora:foo:0.8> b", "a  b", [("lora", ("foo", "0.8"), {})]),
        ("<lora:foo:te=0.5:unet=1>", "", [("lora", ("foo",), {"te": "0.5", "unet": "1"})]),
        ("a<b:c>d", "ad", [("b", ("c",), {})]),
        ("< lora:a:1>", "< lora:a:1>", []),
        ("<lora::0.5>", "", [("lora", ("", "0.5"), {})]),
        ("<lora:>", "<lora:>", []),
        ("<lora:a", "<lora:a", []),
        ("<lora>", "<lora>", []),
        ("<lora:a=b=c:1>", "", [("lora", ("a=b=c", "1"), {})]),
        ("<a:<b:c>>", ">", [("a", ("<b", "c"), {})]),
    ],
)
def test_tags_are_cut_out(prompt: str, text: str, found: list[tuple[str, tuple[str, ...], dict[str, str]]]) -> None:
    left, read = tags(prompt)
    assert left == text
    assert [(tag.kind, tag.positional, tag.named) for tag in read] == found


def test_what_is_left_goes_on_to_the_attention_grammar() -> None:
    assert parse(cut("<lora:x:0.8> (a)").text) == [(" ", 1.0, False), ("a", 1.1, False)]


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        ("<lora:foo>", use("foo")),
        ("<lora:foo:0.8>", use("foo", 0.8)),
        ("<lora:foo:0.5:1>", use("foo", 0.5, 1)),
        ("<lora:foo:0.5:1:16>", use("foo", 0.5, 1, 16)),
        ("<lora:foo:te=0.5:unet=1:dyn=16>", use("foo", 0.5, 1, 16)),
        ("<lora:foo:te=0.5>", use("foo", 0.5)),
        ("<lora:foo:unet=0.5>", use("foo", 1, 0.5)),
        ("<lora:foo:0.8:unet=0.5>", use("foo", 0.8, 0.5)),
        ("<lyco:foo:-1.5>", use("foo", -1.5)),
        ("<lora:sub/my style (v2): .5 >", use("sub/my style (v2)", 0.5)),
    ],
)
def test_the_weights_of_a_lora(tag: str, wanted: LoraUse) -> None:
    assert cut(f"a {tag} b") == ("a  b", (wanted,), ())


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("<hypernet:anime:0.5>", "hypernetworks"),
        ("<b:c>", "no tags of the kind “b”"),
        ("<lora::0.5>", "names no file"),
        ("<lora:foo:strong>", "must be numbers"),
        ("<lora:foo:1e999>", "must be numbers"),
        ("<lora:foo:1:1:0>", "must be numbers"),
    ],
)
def test_what_cannot_be_used_is_removed_and_told(tag: str, reason: str) -> None:
    done = cut(f"a {tag} b")
    assert done.text == "a  b"
    assert done.loras == ()
    (note,) = done.notes
    assert tag in note
    assert reason in note


def test_thousands_of_them_are_told_shortly() -> None:
    assert len(cut("<a:b>" * 3000).notes) == 9


def test_the_tags_are_merged_into_the_request_and_the_other_way_round() -> None:
    whole = merged(request("sea <lora:foo:0.8>", use("bar", 0.5, 1)))
    assert whole.prompt == "sea <lora:foo:0.8> <lora:bar:0.5:1>"
    assert whole.loras == (use("foo", 0.8), use("bar", 0.5, 1))
    assert merged(whole) == whole
    assert merged(request("", use("bar"))).prompt == "<lora:bar:1>"


def test_a_tag_wins_so_that_nothing_is_applied_twice() -> None:
    assert merged(request("<lora:foo:0.8>", use("foo", 0.3))).loras == (use("foo", 0.8),)


def test_too_much_is_said() -> None:
    with pytest.raises(UserError, match="characters"):
        merged(request("x" * 19_990, use("bar")))
    with pytest.raises(UserError, match="too many"):
        merged(request("<lora:a:1>" * (MAX_LORAS + 1)))


@given(st.text(alphabet="<>:=loraunetdyc0.5- ", max_size=60))
def test_any_text_is_read(text: str) -> None:
    done = cut(text)
    assert len(done.text) <= len(text)
    whole = merged(request(text))
    assert merged(whole) == whole


@given(
    st.builds(
        LoraUse,
        name=st.from_regex(r"\A[^:<>=\n]{1,40}\Z"),
        unet=st.floats(-100, 100),
        text_encoder=st.floats(-100, 100),
        rank=st.none() | st.integers(1, 4096),
    )
)
def test_a_written_tag_is_read_back(lora: LoraUse) -> None:
    assert cut(f"a {written(lora)}").loras == (lora,)
