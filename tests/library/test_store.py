"""The library against folders of A1111's, Forge's and ComfyUI's making."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.library.weights import FAMILY, SIGNS, diffusers_folder, single_file
from tests.library.zoo import ZOO, kohya, vae
from webui.core.errors import LoadFailed, UnknownName, UserError
from webui.core.parts import FamilyInfo
from webui.core.records import KINDS, ModelRecord
from webui.library import hashes, store
from webui.library.identify import UNREAD
from webui.library.scan import Found
from webui.library.store import Library


@pytest.fixture
def models(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    return made


@pytest.fixture
def library(models: Path) -> Library:
    return Library(models, [FAMILY])


def ids(library: Library) -> list[str]:
    return [record.id for record in library.checkpoints()]


def test_folders_of_all_three_are_understood(models: Path, library: Library) -> None:
    single_file(models / "Stable-diffusion" / "anime" / "one.safetensors")
    single_file(models / "CheckPoints" / "two.SAFETENSORS")
    diffusers_folder(models / "diffusers" / "three")
    single_file(models / "loras" / "no.safetensors", kohya(768), body=False)
    single_file(models / "checkpoints" / "two.vae.safetensors", vae(4), body=False)
    (models / "checkpoints" / "readme.txt").write_text("no")
    single_file(models / "checkpoints" / ".hidden" / "no.safetensors")
    assert ids(library) == ["anime/one", "three", "two"]
    assert {record.family for record in library.checkpoints()} == {"sd15"}
    assert [record.layout for record in library.checkpoints()] == ["single_file", "diffusers", "single_file"]


def test_no_models_folder_is_an_empty_library(tmp_path: Path) -> None:
    assert Library(tmp_path / "nowhere", [FAMILY]).checkpoints() == ()


def test_a_file_dropped_in_appears_at_the_next_call_and_goes_with_it(models: Path, library: Library) -> None:
    assert ids(library) == []
    path = single_file(models / "checkpoints" / "a.safetensors")
    library.rescan()
    assert ids(library) == ["a"]
    time.sleep(0.02)  # a folder's time moves in ticks of the kernel's clock
    single_file(models / "checkpoints" / "sub" / "b.safetensors")
    assert ids(library) == ["a", "sub/b"]
    time.sleep(0.02)
    path.unlink()
    assert ids(library) == ["sub/b"]


def test_a_file_still_being_copied_becomes_usable_when_it_is_whole(models: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    path = single_file(models / "checkpoints" / "a.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert library.checkpoints()[0].family is None
    assert "cut off: 100 of" in library.checkpoints()[0].problem
    path.write_bytes(whole)
    monkeypatch.setattr("webui.library.store.LOOK_AGAIN", 0)
    assert library.checkpoints()[0].family == "sd15"


def test_what_cannot_be_used_is_listed_last_with_its_reason_and_never_guessed(models: Path, library: Library) -> None:
    folder = models / "checkpoints"
    single_file(folder / "what.safetensors", {"weight": (2, 2)})
    single_file(folder / "xl.safetensors", ZOO["checkpoint sdxl"].shapes, body=False)
    single_file(folder / "inpaint.safetensors", SIGNS | {next(iter(SIGNS)): (8, 9, 3, 3)})
    (folder / "old.ckpt").write_bytes(b"\x80\x02}q\x00.")
    (folder / "q.gguf").write_bytes(b"GGUF")
    (folder / "empty.safetensors").write_bytes(b"")
    diffusers_folder(folder / "xl", "StableDiffusionXLPipeline")
    single_file(folder / "zebra.safetensors")
    records = library.checkpoints()
    assert records[0].id == "zebra"
    problems = {record.id: record.problem for record in records[1:]}
    assert problems["what"] == "Its tensors are of no kind that is known here."
    assert "no family" in problems["inpaint"]
    assert problems["xl.safetensors"] == "It is a checkpoint of SDXL, which is of no family that is known here (SD 1.x)."
    assert "can run code" in problems["old"]
    assert "GGUF" in problems["q"]
    assert problems["empty"] == "empty.safetensors is not a safetensors file."
    assert problems["xl"].startswith("A StableDiffusionXLPipeline is of no family")
    assert all(record.family is None for record in records[1:])


def test_a_file_of_two_families_is_not_guessed(models: Path) -> None:
    single_file(models / "checkpoints" / "a.safetensors")
    twin = FAMILY.model_copy(update={"id": "twin", "label": "Twin"})
    assert Library(models, [FAMILY, twin]).checkpoints()[0].problem == "Its tensors are of more than one family: SD 1.x, Twin."


def test_a_family_without_signs_matches_nothing(models: Path) -> None:
    single_file(models / "checkpoints" / "a.safetensors")
    assert Library(models, [FAMILY.model_copy(update={"signature": ()})]).checkpoints()[0].family is None


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / "unet" / "model.safetensors").unlink(), "Its unet has no weights"),
        (lambda folder: (folder / "vae" / "model.safetensors").rename(folder / "vae" / "m.bin"), "Its vae is a .bin file only"),
        (lambda folder: (folder / "model_index.json").write_text("[]"), "not a JSON object"),
        (lambda folder: (folder / "model_index.json").write_text("[" * 100_000), "not JSON"),
        (lambda folder: (folder / "model_index.json").write_text('{"_class_name": {"a": 1}}'), "no family"),
    ],
)
def test_a_broken_diffusers_folder_says_what_is_missing(models: Path, library: Library, break_it: Any, says: str) -> None:
    break_it(diffusers_folder(models / "diffusers" / "x"))
    (record,) = library.checkpoints()
    assert record.family is None
    assert says in record.problem


def test_card_gives_label_defaults_and_words_over_the_familys(models: Path, library: Library) -> None:
    folder = diffusers_folder(models / "checkpoints" / "starter")
    card = {
        "label": "Starter landscapes", "license": "CC0-1.0", "starter": True, "defaults": {"width": 256, "height": 256, "guidance": 4.5},
        "sizes": [[256, 256], [384, 256]], "words": {"time": ["sunset"]}, "suggestions": ["a lake"],
        "latent_rgb": {"weights": [[1, 0, 0]] * 4, "bias": [0, 0, 0]},
    }  # fmt: skip
    (folder / "gesso.json").write_text(json.dumps(card))
    (record,) = library.checkpoints()
    assert (record.label, record.starter, record.license) == ("Starter landscapes", True, "CC0-1.0")
    assert record.problem == ""
    assert (record.defaults.width, record.defaults.guidance, record.defaults.steps) == (256, 4.5, 25)
    assert record.sizes[1].width == 384
    assert record.latent_rgb is not None
    assert library.find("Starter Landscapes") == record


def test_card_beside_a_single_file(models: Path, library: Library) -> None:
    single_file(models / "checkpoints" / "a.safetensors")
    (models / "checkpoints" / "a.gesso.json").write_text('{"label": "A"}')
    assert library.checkpoints()[0].label == "A"


@pytest.mark.parametrize("card", ['{"labell": "x"}', "no", "[1]", '{"defaults": {"width": "wide"}}', '{"defaults": {"stepz": 1}}'])
def test_a_broken_card_is_named_but_the_checkpoint_works(models: Path, library: Library, card: str) -> None:
    single_file(models / "checkpoints" / "a.safetensors")
    (models / "checkpoints" / "a.gesso.json").write_text(card)
    (record,) = library.checkpoints()
    assert record.family == "sd15"
    assert "left aside" in record.problem
    assert record.defaults.steps == 25


def test_the_starter_is_the_default_only_while_it_is_alone(models: Path, library: Library) -> None:
    starter = diffusers_folder(models / "checkpoints" / "a-starter")
    (starter / "gesso.json").write_text('{"starter": true}')
    (models / "checkpoints" / "0.ckpt").write_bytes(b"x")
    assert ids(library)[0] == "a-starter"
    time.sleep(0.02)
    single_file(models / "checkpoints" / "zz.safetensors")
    assert ids(library) == ["zz", "a-starter", "0"]


def test_the_embedded_checkpoint_is_found_wherever_the_models_are(tmp_path: Path, models: Path) -> None:
    embedded = diffusers_folder(tmp_path / "program" / "models" / "checkpoints" / "starter")
    (embedded / "gesso.json").write_text('{"starter": true}')
    library = Library(models, [FAMILY], embedded=embedded)
    assert [(record.id, record.path, record.starter) for record in library.checkpoints()] == [("starter", embedded, True)]
    single_file(models / "checkpoints" / "own.safetensors")
    library.rescan()
    assert ids(library) == ["own", "starter"]


def test_the_embedded_checkpoint_is_listed_once(models: Path) -> None:
    embedded = diffusers_folder(models / "checkpoints" / "starter")
    assert ids(Library(models, [FAMILY], embedded=embedded)) == ["starter"]
    assert ids(Library(models, [FAMILY], embedded=models / "checkpoints" / "gone")) == ["starter"]


def test_ones_own_checkpoint_of_the_embedded_ones_name_keeps_it(tmp_path: Path, models: Path) -> None:
    own = diffusers_folder(models / "checkpoints" / "starter")
    embedded = diffusers_folder(tmp_path / "program" / "checkpoints" / "starter")
    library = Library(models, [FAMILY], embedded=embedded)
    assert {record.id: record.path for record in library.checkpoints()} == {"starter": own, "checkpoints/starter": embedded}


def test_natural_order_without_regard_to_case(models: Path, library: Library) -> None:
    for name in ("v10", "V9", "b", "A", "v9b"):
        single_file(models / "checkpoints" / f"{name}.safetensors")
    assert ids(library) == ["A", "b", "V9", "v9b", "v10"]


def test_names_taken_twice_stay_apart(models: Path, library: Library) -> None:
    single_file(models / "checkpoints" / "a.safetensors")
    single_file(models / "Stable-diffusion" / "A.safetensors")
    (models / "checkpoints" / "a.ckpt").write_bytes(b"x")
    assert sorted(ids(library)) == ["A.safetensors", "a", "a.ckpt"]
    for record_id in ids(library):
        assert library.find(record_id).id == record_id


def test_find_knows_a1111s_names(models: Path, library: Library) -> None:
    path = single_file(models / "checkpoints" / "sub" / "Model_One.safetensors")
    record = library.find("sub/model_one")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for name in (
        "SUB/MODEL_ONE",
        "sub/Model_One.safetensors",
        "model_one",
        "Model_One.safetensors",
        " model_one ",
        "Model_One [0123456789]",
    ):
        assert library.find(name).id == record.id
    with pytest.raises(UnknownName):
        library.find(digest[:10])
    assert library.hash(record) == digest
    for name in (digest, digest[:10], digest[:10].upper(), digest[:12], f"Renamed.safetensors [{digest[:10]}]"):
        assert library.find(name).id == record.id


def test_find_says_the_nearest_name_and_the_field(models: Path, library: Library) -> None:
    single_file(models / "checkpoints" / "dreamlike.safetensors")
    with pytest.raises(UnknownName, match="Did you mean “dreamlike”") as caught:
        library.find("dreamlik", field="checkpoint")
    assert caught.value.field == "checkpoint"


@pytest.mark.parametrize("name", ["", "[", "../../etc/passwd", "a\0b", "[aaaaaaaaaa]", "/", "𝕏" * 400, "\ud800"])
def test_find_survives_any_name(models: Path, library: Library, name: str) -> None:
    single_file(models / "checkpoints" / "a.safetensors")
    with pytest.raises(UnknownName):
        library.find(name)


def test_a_stem_in_two_folders_is_asked_for_not_guessed(models: Path, library: Library) -> None:
    single_file(models / "checkpoints" / "x" / "same.safetensors")
    single_file(models / "checkpoints" / "y" / "same.safetensors")
    with pytest.raises(UserError, match="“x/same” or “y/same”"):
        library.find("same")


def test_hash_is_read_once_shown_afterwards_and_kept_over_a_restart(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = single_file(models / "checkpoints" / "a.safetensors")
    library = Library(models, [FAMILY], tmp_path / "hashes.json")
    assert library.checkpoints()[0].sha256 is None
    digest = library.hash(library.find("a"))
    assert library.checkpoints()[0].sha256 == digest
    monkeypatch.setattr("webui.library.hashes._sha256", lambda paths, tensors: pytest.fail("read again"))
    again = Library(models, [FAMILY], tmp_path / "hashes.json")
    assert again.hash(again.find("a")) == digest
    monkeypatch.undo()
    single_file(path, seed=7)
    assert again.rescan()[0].sha256 is None
    assert again.hash(again.find("a")) == hashlib.sha256(path.read_bytes()).hexdigest() != digest


@pytest.mark.parametrize("content", [b"no", b"[]", b"\xff", b'{"a": 1}'])
def test_a_damaged_hash_file_starts_anew(models: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hashes.json").write_bytes(content)
    path = single_file(models / "checkpoints" / "a.safetensors")
    library = Library(models, [FAMILY], tmp_path / "hashes.json")
    assert library.hash(library.find("a")) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_hash_of_a_diffusers_folder_is_its_unets(models: Path, library: Library) -> None:
    folder = diffusers_folder(models / "diffusers" / "d")
    (folder / "unet" / "model.fp16.safetensors").write_bytes(b"half")
    expected = hashlib.sha256((folder / "unet" / "model.safetensors").read_bytes()).hexdigest()
    assert library.hash(library.find("d")) == expected


def test_hash_soon_is_known_soon(models: Path, library: Library) -> None:
    single_file(models / "checkpoints" / "a.safetensors")
    library.hash_soon(library.find("a"))
    deadline = time.monotonic() + 10
    while library.checkpoints()[0].sha256 is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_worker_hashes_one_file_after_another(models: Path, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty large files asked for at once are read in turn, and one that is gone does not stop the others."""
    for name in "abcdef":
        single_file(models / "checkpoints" / f"{name}.safetensors", seed=ord(name))
    records = library.checkpoints()
    at_work: list[int] = []
    real, free = hashes._sha256, threading.Event()

    def slow(paths: Sequence[Path], *, tensors: bool) -> str:
        assert free.wait(10)
        at_work.append(sum(thread.name == "hash" for thread in threading.enumerate()))
        return real(paths, tensors=tensors)

    monkeypatch.setattr(hashes, "_sha256", slow)
    (models / "checkpoints" / "c.safetensors").unlink()
    for record in records * 3:
        library.hash_soon(record)
    free.set()
    deadline = time.monotonic() + 10
    while sum(record.sha256 is not None for record in library.checkpoints()) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert at_work == [1] * 5


