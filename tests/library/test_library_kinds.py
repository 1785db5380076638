"""The library lists and finds every kind as it does checkpoints, in the folders of A1111, Forge and ComfyUI."""

import hashlib
from pathlib import Path

import pytest

from tests.library.weights import FAMILY, single_file
from tests.library.zoo import ZOO, kohya, vae
from webui.core.errors import UnknownName, UserError
from webui.core.records import Kind
from webui.library.store import Library


@pytest.fixture
def models(tmp_path: Path) -> Path:
    made = tmp_path / "webui" / "models"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def library(models: Path) -> Library:
    return Library(models, [FAMILY])


def add(path: Path, name: str) -> Path:
    return single_file(path, ZOO[name].shapes, body=False, metadata=ZOO[name].metadata)


def ids(library: Library, kind: Kind) -> list[str]:
    return [record.id for record in library.records(kind)]


@pytest.mark.parametrize(
    ("folder", "name", "kind"),
    [
        ("Lora", "kohya sd15", "lora"),  # A1111 and Forge
        ("LyCORIS", "lokr", "lora"),
        ("VAE", "vae", "vae"),
        ("VAE-approx", "taesd decoder", "vae"),
        ("ControlNet", "controlnet", "control_network"),
        ("ESRGAN", "esrgan, old", "upscaler"),
        ("SwinIR", "swinir", "upscaler"),
        ("DAT", "dat", "upscaler"),
        ("text_encoder", "t5", "text_encoder"),
        ("../embeddings", "embedding", "embedding"),  # beside A1111's models folder
        ("../extensions/sd-webui-controlnet/models", "t2i adapter", "control_network"),
        ("loras", "peft sdxl", "lora"),  # ComfyUI
        ("vae", "vae of flux", "vae"),
        ("vae_approx", "tiny vae", "vae"),
        ("embeddings", "embedding sdxl", "embedding"),
        ("controlnet", "control lora", "control_network"),
        ("t2i_adapter", "light t2i adapter", "control_network"),
        ("upscale_models", "compact", "upscaler"),
        ("text_encoders", "clip", "text_encoder"),
        ("clip", "clip", "text_encoder"),
        ("diffusion_models", "flux", "denoiser"),
        ("unet", "unet", "denoiser"),
    ],
)
def test_the_folders_of_all_three(models: Path, library: Library, folder: str, name: str, kind: Kind) -> None:
    add(models / folder / "sub" / "x.safetensors", name)
    (record,) = library.records(kind)
    assert (record.id, record.variant, record.fits) == ("sub/x", ZOO[name].variant, ZOO[name].fits)
    assert record.usable
    assert library.find("X", kind=kind) == record
    assert ids(library, "checkpoint") == []


def test_a_file_is_what_its_header_says_wherever_it_lies(models: Path, library: Library) -> None:
    add(models / "Stable-diffusion" / "a.safetensors", "kohya sd15")
    add(models / "Lora" / "b.safetensors", "vae")
    single_file(models / "Lora" / "c.safetensors")
    assert (ids(library, "lora"), ids(library, "vae"), ids(library, "checkpoint")) == (["a"], ["b"], ["c"])


def test_what_the_header_does_not_tell_is_listed_where_it_lies_with_the_reason(models: Path, library: Library) -> None:
    add(models / "Lora" / "a.safetensors", "something else")
    add(models / "Lora" / "b.safetensors", "wan")
    (models / "Lora" / "c.safetensors").write_bytes(b"no")
    add(models / "Lora" / "d.safetensors", "kohya sd15")
    records = library.records("lora")
    assert [(record.id, record.usable, record.variant) for record in records] == [
        ("d", True, "kohya"),
        ("a", False, ""),
        ("b", False, "peft"),
        ("c", False, ""),
    ]
    assert [record.problem.split(" ")[0] for record in records] == ["", "Its", "It", "c.safetensors"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("Lora/x.pt", "lora"),
        ("../embeddings/x.pt", "embedding"),
        ("embeddings/x.bin", "embedding"),
        ("ESRGAN/x.pth", "upscaler"),
        ("VAE/x.vae.pt", "vae"),
        ("Stable-diffusion/x.vae.pt", "vae"),
        ("Stable-diffusion/x.ckpt", "checkpoint"),
    ],
)
def test_pickles_are_listed_under_quarantine_and_not_opened(models: Path, library: Library, path: str, kind: Kind) -> None:
    (models / path).parent.mkdir(parents=True, exist_ok=True)
    (models / path).write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    (record,) = library.records(kind)
    assert (record.usable, record.convertible) == (False, True)
    assert "can run code" in record.problem


