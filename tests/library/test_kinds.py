"""What files are, from their headers alone: every kind in every layout, and nothing that is guessed."""

from pathlib import Path

import pytest

from tests.library.weights import single_file
from tests.library.zoo import ZOO, Animal, kohya
from webui.library.header import Header, TensorInfo, read_header
from webui.library.kinds import Told, tell
from webui.library.loras import trained_as
from webui.library.signs import CLAIMS, FAMILY_LABELS, FAMILY_ROWS, HERE, KIND_LABELS, KIND_ROWS


def header_of(animal: Animal) -> Header:
    return Header({name: TensorInfo("F16", shape, 0, 0) for name, shape in animal.shapes.items()}, animal.metadata)


@pytest.mark.parametrize("name", ZOO)
def test_every_kind_in_every_layout_is_told(name: str, tmp_path: Path) -> None:
    animal = ZOO[name]
    header = read_header(single_file(tmp_path / "x.safetensors", animal.shapes, body=False, metadata=animal.metadata))
    told = tell(header)
    assert (told.kind, trained_as(told.variant, header.metadata), told.fits) == (animal.kind, animal.variant, animal.fits), told.problem
    assert bool(told.problem) == (not animal.fits)


@pytest.mark.parametrize("row", KIND_ROWS, ids=lambda row: f"{row.kind} {row.variant}")
def test_every_row_of_the_table_has_a_file(row: object) -> None:
    """A row that no file shows is untested: add one to the zoo."""
    variants = {(told.kind, told.variant) for told in map(tell, map(header_of, ZOO.values()))}
    kind, variant = row[:2]  # type: ignore[index]  # a KindRow
    assert kind is None or (kind, variant) in variants


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("chroma", "It is a unet or transformer without text encoder and VAE (transformer) for Chroma, which cannot be used here."),
        ("flux or hunyuan", "It is a LoRA (kohya) for FLUX.1 or HunyuanVideo, which cannot be used here."),
        ("two families in one", "Its tensors do not fit together: they are those of Stable Diffusion 1.x, SDXL"),
        ("embedding of no width", "It is an embedding (textual inversion) of no family that is known here."),
        ("gfpgan", "It is a face restorer, which is not used here."),
        ("something else", "Its tensors are of no kind that is known here."),
        ("a lora and a vae", "Its tensors are those of a LoRA and of a VAE at once, so it is taken for neither."),
    ],
)
def test_what_is_not_told_has_a_reason(name: str, says: str) -> None:
    assert tell(header_of(ZOO[name])).problem.startswith(says)


def test_metadata_does_not_speak_against_the_shapes() -> None:
    told = tell(header_of(Animal(kohya(768), None, "", (), {"ss_base_model_version": "sdxl_base_v1-0", "ss_v2": "True"})))
    assert told.family == "sd15"


def test_metadata_alone_tells_nothing() -> None:
    assert tell(header_of(Animal({}, None, "", (), {"modelspec.architecture": "stable-diffusion-v1/lora"}))) == Told(
        None, problem="Its tensors are of no kind that is known here."
    )


def test_the_tables_speak_of_families_that_have_a_name() -> None:
    named = {family for row in FAMILY_ROWS for family in row.families} | {claim.family for claim in CLAIMS} | set(HERE)
    assert named <= FAMILY_LABELS.keys()
    assert {row.kind for row in KIND_ROWS if row.kind} == KIND_LABELS.keys()