def test_hash_of_a_file_that_is_gone(models: Path, library: Library) -> None:
    path = single_file(models / "checkpoints" / "a.safetensors")
    record = library.find("a")
    path.unlink()
    with pytest.raises(LoadFailed, match=r"a\.safetensors cannot be read"):
        library.hash(record)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links_are_followed_but_not_in_circles(models: Path, tmp_path: Path, library: Library) -> None:
    elsewhere = single_file(tmp_path / "disk" / "a.safetensors").parent
    (models / "checkpoints").rmdir()
    (models / "checkpoints").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(elsewhere)
    (elsewhere / "dangling.safetensors").symlink_to(tmp_path / "nowhere")
    assert ids(library) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="Windows' names are always text")
def test_a_name_that_is_no_text_is_listed_with_its_problem(models: Path, library: Library) -> None:
    folder = models / "checkpoints"
    single_file(folder / "a.safetensors").rename(os.fsdecode(os.fsencode(folder) + b"/\xff.safetensors"))
    (record,) = library.checkpoints()
    assert record.problem == "Its file name is not valid text. Rename it."
    assert record.model_dump_json()


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="asks Linux how many bytes were read")
def test_five_thousand_files_list_within_a_second_and_no_body_is_read(models: Path) -> None:
    """Of every kind, each with a body of a gigabyte; where the machine is slow, the last of them become usable behind the list."""
    large = [{**animal.shapes, "zz.body": (2**30,)} for animal in ZOO.values()]
    sources = [single_file(models / f"source{number}", shapes, body=False) for number, shapes in enumerate(large)]
    headers = [8 + int.from_bytes(first_bytes(source), "little") for source in sources]
    expected = 0
    for number in range(5000):
        folder = models / ("checkpoints", "Lora", "vae", "embeddings", "ControlNet", "ESRGAN")[number % 6] / f"folder{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.safetensors").hardlink_to(sources[number % len(sources)])
        expected += headers[number % len(sources)]
    library = Library(models, [FAMILY])
    before, started = bytes_read(), time.thread_time()  # the call's own time: other programs' is not ours
    library.checkpoints()
    took = time.thread_time() - started
    library.settle()
    assert bytes_read() - before < expected + 100_000
    assert took < 1.0
    assert sum(len(library.records(kind)) for kind in KINDS) == 5000
    assert not [record for kind in KINDS for record in library.records(kind) if record.problem == UNREAD]
    started = time.perf_counter()
    library.records("lora")
    assert time.perf_counter() - started < 0.05


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)