def test_a_vae_beside_its_checkpoint_is_a_vae(models: Path, library: Library) -> None:
    single_file(models / "Stable-diffusion" / "x.safetensors")
    single_file(models / "Stable-diffusion" / "x.vae.safetensors", vae(4), body=False)
    assert (ids(library, "checkpoint"), ids(library, "vae")) == (["x"], ["x.vae"])
    assert library.find("x.vae.safetensors", kind="vae").fits == ("sd15", "sd21", "sdxl")


def test_kinds_do_not_take_each_others_names(models: Path, library: Library) -> None:
    single_file(models / "Stable-diffusion" / "anime.safetensors")
    add(models / "Lora" / "anime.safetensors", "kohya sd15")
    add(models / "Lora" / "sub" / "anime.safetensors", "kohya sdxl")
    assert ids(library, "checkpoint") == ["anime"]
    assert ids(library, "lora") == ["anime", "sub/anime"]
    assert library.find("anime").kind == "checkpoint"
    with pytest.raises(UnknownName, match="There is no text encoder called “anime”"):
        library.find("anime", kind="text_encoder")


def test_a_folder_that_is_a_link_to_another_is_listed_once(models: Path, library: Library) -> None:
    add(models / "Lora" / "a.safetensors", "kohya sd15")
    (models / "loras").symlink_to(models / "Lora")
    assert ids(library, "lora") == ["a"]


def test_a_lora_is_found_by_what_its_trainer_called_it(models: Path, library: Library) -> None:
    named = {"ss_output_name": "Ink Style"}
    single_file(models / "Lora" / "file_v1.safetensors", kohya(768), body=False, metadata=named)
    single_file(models / "Lora" / "other.safetensors", kohya(768), body=False, metadata={"ss_output_name": "None"})
    for name in ("file_v1", "FILE_V1", "Ink Style", "ink style", "file_v1.safetensors"):
        assert library.find(name, kind="lora").id == "file_v1"
    with pytest.raises(UnknownName, match="Did you mean “other”"):
        library.find("othr", kind="lora")
    with pytest.raises(UnknownName):
        library.find("None", kind="lora")


def test_a_name_is_taken_before_an_alias_and_an_alias_of_two_is_asked_for(models: Path, library: Library) -> None:
    for file, alias in (("a", "b"), ("b", "same"), ("c", "same")):
        single_file(models / "Lora" / f"{file}.safetensors", kohya(768), body=False, metadata={"ss_output_name": alias})
    assert library.find("b", kind="lora").id == "b"
    with pytest.raises(UserError, match="“same” may be “b” or “c”"):
        library.find("same", kind="lora")


def test_names_that_differ_in_case_alone_are_told_apart_by_it(models: Path, library: Library) -> None:
    add(models / "Lora" / "x" / "Ink.safetensors", "kohya sd15")
    add(models / "Lora" / "y" / "ink.safetensors", "kohya sd15")
    assert library.find("ink", kind="lora").id == "y/ink"
    assert library.find("Ink", kind="lora").id == "x/Ink"
    with pytest.raises(UserError):
        library.find("INK", kind="lora")


def test_a_loras_hash_is_its_tensors_and_finds_it_again(models: Path, library: Library) -> None:
    """What A1111 writes under `Lora hashes`: neither the name nor new metadata changes it."""
    path = single_file(models / "Lora" / "a.safetensors", kohya(16), seed=3)
    content = path.read_bytes()
    body = content[8 + int.from_bytes(content[:8], "little") :]
    record = library.find("a", kind="lora")
    assert library.short_hash(record) == hashlib.sha256(body).hexdigest()[:12]
    assert library.hash(record) == hashlib.sha256(content).hexdigest()
    single_file(models / "Lora" / "b.safetensors", kohya(768), body=False, metadata={"sshs_model_hash": "ab" * 32})
    library.rescan()
    assert library.short_hash(library.find("b", kind="lora")) == "ab" * 6
    assert library.find("abababababab", kind="lora").id == "b"
    assert library.find(hashlib.sha256(content).hexdigest()[:10], kind="lora").id == "a"
