"""Pictures as one zip, written straight to the disk."""

import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path

from webui.core.errors import UserError
from webui.gallery.files import storage_errors


def make_archive(files: Mapping[str, Path], folder: Path) -> Path:
    """`files` by their names inside, unpacked as they are (PNGs do not get smaller). Raises `UserError`, `StorageError`."""
    if not files:
        raise UserError("Choose at least one picture to download.")
    target = folder / f"{secrets.token_hex(16)}.zip"
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(target, "x", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
                for name, file in files.items():
                    archive.write(file, name)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return target