def bytes_read() -> int:
    """By this process, from whatever files."""
    return int(next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar")).split()[1])


def test_what_there_was_no_time_for_is_listed_and_becomes_usable(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(120):
        single_file(models / "checkpoints" / f"{number}.safetensors")
    monkeypatch.setattr("webui.library.store.READ_AT_ONCE", 0)
    gate = threading.Event()
    real = store.identify

    def slow(found: Found, families: Any) -> ModelRecord:
        assert threading.current_thread().name != "headers" or gate.wait(10)
        return real(found, families)

    monkeypatch.setattr(store, "identify", slow)
    library = Library(models, [FAMILY])
    assert {record.problem for record in library.checkpoints()} == {UNREAD}
    assert len(library.checkpoints()) == 120
    assert library.find("7").family == "sd15"  # whoever asks for one waits for one
    assert sum(record.usable for record in library.checkpoints()) == 1
    gate.set()
    library.settle()
    assert {record.family for record in library.checkpoints()} == {"sd15"}


def test_families_are_found_by_name(library: Library) -> None:
    found: FamilyInfo = library.families.find("SD15")
    assert found is FAMILY


def test_the_folder_for_checkpoints_is_there_to_be_filled(tmp_path: Path) -> None:
    """What the page says (“put one into models/checkpoints”) is true of a fresh clone, and of a folder that is not there yet."""
    Library(tmp_path / "new" / "models", [FAMILY])
    assert (tmp_path / "new" / "models" / "checkpoints").is_dir()


@pytest.mark.parametrize("name", ["Stable-diffusion", "Checkpoints", "diffusers"])
def test_a_models_folder_of_another_program_is_left_as_it_is(models: Path, name: str) -> None:
    (models / name).mkdir()
    Library(models, [FAMILY])
    assert [path.name for path in models.iterdir()] == [name]


def test_a_models_folder_that_cannot_be_made_is_an_empty_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    assert Library(tmp_path / "file" / "models", [FAMILY]).checkpoints() == ()
    assert "no folder for checkpoints" in caplog.text
