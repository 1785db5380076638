"""What a person is told of a file before using it: from its header alone, and nothing that could do harm."""

import json
from pathlib import Path

import pytest

from tests.library.test_kinds import header_of
from tests.library.weights import FAMILY, diffusers_folder, single_file
from tests.library.zoo import TE, ZOO, Animal, kohya, lora, peft
from webui.core.records import LoraFacts, ModelRecord
from webui.library.loras import MAX_TAGS, MAX_TRIGGERS, facts
from webui.library.passport import MAX_KEYS, MAX_TOTAL, MAX_VALUE, Passport, of_header, passport
from webui.library.store import Library

TRAINED = {
    "ss_output_name": "Ink style",
    "ss_network_alpha": "4.0",
    "ss_network_dim": "8",
    "ss_sd_model_name": "v1-5-pruned.safetensors",
    "ss_learning_rate": "None",
    "ss_tag_frequency": json.dumps({"10_inkstyle": {"inkstyle": 20, "lake": 3, "night sky ": 7}, "2_more": {"lake": 9}}),
    "sshs_model_hash": "ab" * 32,
}


def of(animal: Animal) -> Passport:
    return of_header(header_of(animal), 1000)


def facts_of(shapes: dict[str, tuple[int, ...]], metadata: dict[str, str]) -> LoraFacts:
    return facts(header_of(Animal(shapes, None, "", (), metadata)))


def test_what_a_lora_is_and_was_trained_on() -> None:
    told = facts_of({**kohya(768), **lora(f"lora_te_{TE}", 768, 768, rank=16)}, TRAINED)
    assert told.ranks == (8, 16)
    assert (told.alpha, told.modules) == (4.0, 3)
    assert (told.denoiser, told.text_encoder, told.dora) == (True, True, False)
    assert (told.alias, told.triggers) == ("Ink style", ("inkstyle", "more"))
    assert told.tags == (("inkstyle", 20), ("lake", 12), ("night sky", 7))
    assert told.hash == "ab" * 32


@pytest.mark.parametrize(
    ("name", "ranks", "text_encoder", "denoiser"),
    [
        ("kohya sd15", (8,), False, True),
        ("kohya two text encoders", (8,), True, False),
        ("kohya locon", (4, 8), False, True),
        ("peft sd15", (4,), True, True),
        ("diffusers text encoder alone", (4,), True, False),
        ("diffusers, oldest", (4,), False, True),
        ("xlabs flux", (16,), False, True),
        ("loha", (8,), False, True),
        ("loha with a core", (8,), False, True),
        ("lokr", (4,), False, True),
        ("lokr, both small", (2,), False, True),
        ("glora", (4,), False, True),
        ("full", (), False, True),
        ("ia3", (), False, True),
        ("oft", (), False, True),
    ],
)
def test_rank_and_reach_in_every_layout(name: str, ranks: tuple[int, ...], text_encoder: bool, denoiser: bool) -> None:
    told = facts(header_of(ZOO[name]))
    assert (told.ranks, told.text_encoder, told.denoiser) == (ranks, text_encoder, denoiser)


@pytest.mark.parametrize("name", ["dora", "peft dora"])
def test_dora_is_said(name: str) -> None:
    assert facts(header_of(ZOO[name])).dora


@pytest.mark.parametrize(
    ("metadata", "triggers"),
    [
        ({"modelspec.trigger_phrase": "sks dog, in ink", **TRAINED}, ("sks dog", "in ink")),
        ({"ss_dataset_dirs": json.dumps({"10_sks dog": {"n_repeats": 10}, "plain": {}})}, ("sks dog",)),
        ({"ss_tag_frequency": "not json"}, ()),
        ({"ss_tag_frequency": "[1]", "ss_dataset_dirs": '{"a": NaN'}, ()),
        ({"ss_tag_frequency": "{" * 100_000}, ()),
        ({"modelspec.trigger_phrase": ", ".join(map(str, range(99)))}, tuple(map(str, range(MAX_TRIGGERS)))),
    ],
)
def test_triggers_and_what_is_none(metadata: dict[str, str], triggers: tuple[str, ...]) -> None:
    assert facts_of(dict(kohya(768)), metadata).triggers == triggers


@pytest.mark.parametrize("name", ["None", "none", "Addams", ""])
def test_names_that_trainers_give_by_default_are_no_aliases(name: str) -> None:
    assert facts_of(dict(kohya(768)), {"ss_output_name": name}).alias == ""


