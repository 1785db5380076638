"""A1111's extra networks: tags `<kind:arguments>` in a prompt, cut out of the text that is encoded."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import ValidationError

from webui.core.errors import UserError
from webui.core.request import MAX_LORAS, MAX_PROMPT, GenerationRequest, LoraUse

LORA_KINDS = ("lora", "lyco")  # the second was an extension's word for the same
MOST_NOTES = 8
_HEAD = re.compile(r"<(\w++):")


class Tag(NamedTuple):
    """`<kind:a:b:c=d>`: `positional` is a, b and `named` is {c: d}; `text` is the whole tag as written."""

    kind: str
    positional: tuple[str, ...]
    named: Mapping[str, str]
    text: str


class Cut(NamedTuple):
    """A prompt without its tags, what the tags ask for, and a sentence for each that was left out."""

    text: str
    loras: tuple[LoraUse, ...] = ()
    notes: tuple[str, ...] = ()


def tags(prompt: str) -> tuple[str, list[Tag]]:
    """The prompt without tags, and the tags in order; never raises. What is no whole tag stays text."""
    kept: list[str] = []
    found: list[Tag] = []
    done = position = 0
    while head := _HEAD.search(prompt, position):
        end = prompt.find(">", head.end())
        if end < 0:
            break
        position = head.end()
        if end > position:  # arguments there must be
            found.append(_tag(head[1], prompt[position:end], prompt[head.start() : end + 1]))
            kept.append(prompt[done : head.start()])
            done = position = end + 1
    kept.append(prompt[done:])
    return "".join(kept), found


def _tag(kind: str, arguments: str, text: str) -> Tag:
    positional: list[str] = []
    named: dict[str, str] = {}
    for item in arguments.split(":"):
        if item.count("=") == 1:
            key, _, value = item.partition("=")
            named[key] = value
        else:
            positional.append(item)
    return Tag(kind, tuple(positional), named, text)


def cut(prompt: str) -> Cut:
    """Take the tags out of a prompt; never raises."""
    text, found = tags(prompt)
    loras: list[LoraUse] = []
    notes: list[str] = []
    for tag in found:
        use = _use(tag) if tag.kind in LORA_KINDS else _unknown(tag)
        if isinstance(use, LoraUse):
            loras.append(use)
        else:
            notes.append(use)
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"{len(notes) - MOST_NOTES} more tags were left out."]
    return Cut(text, tuple(loras), tuple(notes))


def _unknown(tag: Tag) -> str:
    if tag.kind == "hypernet":
        return f"{_shown(tag)} was left out: hypernetworks cannot be used here; a LoRA of the same style can."
    return f"{_shown(tag)} was left out: there are no tags of the kind “{tag.kind[:40]}”, only lora and lyco."


def _use(tag: Tag) -> LoraUse | str:
    """`name`, `name:both`, `name:text encoder:unet`, `name:text encoder:unet:rank`, or any of them as te=, unet=, dyn=."""
    given = dict(enumerate(tag.positional))
    both = given.get(1, "1")
    text_encoder = tag.named.get("te", both)
    unet = tag.named.get("unet", given.get(2, text_encoder))
    rank = tag.named.get("dyn", given.get(3))
    if not given.get(0):
        return f"{_shown(tag)} was left out: it names no file."
    try:
        return LoraUse(name=given[0], unet=float(unet), text_encoder=float(text_encoder), rank=int(rank) if rank is not None else None)
    except (ValidationError, ValueError):
        return f"{_shown(tag)} was left out: its weights must be numbers from -100 to 100, as in <lora:name:0.8>."


def _shown(tag: Tag) -> str:
    return tag.text if len(tag.text) <= 60 else f"{tag.text[:57]}…>"


def written(use: LoraUse) -> str:
    """The tag that says the same; read back by `cut`."""
    parts = [use.name, _number(use.text_encoder)]
    if use.unet != use.text_encoder or use.rank is not None:
        parts.append(_number(use.unet))
    if use.rank is not None:
        parts.append(str(use.rank))
    return f"<lora:{':'.join(parts)}>"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def merged(request: GenerationRequest) -> GenerationRequest:
    """The same LoRAs in the prompt, as A1111 writes them, and in `loras`; doing it again changes nothing.

    A tag wins over a row of `loras` with its name, so that a request that is sent again is not applied twice.
    Raises `UserError` where the prompt would become too long, or there are too many.
    """
    said = {use.name for use in cut(request.prompt).loras}
    missing = [written(use) for use in request.loras if use.name not in said]
    prompt = " ".join([*([request.prompt] if request.prompt else []), *missing])
    if len(prompt) > MAX_PROMPT:
        raise UserError(f"With its LoRAs the prompt has {len(prompt):,} characters; {MAX_PROMPT:,} can be used.", field="prompt")
    loras = cut(prompt).loras
    if len(loras) > MAX_LORAS:
        raise UserError(f"{len(loras)} LoRAs are too many for one picture; {MAX_LORAS} can be used.", field="prompt")
    return request.model_copy(update={"prompt": prompt, "loras": loras})
