"""Reading how a picture was made from any file that may be dropped on the page."""

import io
import json
import random
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.gallery.conftest import job, picture
from webui.core.errors import BadImage
from webui.core.infotext import parse
from webui.core.parts import SamplerInfo, ScheduleInfo
from webui.core.registry import Registry
from webui.core.request import GenerationRequest, RequestDraft
from webui.engine import samplers as table
from webui.gallery import chunks
from webui.gallery.chunks import MAX_TEXT, read_bytes
from webui.gallery.gallery import Gallery
from webui.gallery.parameters import Parameters
from webui.library.store import Library

A1111 = """a majestic mountain (sunset:1.2), <lora:x:0.8> ☃
second line
Negative prompt: blurry
Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 965, Size: 512x768, Model: tiny, Clip skip: 2, Version: v1.6.0"""


class Reader:
    """`gallery.read_parameters` with the names there are."""

    def __init__(self, gallery: Gallery, library: Library, samplers: Registry[SamplerInfo], schedules: Registry[ScheduleInfo]) -> None:
        self._names = library, samplers, schedules
        self._gallery = gallery

    def file(self, data: bytes) -> Parameters:
        return self._gallery.read_parameters(data, *self._names)

    def text(self, text: str) -> Parameters:
        return self._gallery.parse_text(text, *self._names)


@pytest.fixture
def read(gallery: Gallery, library: Library, samplers: Registry[SamplerInfo], schedules: Registry[ScheduleInfo]) -> Reader:
    return Reader(gallery, library, samplers, schedules)


def png(**texts: str) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    made = io.BytesIO()
    picture().save(made, "PNG", pnginfo=info)
    return made.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(content, zlib.crc32(kind)).to_bytes(4, "big")


def bare_png(*pieces: bytes, width: int = 8, height: int = 8) -> bytes:
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return chunks.PNG + size + b"".join(pieces) + chunk(b"IEND", b"")


