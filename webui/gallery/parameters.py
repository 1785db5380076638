"""How a picture was made, as a draft of a request that makes it again here, and what of it cannot be carried over."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from webui.core.errors import BadImage, UnknownName, UserError
from webui.core.geometry import snap
from webui.core.infotext import Infotext, parse
from webui.core.parts import SamplerInfo, ScheduleInfo
from webui.core.records import ModelRecord
from webui.core.registry import Registry
from webui.core.request import MAX_PROMPT, Frozen, GenerationRequest, RequestDraft, Sampling
from webui.core.sampling import AUTOMATIC, fitting, split
from webui.gallery.chunks import MAX_INFOTEXT, read_bytes
from webui.gallery.metadata import GESSO, PARAMETERS, read_origin
from webui.library.naming import SHORT_HASH
from webui.library.store import Library

MOST_NOTES = 12  # about single fields; a file may name a million
MOST_FACTS, LONGEST_FACT = 40, 300  # characters; the same
IMPLIED = {"Clip skip": "1"}  # what A1111 does not write when it is the usual
CARRIED = frozenset(("Steps", "Sampler", "Schedule type", "CFG scale", "Seed", "Size", "Model", "Model hash", "Clip skip"))
IN_THE_PROMPT = ("loras", "embeddings")  # fields of a request whose whole content stands in its prompts
HARMLESS = frozenset(("Version", "User", "RNG", "Batch size", "Batch pos", "Model type", "Created Date", "Civitai resources", "Hashes"))
FILES = frozenset(("Lora hashes", "TI hashes", "VAE hash"))  # of what the prompt and the field “VAE” name
OTHERS = {
    "workflow": "ComfyUI",
    "prompt": "ComfyUI",
    "invokeai_metadata": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "Comment": "another program",
}


class Parameters(Frozen):
    """`draft` has the shape of a `RequestDraft`; what it lacks stays as the form has it. `notes` are for the person.

    `facts` are what a picture of Gesso's says of how it ran: Device, Attention, Schedule, torch, Retry …
    """

    draft: dict[str, Any]
    infotext: str
    source: str  # "Gesso", "A1111", "Forge" or "unknown"
    notes: tuple[str, ...] = ()
    facts: dict[str, str] = Field(default_factory=dict)


class Names(NamedTuple):
    """Where names in a text are looked up."""

    library: Library
    samplers: Registry[SamplerInfo]
    schedules: Registry[ScheduleInfo]


class _Draft:
    """A draft that grows field by field, each checked by itself, so that one bad value costs one field."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.notes: list[str] = []

    def put(self, key: str, value: object) -> None:
        """`key` may be dotted once. A value that no request can have becomes a note."""
        outer, _, inner = key.partition(".")
        try:
            checked = RequestDraft.parse({outer: {inner: value} if inner else value}).model_dump(exclude_none=True)
        except UserError as error:
            if len(self.notes) < MOST_NOTES:
                self.notes.append(f"Not taken over: {str(error)[:200]}")
            return
        if inner:
            self.fields.setdefault(outer, {}).update(checked[outer])
        else:
            self.fields.update(checked)

    def text(self, key: str, text: str) -> None:
        if len(text) > MAX_PROMPT:
            self.notes.append(f"The {key.replace('_', ' ')} was cut to {MAX_PROMPT:,} characters.")
        self.put(key, text[:MAX_PROMPT])


def from_picture(data: bytes, names: Names) -> Parameters:
    """Raises `BadImage` when it cannot be read or says nothing."""
    texts = read_bytes(data).texts
    infotext = texts.get(PARAMETERS, "")
    origin = read_origin(texts.get(GESSO))
    if origin is not None:
        return from_origin(origin.request, origin.seed, infotext, names, origin.facts)
    if infotext.strip():
        return from_text(infotext, names)
    program = next((program for key, program in OTHERS.items() if key in texts), None)
    if program is not None:
        raise BadImage(f"This picture was made by {program}, in a form that cannot be read here.")
    raise BadImage("This picture does not say how it was made: it was edited, sent through a chat, or never had it.")


def from_origin(request: Mapping[str, Any], seed: int, infotext: str, names: Names, facts: Mapping[str, str]) -> Parameters:
    """The exact request, for the one picture with this seed; a field younger than the picture is what it was before it came."""
    draft = _Draft()
    said = request.get("sampling")
    sampling: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
    for key, value in (_defaults(GenerationRequest) | dict(request)).items():
        if key not in ("sampling", "count", "checkpoint", *IN_THE_PROMPT):
            draft.put(key, value)
    for key, value in (_defaults(Sampling) | dict(sampling)).items():
        if key not in ("seed", "sampler", "schedule"):
            draft.put(f"sampling.{key}", value)
    draft.put("count", 1)
    draft.put("sampling.seed", seed)
    if sampling:
        schedule = str(sampling.get("schedule"))
        ran = facts.get("Schedule", schedule) if schedule == AUTOMATIC else schedule  # for pictures from before it was kept as it ran
        _put_sampler(draft, str(sampling.get("sampler")), ran, names)
    said_hash = parse(infotext).fields.get("Model hash", "")
    _put_checkpoint(draft, str(request.get("checkpoint")), said_hash, names.library)
    if draft.fields.pop("batch_size", 1) > 1:
        draft.notes.append("It was made in a batch; made alone it may differ in details.")
    told = {key[:LONGEST_FACT]: value[:LONGEST_FACT] for key, value in list(facts.items())[:MOST_FACTS]}
    return Parameters(draft=draft.fields, infotext=infotext, source="Gesso", notes=tuple(draft.notes), facts=told)


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    return {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items() if not field.is_required()}


