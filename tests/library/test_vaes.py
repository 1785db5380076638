"""A1111's order of choice for the VAE."""

from pathlib import Path

import pytest

from webui.core.records import ModelRecord
from webui.library.vaes import chosen_vae


def record(name: str, *fits: str) -> ModelRecord:
    family = fits[0] if len(fits) == 1 else None
    return ModelRecord(id=name, label=name, path=Path(name), layout="single_file", family=family, fits=fits, bytes=1)


VAES = [record("other", "sd15", "sd21", "sdxl"), record("sub/Dream.vae", "sd15", "sd21", "sdxl"), record("flux.vae", "sd3", "flux")]


@pytest.mark.parametrize(
    ("checkpoint", "setting", "own", "chosen"),
    [
        ("dream", "Automatic", "", "sub/Dream.vae"),
        ("anime/dream", "Automatic", "", "sub/Dream.vae"),
        ("dreamlike", "Automatic", "", "None"),
        ("dream", "None", "", "None"),
        ("dream", "other", "", "other"),
        ("dream", "Automatic", "other", "other"),
        ("dream", "Automatic", "None", "None"),
        ("dream", "flux", "other", "flux"),
        ("flux", "Automatic", "", "None"),  # its shapes do not fit
    ],
)
def test_the_order(checkpoint: str, setting: str, own: str, chosen: str) -> None:
    assert chosen_vae(record(checkpoint, "sd15"), VAES, setting, own) == chosen
