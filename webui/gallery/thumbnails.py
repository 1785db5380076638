"""Small WebP copies, made once and kept under `.thumbnails`: lists load these, never the pictures."""

import secrets
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from webui.core.errors import BadImage, UserError
from webui.gallery.chunks import MAX_PIXELS
from webui.gallery.files import PART, storage_errors

SIZES = (128, 256, 384, 512, 1024)  # px of the longer side; a small set, so that nobody can fill the disk with sizes
DEFAULT_SIZE = 256
QUALITY = 82  # of WebP, 0 … 100


class Thumbnails:
    """Named by picture id, and a picture never changes: so they are good for ever. Any thread may ask for any."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, picture_id: str, size: int = DEFAULT_SIZE) -> Path:
        """Where it is, or will be. Raises `UserError` for a size that is not kept."""
        if size not in SIZES:
            raise UserError(f"Thumbnails have {', '.join(map(str, SIZES))} pixels, not {size}.", field="size")
        return self._folder / str(size) / picture_id[:2] / f"{picture_id}.webp"

    def make(self, image: Image.Image, target: Path, size: int = DEFAULT_SIZE) -> Path:
        """Write it, whole or not at all, also when two threads make the same. Raises `StorageError`."""
        small = image.copy() if image.mode in ("RGB", "RGBA") else image.convert("RGBA" if image.has_transparency_data else "RGB")
        small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
        part = target.with_name(f"{target.stem}.{secrets.token_hex(4)}{PART}")
        with storage_errors(self._folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                small.save(part, "WEBP", quality=QUALITY, method=3)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        return target

    def of_file(self, picture_id: str, file: Path, size: int = DEFAULT_SIZE) -> Path:
        """The kept one, or one made now. Raises `BadImage` for a file that cannot be decoded, `StorageError`."""
        target = self.path(picture_id, size)
        if target.is_file():
            return target
        with open_picture(file) as image:
            return self.make(image, target, size)

    def forget(self, picture_id: str) -> None:
        with storage_errors(self._folder):
            for size in SIZES:
                self.path(picture_id, size).unlink(missing_ok=True)


def open_picture(file: Path) -> Image.Image:
    """A decoded picture of at most 64 million pixels. Raises `BadImage`; what is no PNG, JPEG or WebP is not even tried."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the size is checked right here
            image = Image.open(file, formats=("PNG", "JPEG", "WEBP"))
        if image.width * image.height > MAX_PIXELS:
            raise BadImage(
                f"{file.name} has {image.width} × {image.height} pixels; at most {MAX_PIXELS // 1_000_000} million can be shown."
            )
        image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise BadImage(f"{file.name} cannot be read as a picture: it is damaged or not one.") from error
    return image