def exif(comment: bytes, order: str = "<") -> bytes:
    """A TIFF with one directory that points to an Exif directory that holds one UserComment."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    pointer = struct.pack(order + "HHHIII", 1, 0x8769, 4, 1, 26, 0)
    inner = struct.pack(order + "HHHIII", 1, 0x9286, 7, len(comment), 44, 0)
    return head + pointer + inner + comment


def with_exif(form: str, data: bytes) -> bytes:
    made = io.BytesIO()
    picture().save(made, form, exif=b"Exif\0\0" + data)
    return made.getvalue()


# --- Gesso's own ---


def test_our_picture_gives_its_exact_request(gallery: Gallery, read: Reader) -> None:
    asked = job(prompt="a: b, \n☃", negative_prompt="x", count=4, sampling={"seed": 7, "sampler": "Euler", "guidance": 5.5})
    saved = gallery.save(asked, 2, picture(), 9, {"Device": "fake"})
    said = read.file(gallery.file(saved.id).read_bytes())
    assert said.source == "Gesso"
    assert said.notes == ()
    assert said.facts == {"Device": "fake"}
    sampling = asked.request.sampling.model_copy(update={"seed": 9})
    assert GenerationRequest.model_validate(said.draft) == asked.request.model_copy(update={"count": 1, "sampling": sampling})
    assert said.infotext.endswith("Version: Gesso 0.1.0")


def test_automatic_is_kept_as_the_schedule_that_ran(gallery: Gallery, read: Reader) -> None:
    """So that a version whose Automatic means another one makes the same picture."""
    asked = job(sampling={"seed": 7, "sampler": "Euler", "schedule": "Automatic"})
    saved = gallery.save(asked, 0, picture(), 7, {"Schedule": "Exponential"})
    data = gallery.file(saved.id).read_bytes()
    said = read.file(data)
    assert "Sampler: Euler, Schedule type: Exponential," in said.infotext
    assert said.draft["sampling"]["schedule"] == "Exponential"
    assert said.facts == {"Schedule": "Exponential"}
    older = read_bytes(data).texts["gesso"].replace('"schedule":"Exponential"', '"schedule":"Automatic"')
    assert '"Automatic"' in older
    assert read.file(png(gesso=older)).draft["sampling"]["schedule"] == "Exponential", "of pictures from before that, too"
    plain = gallery.save(asked, 1, picture(), 8, {})
    assert read.file(gallery.file(plain.id).read_bytes()).draft["sampling"]["schedule"] == "Automatic", "an engine that says nothing"


def test_a_field_younger_than_the_picture_is_what_it_was_before_it_came(gallery: Gallery, read: Reader) -> None:
    """Else it would stay as the form has it, and the picture would be another one."""
    text = read_bytes(gallery.file(gallery.save(job(), 0, picture(), 1, {}).id).read_bytes()).texts["gesso"]
    older = json.loads(text)
    del older["request"]["negative_prompt"], older["request"]["sampling"]["clip_skip"]
    said = read.file(png(gesso=json.dumps(older)))
    assert said.draft["negative_prompt"] == ""
    assert said.draft["sampling"]["clip_skip"] == 1
    assert said.notes == ()


def test_hostile_facts_are_cut(gallery: Gallery, read: Reader) -> None:
    text = read_bytes(gallery.file(gallery.save(job(), 0, picture(), 1, {}).id).read_bytes()).texts["gesso"]
    hostile = json.loads(text) | {"facts": {f"{number}" * 500: "x" * 9999 for number in range(100)}}
    facts = read.file(png(gesso=json.dumps(hostile))).facts
    assert len(facts) <= 40
    assert max(len(key) + len(value) for key, value in facts.items()) <= 600


def test_files_stand_in_the_text_as_a1111_writes_them(gallery: Gallery, read: Reader) -> None:
    asked = job(prompt="sea <lora:ink:0.8>", loras=[{"name": "ink", "unet": 0.8, "text_encoder": 0.8}], embeddings=["easy"], vae="soft")
    facts = {"Lora hashes": "ink: 0123456789ab", "TI hashes": "easy: ba9876543210", "VAE": "soft.safetensors", "VAE hash": "0123456789"}
    said = read.file(gallery.file(gallery.save(asked, 0, picture(), 1, facts).id).read_bytes())
    assert 'Lora hashes: "ink: 0123456789ab"' in said.infotext
    assert "VAE hash: 0123456789, VAE: soft.safetensors," in said.infotext
    assert said.infotext.startswith("sea <lora:ink:0.8>")
    assert parse(said.infotext).fields.items() >= facts.items()
    assert said.draft["vae"] == "soft"
    assert said.draft["prompt"] == asked.request.prompt
    assert {"loras", "embeddings"}.isdisjoint(said.draft), "the prompts say them"


def test_our_picture_from_elsewhere_says_what_is_not_here(gallery: Gallery, read: Reader) -> None:
    asked = job(batch_size=4, sampling={"sampler": "Magic", "schedule": "Kerras"})
    asked = asked.model_copy(update={"request": asked.request.model_copy(update={"checkpoint": "other/dreams"})})
    said = read.file(gallery.file(gallery.save(asked, 0, picture(), 1, {}).id).read_bytes())
    assert {"checkpoint", "batch_size"}.isdisjoint(said.draft)
    assert {"sampler", "schedule"}.isdisjoint(said.draft["sampling"])
    assert said.notes[0].startswith("There is no sampler called “Magic”.")
    assert "Did you mean “Karras”? The one in the form stays." in said.notes[1]
    assert said.notes[2] == "The checkpoint “other/dreams” is not here. The one in the form stays."
    assert "made in a batch" in said.notes[3]


def test_a_newer_gessos_unknown_fields_are_named_and_the_rest_is_taken(gallery: Gallery, read: Reader) -> None:
    data = gallery.file(gallery.save(job(prompt="x"), 0, picture(), 1, {}).id).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        text = image.text["gesso"].replace('"clip_skip":1', '"clip_skip":99,"magic":3')  # type: ignore[attr-defined]  # of PNGs
    said = read.file(png(gesso=text, parameters="x"))
    assert said.draft["prompt"] == "x"
    assert len(said.notes) == 2
    assert "sampling.magic" in said.notes[1]


def test_a_hostile_request_costs_twelve_notes(gallery: Gallery, read: Reader) -> None:
    data = gallery.file(gallery.save(job(prompt="x"), 0, picture(), 1, {}).id).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        said = json.loads(image.text["gesso"])  # type: ignore[attr-defined]  # of PNGs
    said["request"] = {f"{n}" * 300: n for n in range(2000)} | {"sampling.seed": "no", "": 1, ".": 2, "prompt": ["x"], "sampling": 3}
    hostile = read.file(png(gesso=json.dumps(said)))
    assert len(hostile.notes) <= 13
    assert max(map(len, hostile.notes)) < 300
    assert hostile.draft["count"] == 1
    assert hostile.draft["sampling"] == {"steps": 20, "guidance": 7.0, "clip_skip": 1, "seed": 1}
    assert {"prompt", "checkpoint"}.isdisjoint(hostile.draft)


@pytest.mark.parametrize("text", ["", "no", "[]", "{}", "[" * 100_000, '{"request": 1}', '{"job": "\\ud800"}'])
def test_a_damaged_gesso_text_leaves_the_infotext(read: Reader, text: str) -> None:
    assert read.file(png(gesso=text, parameters=A1111)).source == "A1111"


# --- A1111's ---


def check_a1111(said: Parameters) -> None:
    assert said.source == "A1111"
    assert said.notes == ()
    assert said.infotext == A1111
    assert said.draft == {
        "prompt": "a majestic mountain (sunset:1.2), <lora:x:0.8> ☃\nsecond line",
        "negative_prompt": "blurry",
        "width": 512,
        "height": 768,
        "checkpoint": "sub/tiny",
        "sampling": {"steps": 28, "guidance": 6.5, "seed": 965, "clip_skip": 2, "sampler": "DPM++ 2M", "schedule": "Karras"},
    }
    RequestDraft.parse(said.draft)


def test_a1111_in_a_png_a_jpeg_a_webp_and_alone(read: Reader) -> None:
    check_a1111(read.file(png(parameters=A1111)))
    check_a1111(read.text(A1111))
    big = b"UNICODE\0" + A1111.encode("utf-16-be")  # as piexif writes it, whatever the order of the rest
    for form in ("JPEG", "WEBP"):
        for comment in (big, b"UNICODE\0" + A1111.encode("utf-16-le"), b"UNICODE\0" + A1111.encode("utf-16"), b"\0" * 8 + A1111.encode()):
            for order in "<>":
                check_a1111(read.file(with_exif(form, exif(comment, order))))


def test_packed_texts_and_texts_after_the_pixels(read: Reader) -> None:
    packed = chunk(b"iTXt", b"parameters\0\1\0en\0\0" + zlib.compress(A1111.encode()))
    check_a1111(read.file(bare_png(chunk(b"IDAT", b"x" * 100), packed)))
    latin = "a é\nSteps: 1, Sampler: Euler, Seed: 2"
    assert read.file(bare_png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(latin.encode("latin-1"))))).draft["prompt"] == "a é"


def test_the_checkpoint_is_found_by_its_hash_whatever_its_name(read: Reader, library: Library) -> None:
    sha256 = library.hash(library.find("tiny"))
    found = read.text(f"x\nSteps: 1, Sampler: Euler, Seed: 2, Model hash: {sha256[:10]}, Model: renamed")
    assert (found.draft["checkpoint"], found.notes) == ("sub/tiny", ())
    other = read.text("x\nSteps: 1, Sampler: Euler, Seed: 2, Model hash: 0123456789, Model: tiny")
    assert other.draft["checkpoint"] == "sub/tiny"
    assert other.notes == (f"“sub/tiny” here is another file than the one it was made with ({sha256[:10]}, not 0123456789).",)
    neither = read.text("x\nSteps: 1, Sampler: Euler, Seed: 2, Model hash: 0123456789, Model: v1-5")
    assert neither.notes == ("The checkpoint “v1-5” is not here (0123456789). The one in the form stays.",)


@pytest.mark.parametrize(
    ("sampler", "draft"),
    [
        ("Euler a", {"sampler": "Euler a", "schedule": "Automatic"}),
        ("Euler a, Schedule type: Karras", {"sampler": "Euler a", "schedule": "Karras"}),
        ("k_dpmpp_2m", {"sampler": "DPM++ 2M", "schedule": "Automatic"}),
        ("DPM++ 2M SGM Uniform", {"sampler": "DPM++ 2M", "schedule": "SGM Uniform"}),
        ("euler a karras", {"sampler": "Euler a", "schedule": "Karras"}),
    ],
)
def test_samplers_by_every_name(read: Reader, sampler: str, draft: dict[str, str]) -> None:
    said = read.text(f"x\nSteps: 1, Sampler: {sampler}, Seed: 2")
    assert said.draft["sampling"] == {"steps": 1, "seed": 2, "clip_skip": 1} | draft
    assert said.notes == ()


def test_what_a1111_leaves_out_is_its_usual(read: Reader) -> None:
    """The form's clip skip and schedule are not the picture's."""
    said = read.text("x\nSteps: 1, Sampler: Euler, Seed: 2")
    assert said.draft["sampling"]["clip_skip"] == 1
    assert said.draft["sampling"]["schedule"] == "Automatic"
    assert said.draft["negative_prompt"] == ""
    assert "sampling" not in read.text("only a prompt").draft


@pytest.mark.parametrize("name", ["DPM++ 2M SDE Karras", "DPM++ 3M SDE Karras", "DPM++ 2M SDE Heun Karras", "LMS Karras"])
def test_joined_names_keep_their_schedule_on_the_real_tables(gallery: Gallery, library: Library, name: str) -> None:
    real = Reader(gallery, library, Registry("sampler", table.SAMPLERS), Registry("schedule", table.SCHEDULES))
    said = real.text(f"x\nSteps: 1, Sampler: {name}, Seed: 2")
    assert (said.draft["sampling"]["sampler"], said.draft["sampling"]["schedule"]) == (name.removesuffix(" Karras"), "Karras")
    assert said.notes == ()


def test_a_schedule_that_the_sampler_never_took_is_said(gallery: Gallery, library: Library) -> None:
    """A1111's PLMS goes its own way whatever schedule its picture names."""
    real = Reader(gallery, library, Registry("sampler", table.SAMPLERS), Registry("schedule", table.SCHEDULES))
    said = real.text("x\nSteps: 1, Sampler: PLMS, Schedule type: Karras, Seed: 2")
    assert said.draft["sampling"]["schedule"] == "Automatic"
    assert said.notes == ("PLMS does not take the schedule Karras here; it gets Automatic.",)


