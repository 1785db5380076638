"""`Gallery`: finished pictures, kept as files and listed from an index of them."""

import json
import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from PIL.Image import Image

from webui.core.errors import BadImage, GessoError, LoadFailed, NotFound, StorageError, UserError
from webui.core.infotext import parse, write
from webui.core.job import HOST, Job
from webui.core.parts import SamplerInfo, ScheduleInfo
from webui.core.picture import Picture, PicturePage
from webui.core.registry import Registry
from webui.database import Database
from webui.gallery.archive import make_archive
from webui.gallery.chunks import MAX_INFOTEXT, read_png
from webui.gallery.files import ARCHIVES, STARS, THUMBNAILS, Files
from webui.gallery.index import BATCH, Entry, Index, Which
from webui.gallery.metadata import GESSO, PARAMETERS, as_it_ran, infotext_of, origin_of, png_info, read_origin
from webui.gallery.parameters import Names, Parameters, from_origin, from_picture, from_text
from webui.gallery.reveal import reveal
from webui.gallery.stars import Stars
from webui.gallery.thumbnails import DEFAULT_SIZE, Thumbnails
from webui.library.store import Library

MOST_PER_PAGE = 500

log = logging.getLogger(__name__)


class Gallery:
    """Thread-safe. The files are the truth: every row can be read from them again.

    Crash rule: a file gets its name (one step), then its row. Whoever dies between leaves a whole picture without a row,
    and the next start indexes it (`reconcile`, before any job runs) under the job and index that it carries inside; so when
    the job resumes, `save` finds it made. Whoever dies before leaves a `.part` file, which the next start removes.
    """

    def __init__(self, outputs: Path, database: Database, library: Library) -> None:
        """Raises `StorageError` when the folder cannot be used."""
        self._files = Files(outputs)
        self._index = Index(database)
        self._library = library
        self._moving = threading.Lock()  # two who move one file would each take the other's move for a loss
        self._thumbnails = Thumbnails(outputs / THUMBNAILS)
        self._stars = Stars(outputs / STARS, self._index.starred)
        self.reconcile()

    # --- saving ---

    def save(self, job: Job, index: int, image: Image, seed: int, facts: Mapping[str, str]) -> Picture:
        """Keep a picture of a job; doing it again returns the one that is kept. Durable when this returns.

        Raises `StorageError`; nothing half-written stays then, and the job may try again.
        """
        made = self._index.made(job.id, index)
        if made is not None:
            return made
        job = as_it_ran(job, facts)
        parameters = write(infotext_of(job.request, seed, self._hash(job.request.checkpoint), facts))
        origin = origin_of(job, index, seed, (secrets.token_hex(16), time.time()), dict(facts))
        info = png_info(parameters, origin)
        path = self._files.save(lambda file: image.save(file, "PNG", pnginfo=info), str(seed))
        picture = Picture(
            id=origin.id,
            job_id=job.id,
            index=index,
            owner=job.owner,
            path=path,
            width=image.width,
            height=image.height,
            bytes=self._files.locate(path).stat().st_size,
            seed=seed,
            checkpoint=job.request.checkpoint,
            prompt=job.request.prompt,
            negative_prompt=job.request.negative_prompt,
            created_at=origin.created_at,
        )
        try:
            self._index.add([Entry(picture, parameters, job.request.model_dump_json())])
        except (StorageError, sqlite3.Error):
            self._files.delete(path, trashed=False)  # without its row it would be made, and kept, twice
            raise
        self._thumbnail_now(picture, image)
        return picture

    def _hash(self, checkpoint: str) -> str | None:
        """None when the file went away while it was used: the picture is kept all the same."""
        try:
            return self._library.hash(self._library.find(checkpoint))
        except (UserError, LoadFailed) as error:
            log.warning("The picture is saved without its checkpoint's hash: %s", error)
            return None

    def _thumbnail_now(self, picture: Picture, image: Image) -> None:
        try:
            self._thumbnails.make(image, self._thumbnails.path(picture.id))
        except StorageError as error:
            log.warning("The picture is saved, its thumbnail is not: %s", error)

    def free_space(self) -> int:
        """Bytes that the disk of the pictures still takes. Raises `StorageError` when it cannot be asked."""
        return self._files.free_space()

    # --- finding ---

    def search(
        self,
        query: str = "",
        *,
        page: int = 1,
        per_page: int = 60,
        starred: bool = False,
        trashed: bool = False,
        owner: str | None = None,
    ) -> PicturePage:
        """Pictures in whose prompts or checkpoint every word of `query` begins a word; newest first.

        `page` counts from 1; beyond the last it is empty. `owner` is a `Person.id`, None for everyone's.
        Raises `UserError` for a page that cannot be.
        """
        if page < 1 or not 1 <= per_page <= MOST_PER_PAGE:
            raise UserError(f"Pages count from 1 and hold 1 to {MOST_PER_PAGE} pictures.", field="page" if page < 1 else "per_page")
        window = (per_page, min((page - 1) * per_page, 2**62))
        pictures, total = self._index.search(query, window, Which(starred, trashed, owner))
        return PicturePage(pictures=tuple(pictures), total=total, page=page, per_page=per_page)

    def get(self, picture_id: str) -> Picture:
        """Raises `NotFound`."""
        return self._index.get(picture_id)

    def of_job(self, job_id: str) -> list[Picture]:
        """In the job's order, without what was trashed."""
        return self._index.of_job(job_id)

    def file(self, picture_id: str) -> Path:
        """The PNG, below the outputs folder after all links. Raises `NotFound`."""
        return self._locate(self.get(picture_id))

    def _locate(self, picture: Picture) -> Path:
        return self._files.locate(picture.path, trashed=picture.trashed_at is not None)

    def thumbnail(self, picture_id: str, size: int = DEFAULT_SIZE) -> Path:
        """A WebP, made now if need be. Raises `NotFound`, `BadImage`, `UserError` for a size that is not kept."""
        picture = self.get(picture_id)
        known = self._thumbnails.path(picture.id, size)
        return known if known.is_file() else self._thumbnails.of_file(picture.id, self.file(picture.id), size)

    # --- keeping and throwing away ---

    def star(self, picture_id: str, starred: bool) -> Picture:
        """Raises `NotFound`."""
        picture = self._index.star(picture_id, starred)
        self._stars.keep(picture)
        return picture

    def trash(self, picture_ids: Sequence[str]) -> list[Picture]:
        """Move to `.trash`, from where `restore` takes them back to exactly their places. Raises `NotFound`, `StorageError`."""
        self._move(picture_ids, time.time())
        return self._index.many(picture_ids)

    def restore(self, picture_ids: Sequence[str]) -> list[Picture]:
        """Undo `trash`. Raises `NotFound`, `StorageError`."""
        self._move(picture_ids, None)
        return self._index.many(picture_ids)

    def _move(self, picture_ids: Sequence[str], trashed_at: float | None) -> None:
        """Those moved before one fails stay moved, and their rows say so; one whose file is gone leaves the gallery."""
        moved: list[str] = []
        with self._moving:
            pictures = [one for one in self._index.many(picture_ids) if (one.trashed_at is None) is (trashed_at is not None)]
            try:
                for picture in pictures:
                    try:
                        (self._files.restore if trashed_at is None else self._files.trash)(picture.path)
                    except NotFound:
                        self._index.remove([picture.path])
                        raise
                    moved.append(picture.path)
            finally:
                self._index.set_trashed(moved, trashed_at)

    def empty_trash(self) -> int:
        """Delete what is in the trash, for good; returns how many pictures that were. Raises `StorageError`."""
        with self._moving:
            return self._delete(self._index.trashed())

    def _delete(self, pictures: Iterable[Picture]) -> int:
        gone: list[Picture] = []
        try:
            for picture in pictures:
                self._files.delete(picture.path, trashed=True)
                gone.append(picture)
                self._thumbnails.forget(picture.id)
        finally:
            self._index.remove(picture.path for picture in gone)
            self._stars.forget(gone)
        return len(gone)

    # --- how a picture was made ---

    def parameters(self, picture_id: str, samplers: Registry[SamplerInfo], schedules: Registry[ScheduleInfo]) -> Parameters:
        """The request that makes this picture again. Raises `NotFound`."""
        names = Names(self._library, samplers, schedules)
        picture = self.get(picture_id)
        parameters, request = self._index.texts(picture_id)
        if request is None or picture.seed is None:
            return from_text(parameters, names)
        return from_origin(json.loads(request), picture.seed, parameters, names, self._facts(picture))

    def _facts(self, picture: Picture) -> dict[str, str]:
        """What its file says of how it ran; nothing where the file went away since."""
        try:
            with self._locate(picture).open("rb") as opened:
                origin = read_origin(read_png(opened).texts.get(GESSO))
        except (NotFound, BadImage, OSError) as error:
            log.warning("%s does not say how it ran: %s", picture.path, error)
            return {}
        return origin.facts if origin else {}

    def read_parameters(
        self, data: bytes, library: Library, samplers: Registry[SamplerInfo], schedules: Registry[ScheduleInfo]
    ) -> Parameters:
        """What a PNG, JPEG or WebP says about how it was made. Raises `BadImage`, also when it says nothing."""
        return from_picture(data, Names(library, samplers, schedules))

    def parse_text(self, text: str, library: Library, samplers: Registry[SamplerInfo], schedules: Registry[ScheduleInfo]) -> Parameters:
        """The same, of an infotext that was pasted."""
        return from_text(text, Names(library, samplers, schedules))

    # --- out of the gallery ---

    def archive(self, picture_ids: Sequence[str]) -> Path:
        """A zip in the outputs folder, which the caller deletes. Raises `NotFound`, `StorageError`."""
        pictures = self._index.many(picture_ids)
        files = {
            picture.path.replace("/", "-"): self._files.locate(picture.path, trashed=picture.trashed_at is not None) for picture in pictures
        }
        return make_archive(files, self._files.outputs / ARCHIVES)

    def reveal(self, picture_id: str) -> None:
        """Show the file in this machine's file manager. Raises `NotFound`, `Unsupported` where there is none."""
        reveal(self.file(picture_id))

    # --- the index from the files ---

    def reconcile(self) -> int:
        """Bring index and files together, at start; returns how many pictures were added.

        Files without a row are indexed, rows without a file leave, rows that disagree about the trash are set right,
        and half-written files are removed. Looks at names only, but for what is new.
        """
        self._files.sweep()
        rows, binned_rows = self._index.paths(), {picture.path for picture in self._index.trashed()}
        live, binned = set(self._files.walk()), set(self._files.walk(trashed=True))
        for path in live & binned & rows:
            self._files.untwin(path, keep_trashed=path in binned_rows)
        strayed = (binned - live) & (rows - binned_rows), (live - binned) & binned_rows
        for paths, trashed_at in zip(strayed, (time.time(), None), strict=True):
            if paths:
                self._index.set_trashed(paths, trashed_at)
        gone = rows - live - binned
        if gone:
            log.info("%d pictures were deleted outside Gesso and leave the gallery.", len(gone))
            self._index.remove(gone)
        return self._index_files([(path, False) for path in live - rows] + [(path, True) for path in binned - live - rows])

    def rebuild(self) -> int:
        """Read every file again, as if there were no index; stars stay. Returns how many pictures there are.

        For an index that was lost or damaged; jobs may go on meanwhile, and people may trash, take back and delete.
        """
        rows = self._index.paths()  # before the files are looked at, for a picture that is saved meanwhile has both
        everything = [(path, False) for path in self._files.walk()]
        live = {path for path, _ in everything}
        everything += [(path, True) for path in self._files.walk(trashed=True) if path not in live]
        missed = rows - {path for path, _ in everything}  # also what was moved between the two walks
        self._index.remove([path for path in missed if self._files.where(path) is None])
        count = self._index_files(everything)
        self._index.rebuild_text()
        return count

    def _index_files(self, places: Sequence[tuple[str, bool]]) -> int:
        if len(places) > BATCH:
            log.info("Indexing %d pictures …", len(places))
        entries = sorted(self._entries(places), key=lambda entry: (entry.picture.created_at, entry.picture.path))
        return sum(self._index.replace(entries[start : start + BATCH], self._files.where) for start in range(0, len(entries), BATCH))

    def _entries(self, places: Sequence[tuple[str, bool]]) -> Iterator[Entry]:
        for path, trashed in places:
            try:
                yield self._read_file(path, trashed)
            except GessoError as error:
                log.warning("%s is not in the gallery: %s", path, error)

    def _read_file(self, path: str, trashed: bool) -> Entry:
        """Raises `BadImage`, `NotFound`."""
        file = self._files.locate(path, trashed=trashed)
        try:
            with file.open("rb") as opened:
                said = read_png(opened)
            stat = file.stat()
        except OSError as error:
            raise BadImage(f"{PurePosixPath(path).name} cannot be read: {error.strerror}.") from error
        parameters = said.texts.get(PARAMETERS, "")[:MAX_INFOTEXT]
        origin = read_origin(said.texts.get(GESSO))
        request = origin.request_of() if origin else None
        infotext = parse(parameters)
        seed = infotext.fields.get("Seed", "")
        picture = Picture(
            id=origin.id if origin else secrets.token_hex(16),
            job_id=origin.job if origin else None,
            index=origin.index if origin else 0,
            owner=origin.owner if origin else HOST.id,
            path=path,
            width=said.width,
            height=said.height,
            bytes=stat.st_size,
            seed=origin.seed if origin else int(seed) if seed.isdecimal() and len(seed) < 19 else None,
            checkpoint=request.checkpoint if request else infotext.fields.get("Model"),
            prompt=request.prompt if request else infotext.prompt,
            negative_prompt=request.negative_prompt if request else infotext.negative_prompt,
            created_at=origin.created_at if origin else stat.st_mtime,
            trashed_at=stat.st_ctime if trashed else None,
        )
        starred = picture.model_copy(update={"starred": picture in self._stars})
        return Entry(starred, parameters, request.model_dump_json() if request else None)
