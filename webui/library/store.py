"""`Library`: the checkpoints on disk as records, kept fresh by looking at folders' times."""

import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from webui.core.errors import LoadFailed, UnknownName, UserError
from webui.core.parts import FamilyInfo
from webui.core.records import ModelRecord
from webui.core.registry import Registry
from webui.library.hashes import Hashes
from webui.library.identify import NETWORKS, identify
from webui.library.scan import WEIGHT_SUFFIXES, Found, Stamp, Walk, make_home, walk

LOOK_AGAIN = 1.0  # seconds after which files are looked at, not just their folders
SHORT_HASH = 10  # hex digits, as in A1111's titles
_HASH = re.compile(r"(?P<name>.*?)\s*\[(?P<hash>[0-9a-fA-F]{8,64})\]")

log = logging.getLogger(__name__)


class Library:
    """Thread-safe. Listing reads headers of new and changed files only; nothing is hashed before it is asked for."""

    def __init__(
        self, models_dir: Path, families: Iterable[FamilyInfo], hash_file: Path | None = None, embedded: Path | None = None
    ) -> None:
        """`embedded`: the folder of a checkpoint that is found wherever `models_dir` is."""
        make_home(models_dir)
        self.families = families if isinstance(families, Registry) else Registry("family", families)
        self._models, self._embedded = models_dir, embedded
        self._hashes = Hashes(hash_file)
        self._lock = threading.Lock()
        self._to_hash: dict[Path, ModelRecord] = {}  # the worker's; while it holds something, one works
        self._walked_at = float("-inf")
        self._seen = Walk((), ())
        self._times: tuple[int, ...] = ()
        self._records: tuple[ModelRecord, ...] = ()
        self._identified: dict[tuple[str, Path, Stamp], ModelRecord] = {}

    def checkpoints(self) -> tuple[ModelRecord, ...]:
        """Every checkpoint found, the default one first; a file dropped into a folder is there at the next call.

        In natural order: usable ones, then the starter (so it is the default only as long as it is alone: who brings a
        checkpoint wants to use it), then those that cannot be used, with their `problem`. `sha256` is set once it is known.
        """
        with self._lock:
            if not self._fresh():
                self._scan()
            return self._records

    def rescan(self) -> tuple[ModelRecord, ...]:
        """Look at everything anew, whatever the times say."""
        with self._lock:
            self._identified.clear()
            self._seen = Walk((), ())
            self._scan()
            return self._records

    def find(self, name: str, field: str | None = None) -> ModelRecord:
        """By id, id with suffix, stem, "name [hash]", short hash or sha256, without regard to case (A1111's aliases).

        Raises `UnknownName` with the nearest id; `UserError` when a stem stands for several checkpoints.
        """
        records = self.checkpoints()
        wanted = name.strip().casefold()
        titled = _HASH.fullmatch(wanted)
        if titled:
            fitting = [r for r in records if r.sha256 and r.sha256.startswith(titled["hash"])]
            if len(fitting) == 1:
                return fitting[0]
            wanted = titled["name"]
        for names in (_id, _file_name, _stems, _hashes):
            fitting = [record for record in records if wanted in names(record)]
            usable = [record for record in fitting if record.family is not None] or fitting
            if len(usable) > 1:
                several = " or ".join(f"“{record.id}”" for record in usable[:4])
                raise UserError(f"“{name[:80]}” may be {several}. Use one of these names.", field=field)
            if usable:
                return usable[0]
        raise UnknownName("checkpoint", name, (record.id for record in records), field=field)

    def hash(self, record: ModelRecord) -> str:
        """sha256 of a single file, or of the unet's (transformer's) weights of a diffusers folder, shard after shard.

        That network decides the picture most, and a whole-folder hash would change with a README. Reads the file the first
        time: see `hash_soon`. Raises `LoadFailed` when it is gone.
        """
        try:
            value = self._hashes.compute(_weights(record))
        except OSError as error:
            raise LoadFailed(f"{record.path.name} cannot be read: {error.strerror}.") from error
        with self._lock:
            self._records = tuple(self._with_hash(known) for known in self._records)
        return value

    def hash_soon(self, record: ModelRecord) -> None:
        """Hash in the background, one file after another, so that it is known when the first picture is saved; returns at once."""
        if record.sha256 is not None or self._hashes.known(_weights(record)) is not None:
            return
        with self._lock:
            at_work = bool(self._to_hash)
            self._to_hash.setdefault(record.path, record)
        if not at_work:
            threading.Thread(target=self._hash_all, args=(record,), name="hash", daemon=True).start()

    def _hash_all(self, record: ModelRecord | None) -> None:
        while record is not None:
            try:
                self.hash(record)
            except LoadFailed as error:
                log.warning("There is no hash of %s yet: %s", record.id, error)  # whoever needs it asks again and is told then
            with self._lock:
                self._to_hash.pop(record.path)
                record = next(iter(self._to_hash.values()), None)

    def _fresh(self) -> bool:
        return time.monotonic() - self._walked_at < LOOK_AGAIN and self._times == _times(self._seen.folders)

    def _scan(self) -> None:
        times = _times(self._seen.folders)
        seen = walk(self._models, self._embedded)
        if seen != self._seen or self._walked_at == float("-inf"):
            known = self._identified
            self._identified = {}
            for record_id, found in _named(seen.found):
                key = (record_id, found.path, found.stamp)
                self._identified[key] = known.get(key) or identify(found, record_id, self.families)
            self._records = tuple(sorted(map(self._with_hash, self._identified.values()), key=_order))
        if seen.folders != self._seen.folders:
            times = _times(seen.folders)
        self._seen, self._times, self._walked_at = seen, times, time.monotonic()

    def _with_hash(self, record: ModelRecord) -> ModelRecord:
        known = self._hashes.known(_weights(record)) if record.family is not None else None
        return record if known == record.sha256 else record.model_copy(update={"sha256": known})