def test_tags_are_the_most_frequent_ones_and_make_sense() -> None:
    tags = {f"tag{number}": number for number in range(1, 500)} | {"": 999, "odd": "many", "less": -3, "true": True, "big": 2**40}
    told = facts_of(dict(kohya(768)), {"ss_tag_frequency": json.dumps({"a": tags, "b": 7})}).tags
    assert told[0] == ("tag499", 499)
    assert len(told) == MAX_TAGS


def test_components_and_dtypes_in_bytes(tmp_path: Path) -> None:
    path = single_file(tmp_path / "x.safetensors", ZOO["checkpoint sdxl"].shapes, body=False)
    told = of_file(path)
    assert {share.name for share in told.components} == {"unet or transformer", "VAE", "text encoder 2"}
    assert sum(share.bytes for share in told.components) == sum(share.bytes for share in told.dtypes)
    assert [share.name for share in told.dtypes] == ["U8"]
    assert (told.kind, told.family, told.bytes) == ("checkpoint", "sdxl", path.stat().st_size)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("vae", {"VAE"}),
        ("flux", {"unet or transformer"}),
        ("embedding sdxl", {"text encoder", "text encoder 2"}),
        ("dat", {"upscaler"}),
        ("controlnet", {"control network"}),
        ("clip", {"text encoder"}),
        ("peft sdxl", {"unet or transformer", "text encoder 2"}),
        ("diffusers, oldest", {"unet or transformer"}),
        ("something else", {"other"}),
    ],
)
def test_components_of_other_kinds(name: str, parts: set[str]) -> None:
    assert {share.name for share in of(ZOO[name]).components} == parts


def of_file(path: Path) -> Passport:
    return passport(ModelRecord(id="x", label="x", path=path, layout="single_file", family=None, bytes=path.stat().st_size))


def test_an_embedding_says_how_many_words_it_takes() -> None:
    assert of(ZOO["embedding"]).vectors == 5
    assert of(ZOO["embedding of a diffusers trainer"]).vectors == 1
    assert of(ZOO["vae"]).vectors is None


def test_a_diffusers_folder_is_told_by_its_components(tmp_path: Path) -> None:
    folder = diffusers_folder(tmp_path / "models" / "checkpoints" / "x")
    single_file(folder / "unet" / "model.fp16.safetensors", {"weight": (3,)})
    told = passport(Library(tmp_path / "models", [FAMILY]).find("x"))
    assert {share.name: share.bytes for share in told.components} == {"unet": 3, "vae": 3, "text encoder": 3}
    assert told.family == "sd15"


def test_metadata_is_capped_and_cannot_do_harm() -> None:
    metadata = {f"key{number:04}": "x" * 5000 for number in range(300)} | {
        "a\u202emirrored": "line\x00one\x1b[2J\r\nline\u2028two\ud800",
        "modelspec.thumbnail": "data:image/png;base64," + "A" * 100_000,
        "modelspec.title": "<script>alert(1)</script>",
        "ss_sd_model_name": "model\nname\u200b",
        "ss_learning_rate": "None",
    }
    told = of(Animal(kohya(768), None, "", (), metadata))
    shown = dict(told.metadata)
    assert told.model_dump_json()  # nothing in it that is no text
    assert shown["amirrored"] == "lineone[2J\nlinetwo?"
    assert sum(len(key) + len(value) for key, value in told.metadata) <= MAX_TOTAL
    assert max(map(len, shown.values())) <= MAX_VALUE
    assert len(shown) <= MAX_KEYS
    assert told.left_out == len(metadata) - len(shown)
    assert dict(told.training) == {"Trained on": "model name"}
    small = of(Animal(kohya(768), None, "", (), {"modelspec.thumbnail": "data:image/png;base64," + "A" * 100_000}))
    assert small.metadata == (("modelspec.thumbnail", "(a picture or another file, 100,022 characters)"),)


def test_a_record_of_hostile_metadata_can_be_stored_and_sent(tmp_path: Path) -> None:
    hostile = {"ss_output_name": "a\ud800\x00\u202e", "modelspec.trigger_phrase": "\udfff, \x1b", "ss_network_alpha": "1e999"}
    single_file(tmp_path / "models" / "Lora" / "x.safetensors", peft("unet.down_blocks.0.attn2.to_k", 768), body=False, metadata=hostile)
    (record,) = Library(tmp_path / "models", [FAMILY]).records("lora")
    assert record.model_dump_json()
    assert record.lora is not None
    assert (record.lora.alias, record.lora.triggers, record.lora.alpha) == ("a?", ("?",), None)