@pytest.mark.parametrize(
    ("field", "note"),
    [
        ("Steps: 0", "sampling.steps"),
        ("Steps: many", "sampling.steps"),
        ("Steps: " + "9" * 5000, "sampling.steps"),
        ("Seed: -1", "sampling.seed"),
        ("Seed: 18446744073709551615", "sampling.seed"),
        ("CFG scale: nan", "sampling.guidance"),
        ("CFG scale: 1e400", "sampling.guidance"),
        ("Clip skip: 13", "sampling.clip_skip"),
        ("Size: 511x70000", "became 512 × 4096"),
        ("Sampler: Magic", "no sampler called “Magic”"),
        ("Denoising strength: 0.7", "Not taken over, as Gesso does not have it: Denoising strength 0.7."),
    ],
)
def test_one_bad_value_costs_one_field(read: Reader, field: str, note: str) -> None:
    said = read.text(f"x\nRNG: CPU, Version: v1.10.1, User: me, {field}")
    assert len(said.notes) == 1
    assert note in said.notes[0]
    assert said.draft["prompt"] == "x"
    RequestDraft.parse(said.draft)


def test_a_prompt_beyond_any_request_is_cut(read: Reader) -> None:
    said = read.text("x" * 30_000)
    assert len(said.draft["prompt"]) == 20_000
    assert said.notes == ("The prompt was cut to 20,000 characters.",)
    assert said.source == "unknown"