def _times(folders: Iterable[Path]) -> tuple[int, ...]:
    return tuple(folder.stat().st_mtime_ns if folder.exists() else 0 for folder in folders)


def _named(found: Iterable[Found]) -> Iterator[tuple[str, Found]]:
    """Ids: the name without suffix; where it is taken, with suffix; where that is taken too, with the kind's folder."""
    taken: set[str] = set()
    ranked = sorted(found, key=lambda one: _suffix_rank(one))
    for one in ranked:
        name = _text(one.name)
        plain = name if one.layout == "diffusers" else name.rpartition(".")[0]
        kind = _text(one.path.parents[name.count("/")].name)
        record_id = next(text for text in (plain, name, f"{kind}/{name}", f"{kind}/{name} #{len(taken)}") if text.casefold() not in taken)
        taken.add(record_id.casefold())
        yield record_id, one


def _suffix_rank(found: Found) -> int:
    return -1 if found.layout == "diffusers" else WEIGHT_SUFFIXES.index(found.path.suffix.lower())


def _text(name: str) -> str:
    """A file name as text that can be stored and shown: bytes that are no text become “�”."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _order(record: ModelRecord) -> tuple[bool, bool, list[tuple[int, int, str]], str]:
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", record.id.casefold()) if part]
    return record.family is None, record.starter, parts, record.id


def _id(record: ModelRecord) -> tuple[str, ...]:
    return (record.id.casefold(),)


def _file_name(record: ModelRecord) -> tuple[str, ...]:
    return (f"{record.id}{record.path.suffix}".casefold(),)


def _stems(record: ModelRecord) -> tuple[str, ...]:
    stem = record.id.rpartition("/")[2]
    return stem.casefold(), f"{stem}{record.path.suffix}".casefold(), record.label.casefold()


def _hashes(record: ModelRecord) -> tuple[str, ...]:
    return (record.sha256, record.sha256[:SHORT_HASH], record.sha256[:12]) if record.sha256 else ()


def _weights(record: ModelRecord) -> tuple[Path, ...]:
    if record.layout == "single_file":
        return (record.path,)
    for network in NETWORKS:
        shards = sorted((record.path / network).glob("*.safetensors"))
        plain = [path for path in shards if ".fp16." not in path.name]  # a second copy in half precision
        if shards:
            return tuple(plain or shards)
    return (record.path / "unet" / "diffusion_pytorch_model.safetensors",)
