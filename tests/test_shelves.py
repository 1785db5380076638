"""LoRAs, VAEs and embeddings by name."""

import json
from pathlib import Path

import pytest

from webui.core.errors import UnknownName, UserError
from webui.core.request import BUILT_IN
from webui.shelves import Shelves


@pytest.fixture
def models(tmp_path: Path) -> Path:
    for name in (
        "models/Lora/Ink.safetensors",
        "models/loras/people/night.safetensors",
        "models/LyCORIS/trees/night.sft",
        "models/loras/notes.txt",
        "models/loras/.hidden.safetensors",
        "models/loras/pickled.pt",
        "models/VAE/dream.safetensors",
        "models/vae/ema.safetensors",
        "models/checkpoints/land.safetensors",
        "models/checkpoints/land.vae.safetensors",
        "models/checkpoints/dreamland.safetensors",
        "models/embeddings/EasyNegative.safetensors",
        "embeddings/bad-hands-5.safetensors",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "models"


def test_every_layout_is_found(models: Path) -> None:
    shelves = Shelves(models)
    assert [file.name for file in shelves.files("lora")] == ["Ink", "people/night", "trees/night"]
    assert [file.name for file in shelves.files("vae")] == ["dream", "ema", "land.vae"]
    assert [file.name for file in shelves.files("embedding")] == ["bad-hands-5", "EasyNegative"]


@pytest.mark.parametrize("name", ["Ink", "ink", "INK.safetensors", " ink "])
def test_a_name_is_found_however_it_is_written(models: Path, name: str) -> None:
    assert Shelves(models).find("lora", name).path == models / "Lora" / "Ink.safetensors"


def test_a_stem_that_is_there_twice_needs_its_folder(models: Path) -> None:
    shelves = Shelves(models)
    with pytest.raises(UserError, match=r"“people/night” or “trees/night”"):
        shelves.find("lora", "night")
    assert shelves.find("lora", "people\\night").path.parent.name == "people"


def test_an_unknown_name_is_said_with_the_nearest(models: Path) -> None:
    with pytest.raises(UnknownName, match="no LoRA called “inck”. Did you mean “Ink”") as caught:
        Shelves(models).find("lora", "inck", field="prompt")
    assert caught.value.field == "prompt"
    with pytest.raises(UnknownName, match="There is no VAE yet"):
        Shelves(models / "nowhere").find("vae", "x")


def test_a_new_file_is_there_and_a_changed_one_has_another_stamp(models: Path) -> None:
    shelves = Shelves(models)
    before = shelves.find("lora", "Ink").stamp
    (models / "Lora" / "Ink.safetensors").write_bytes(b"longer")
    (models / "Lora" / "new.safetensors").write_bytes(b"x")
    assert shelves.find("lora", "Ink").stamp != before
    assert shelves.find("lora", "new")


def test_links_in_a_circle_end(models: Path) -> None:
    (models / "loras" / "again").symlink_to(models / "loras")
    assert len(Shelves(models).files("lora")) == 3


def test_automatic_takes_the_vae_that_begins_with_the_checkpoints_name(models: Path) -> None:
    checkpoints = models / "checkpoints"
    assert Shelves(models).vae_for(checkpoints / "land.safetensors") == "land.vae"
    assert Shelves(models).vae_for(checkpoints / "dreamland.safetensors") == BUILT_IN


@pytest.mark.parametrize(
    ("said", "wanted"),
    [("ema.safetensors", "ema"), ("ema", "ema"), ("None", BUILT_IN), ("Automatic", "land.vae"), ("gone.pt", "land.vae"), (5, "land.vae")],
)
def test_automatic_takes_what_the_card_names_first(models: Path, said: object, wanted: str) -> None:
    (models / "checkpoints" / "land.json").write_text(json.dumps({"vae": said}), encoding="utf-8")
    assert Shelves(models).vae_for(models / "checkpoints" / "land.safetensors") == wanted


def test_a_broken_card_says_nothing(models: Path) -> None:
    (models / "checkpoints" / "land.json").write_text("{", encoding="utf-8")
    assert Shelves(models).vae_for(models / "checkpoints" / "land.safetensors") == "land.vae"