# --- what cannot be read ---


UNREADABLE = [
    (b"", "not a PNG, JPEG or WebP"),
    (b"GIF89a", "not a PNG, JPEG or WebP"),
    (b"<svg onload=x>", "not a PNG, JPEG or WebP"),
    (b"RIFF\0\0\0\0WEBP", "does not say how it was made"),
    (b"\xff\xd8\xff", "does not say how it was made"),
    (chunks.PNG, "cut off"),
    (png(parameters=A1111)[:-30], "cut off"),
    (png(), "does not say how it was made"),
    (png(parameters="  "), "does not say how it was made"),
    (png(prompt="{}", workflow="{}"), "made by ComfyUI"),
    (chunks.PNG + chunk(b"IEND", b""), "no size"),
    (chunks.PNG + chunk(b"tEXt", b"parameters\0x"), "does not start with its size"),
    (bare_png(width=0), "no size"),
    (chunks.PNG + chunk(b"IHDR", b"x"), "size cannot be read"),
    (bare_png(width=8001, height=8000), "8001 × 8000 pixels; at most 64 million"),
    (bare_png(width=2**32 - 1, height=2**32 - 1), "at most 64 million"),
    (bare_png(chunk(b"tEXt", b"parameters\0x")[:-1] + b"?"), "damaged"),
    (bare_png(chunk(b"zTXt", b"parameters\0\0no zlib")), "cannot be unpacked"),
    (bare_png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"x" * (MAX_TEXT + 1)))), "larger than 4 MB"),
    (bare_png(*[chunk(b"zTXt", b"a%d\0\0" % n + zlib.compress(b"x" * (MAX_TEXT // 2))) for n in range(3)]), "larger than 4 MB"),
    (bare_png(chunk(b"tEXt", b"parameters\0" + b"x" * (MAX_TEXT + 1))), "larger than 4 MB"),
    (bare_png((2**32 - 1).to_bytes(4, "big") + b"tEXt"), "larger than 4 MB"),
    (bare_png((2**32 - 1).to_bytes(4, "big") + b"IDAT"), "cut off"),
]


@pytest.mark.parametrize(("data", "says"), UNREADABLE, ids=[says for _, says in UNREADABLE])
def test_what_cannot_be_read_is_said(read: Reader, data: bytes, says: str) -> None:
    with pytest.raises(BadImage, match=says):
        read.file(data)


def test_a_file_beyond_any_picture(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_BYTES", 2**20)
    with pytest.raises(BadImage, match="has 2 MB; at most 1 MB can be read"):
        read.file(b"\0" * 2**21)


@pytest.mark.parametrize(
    "tiff",
    [
        b"", b"II*\0", b"II*\0\xff\xff\xff\xff", exif(b"x"), exif(b""), exif(b"UNICODE\0x"), exif(b"JIS\0\0\0\0\0ab"),
        b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, 8, 0), exif(b"ASCII\0\0\0abc")[:-9],
        struct.pack("<4sIH", b"II*\0", 8, 65535) + b"\x69\x87" * 100,
    ],
)  # fmt: skip
def test_odd_exif_is_survived(tiff: bytes) -> None:
    for form in ("JPEG", "WEBP"):
        read_bytes(with_exif(form, tiff))


def test_four_megabytes_of_text_are_read_in_time(read: Reader) -> None:
    for piece in ("a", "a: b, ", "Steps: 1, ", "\n", '"'):
        text = piece * ((MAX_TEXT - 100) // len(piece))
        started = time.process_time()
        read.file(bare_png(chunk(b"tEXt", b"parameters\0" + text.encode())) if text.strip() else png(parameters="x" + text))
        assert time.process_time() - started < 3


def survives(data: bytes) -> None:
    try:
        said = read_bytes(data)
    except BadImage as error:
        assert str(error)
    else:
        assert all(isinstance(text, str) for text in said.texts.values())


SAMPLES = [
    png(parameters=A1111, gesso="{}"),
    bare_png(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(A1111.encode()))),
    with_exif("JPEG", exif(b"UNICODE\0" + A1111.encode("utf-16-be"))),
    with_exif("WEBP", exif(b"UNICODE\0" + A1111.encode("utf-16-le"), ">")),
]


@given(st.sampled_from(SAMPLES), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), max_size=5), st.integers(0, 2500))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_read_or_refused(sample: bytes, edits: list[tuple[int, bytes]], end: int) -> None:
    data = bytearray(sample)
    for at, piece in edits:
        data[at : at + len(piece)] = piece
    survives(bytes(data[:end]))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_draft(text: str) -> None:
    no_names: Any = Registry("sampler", []), Registry("schedule", [])
    said = Gallery.parse_text(object(), text, EmptyLibrary(), *no_names)  # type: ignore[arg-type]  # nothing of either is used
    RequestDraft.parse(said.draft)


class EmptyLibrary:
    def find(self, name: str) -> None:
        raise BadImage(name)


@pytest.mark.long
def test_a_million_mutations_are_read_or_refused() -> None:
    chance = random.Random(3)
    for _ in range(1_000_000):
        data = bytearray(chance.choice(SAMPLES))
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(min(len(data), 400))
            data[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        survives(bytes(data))