def from_text(text: str, names: Names) -> Parameters:
    """Of an infotext; any text is at least a prompt."""
    text = text[:MAX_INFOTEXT]
    said = parse(text)
    fields = (IMPLIED | said.fields) if said.fields else {}
    draft = _Draft()
    draft.text("prompt", said.prompt)
    draft.text("negative_prompt", said.negative_prompt)
    for key, field, convert in (
        ("Steps", "sampling.steps", int),
        ("CFG scale", "sampling.guidance", float),
        ("Seed", "sampling.seed", int),
        ("Clip skip", "sampling.clip_skip", int),
    ):
        if key in fields:
            draft.put(field, _number(fields[key], convert))
    _put_size(draft, said)
    if "Sampler" in said.fields:
        _put_sampler(draft, said.fields["Sampler"], said.fields.get("Schedule type", AUTOMATIC), names)
    if "Model" in said.fields or "Model hash" in said.fields:
        _put_checkpoint(draft, said.fields.get("Model", ""), said.fields.get("Model hash", ""), names.library)
    left = [f"{key} {value[:40]}" for key, value in said.fields.items() if key not in CARRIED | HARMLESS | FILES]
    if left:
        draft.notes.append(f"Not taken over, as Gesso does not have it: {', '.join(left[:12])}{' …' if len(left) > 12 else ''}.")
    return Parameters(draft=draft.fields, infotext=text, source=_source(said), notes=tuple(draft.notes))


def _number(text: str, convert: type[int] | type[float]) -> object:
    try:
        return convert(text) if len(text) <= 24 else text
    except ValueError:
        return text


def _put_size(draft: _Draft, said: Infotext) -> None:
    size = said.pair("Size")
    if size is None:
        return
    width, height = (snap(side) for side in size)
    if (width, height) != size:
        draft.notes.append(f"The size {size[0]} × {size[1]} became {width} × {height}: sides are multiples of 8 from 64 to 4096.")
    draft.put("width", width)
    draft.put("height", height)


def _put_sampler(draft: _Draft, name: str, asked: str, names: Names) -> None:
    """Also the older joined names: “DPM++ 2M Karras” is the sampler DPM++ 2M with the schedule Karras."""
    sampler, carried = split(name, names.samplers, names.schedules)
    schedule = carried or asked
    _put_name(draft, "sampling.sampler", sampler, names.samplers)
    if sampler in names.samplers and schedule in names.schedules:
        row, known = names.samplers.find(sampler), names.schedules.find(schedule).id
        schedule = fitting(row, known)
        if schedule != known:
            draft.notes.append(f"{row.id} does not take the schedule {known} here; it gets {schedule}.")
    if schedule != AUTOMATIC or AUTOMATIC in names.schedules:
        _put_name(draft, "sampling.schedule", schedule, names.schedules)


def _put_name(draft: _Draft, field: str, name: str, registry: Registry[Any]) -> None:
    try:
        draft.put(field, registry.find(name).id)
    except UnknownName as error:
        draft.notes.append(f"{error} The one in the form stays.")


def _put_checkpoint(draft: _Draft, name: str, said_hash: str, library: Library) -> None:
    """By its hash, whatever it is called here; else by its name, and then a different hash is told."""
    record: ModelRecord | None = None
    for wanted in (said_hash, name):
        if record is None and wanted:
            try:
                record = library.find(wanted)
            except UserError:
                continue
    if record is None or record.family is None:
        shown = name or said_hash
        why = f"is not here{f' ({said_hash})' if said_hash and name else ''}" if record is None else "cannot be used"
        draft.notes.append(f"The checkpoint “{shown[:80]}” {why}. The one in the form stays.")
        return
    draft.put("checkpoint", record.id)
    if said_hash and record.sha256 and not record.sha256.startswith(said_hash.lower()[:SHORT_HASH]):
        hashes = f"{record.sha256[:SHORT_HASH]}, not {said_hash[:SHORT_HASH]}"
        draft.notes.append(f"“{record.label}” here is another file than the one it was made with ({hashes}).")


def _source(said: Infotext) -> str:
    version = said.fields.get("Version", "")
    if version.startswith("Gesso"):
        return "Gesso"
    if version.startswith("f"):
        return "Forge"
    return "A1111" if said.fields else "unknown"
