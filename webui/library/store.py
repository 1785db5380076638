"""`Library`: the weight files on disk as records, kept fresh by looking at folders' times."""

import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from webui.core.errors import LoadFailed, UnknownName, UserError
from webui.core.parts import FamilyInfo
from webui.core.records import KINDS, Kind, ModelRecord
from webui.core.registry import Registry
from webui.library.hashes import Hashes
from webui.library.identify import NETWORKS, UNREAD, identify, unread
from webui.library.naming import LORA_HASH, NAMES, TITLE, hashes, order, with_ids
from webui.library.scan import Found, Stamp, Walk, make_home, walk

LOOK_AGAIN = 1.0  # seconds after which files are looked at, not just their folders
READ_AT_ONCE = 0.4  # seconds that a list may take for headers; those of thousands of new files are read behind it
BATCH = 50  # headers that are read behind a list before the next look at what else is asked for

log = logging.getLogger(__name__)

_Key = tuple[Path, Stamp]


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
        self._records: dict[Kind, tuple[ModelRecord, ...]] = {}
        self._identified: dict[_Key, ModelRecord] = {}
        self._unread: dict[_Key, Found] = {}  # those whose headers are yet to be read
        self._reader: threading.Thread | None = None

    # --- lists ---

    def checkpoints(self) -> tuple[ModelRecord, ...]:
        """Every checkpoint found, the default one first; see `records`."""
        return self.records("checkpoint")

    def records(self, kind: Kind) -> tuple[ModelRecord, ...]:
        """Every file of a kind, wherever it lies; a file dropped into a folder is there at the next call.

        In natural order: usable ones, then the starter (so it is the default only as long as it is alone: who brings a
        checkpoint wants to use it), then those that cannot be used, with their `problem`. `sha256` is set once it is known.
        Of thousands of new files, those whose headers did not fit into `READ_AT_ONCE` are listed under what their folder is
        for, and become usable as they are read (`settle` waits for that).
        """
        with self._lock:
            if not self._fresh():
                self._scan()
            return self._records.get(kind, ())

    def rescan(self) -> tuple[ModelRecord, ...]:
        """Look at everything anew, whatever the times say. Returns the checkpoints."""
        with self._lock:
            self._identified.clear()
            self._seen = Walk((), ())
            self._walked_at = float("-inf")
            self._scan()
            return self._records.get("checkpoint", ())

    def settle(self) -> None:
        """Wait until every header is read."""
        self.records("checkpoint")
        with self._lock:
            reader = self._reader
        if reader is not None:
            reader.join()
        with self._lock:
            if self._unread:  # new ones, since the reader was done
                self._read(float("inf"))
                self._list(self._seen)

    # --- one of them ---

    def find(self, name: str, field: str | None = None, kind: Kind = "checkpoint") -> ModelRecord:
        """By id, id with suffix, stem, a LoRA's alias, "name [hash]", short hash or sha256, in any case (A1111's rules).

        Raises `UnknownName` with the nearest id; `UserError` when a stem or an alias stands for several.
        """
        found = self._find(name, field, kind)
        if found is not None and found.problem == UNREAD:
            self._read_one(found.path)
            found = self._find(name, field, kind)
        if found is None:
            self.settle()
            found = self._find(name, field, kind)
        if found is None:
            raise UnknownName(kind.replace("_", " "), name, (record.id for record in self.records(kind)), field=field)
        return found

    def _find(self, name: str, field: str | None, kind: Kind) -> ModelRecord | None:
        records = self.records(kind)
        wanted = name.strip().casefold()
        titled = TITLE.fullmatch(wanted)
        if titled:
            fitting = [record for record in records if any(known.startswith(titled["hash"]) for known in hashes(record))]
            if len(fitting) == 1:
                return fitting[0]
            wanted = titled["name"]
        if not wanted:
            return None
        for names in NAMES:
            fitting = [record for record in records if wanted in names(record)]
            usable = [record for record in fitting if record.usable] or fitting
            exact = [record for record in usable if name.strip() in (record.id, record.id.rpartition("/")[2])]
            if len(usable) > 1 and len(exact) == 1:  # A1111 takes the name as it is written first
                return exact[0]
            if len(usable) > 1:
                several = " or ".join(f"“{record.id}”" for record in usable[:4])
                raise UserError(f"“{name[:80]}” may be {several}. Use one of these names.", field=field)
            if usable:
                return usable[0]
        return None

    # --- hashes ---

    def hash(self, record: ModelRecord) -> str:
        """sha256 of a single file, or of the unet's (transformer's) weights of a diffusers folder, shard after shard.

        That network decides the picture most, and a whole-folder hash would change with a README. Reads the file the first
        time: see `hash_soon`. Raises `LoadFailed` when it is gone.
        """
        value = self._compute(record)
        with self._lock:
            known = self._records.get(record.kind, ())
            self._records[record.kind] = tuple(self._with_hash(one) if one.path == record.path else one for one in known)
        return value

    def short_hash(self, record: ModelRecord) -> str:
        """What A1111 writes beside a LoRA's name: 12 hex digits of its tensors' sha256, which a renaming or new metadata leaves as it is.

        The trainer's own word for it is taken where there is one. Raises `LoadFailed` when the file is gone.
        """
        value = record.lora.hash if record.lora and record.lora.hash else self._compute(record, tensors=True)
        return value[:LORA_HASH]

    def _compute(self, record: ModelRecord, *, tensors: bool = False) -> str:
        try:
            return self._hashes.compute(_weights(record), tensors=tensors)
        except OSError as error:
            raise LoadFailed(f"{record.path.name} cannot be read: {error.strerror}.") from error

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

    # --- looking ---

    def _fresh(self) -> bool:
        return time.monotonic() - self._walked_at < LOOK_AGAIN and self._times == _times(self._seen.folders)

    def _scan(self) -> None:
        times = _times(self._seen.folders)
        seen = walk(self._models, self._embedded)
        if seen != self._seen or self._walked_at == float("-inf"):
            keys = {(found.path, found.stamp): found for found in seen.found}
            self._identified = {key: known for key, known in self._identified.items() if key in keys}
            self._unread = {key: found for key, found in keys.items() if key not in self._identified}
            self._read(time.monotonic() + READ_AT_ONCE)
            self._list(seen)
            self._read_on()
        if seen.folders != self._seen.folders:
            times = _times(seen.folders)
        self._seen, self._times, self._walked_at = seen, times, time.monotonic()

    def _read(self, until: float) -> None:
        """Read headers up to a time; with the lock held. Small libraries are done at once."""
        for key in list(self._unread):
            if time.monotonic() >= until:
                return
            self._identified[key] = identify(self._unread.pop(key), self.families)

    def _read_one(self, path: Path) -> None:
        """Who waits for one file does not wait for thousands."""
        with self._lock:
            for key in [key for key in self._unread if key[0] == path]:
                self._identified[key] = identify(self._unread.pop(key), self.families)
            self._list(self._seen)

    def _list(self, seen: Walk) -> None:
        """The records of all kinds, from what is known by now; with the lock held."""
        kinds: dict[Kind, list[ModelRecord]] = {kind: [] for kind in KINDS}
        for found in seen.found:
            record = self._identified.get((found.path, found.stamp)) or unread(found)
            kinds[record.kind].append(record)
        self._records = {kind: tuple(sorted(map(self._with_hash, with_ids(records)), key=order)) for kind, records in kinds.items()}

    def _read_on(self) -> None:
        if self._unread and (self._reader is None or not self._reader.is_alive()):
            self._reader = threading.Thread(target=self._read_all, name="headers", daemon=True)
            self._reader.start()

    def _read_all(self) -> None:
        """Behind the lists: a batch at a time, without the lock, so that nobody waits."""
        listed = time.monotonic()
        while True:
            with self._lock:
                batch = list(self._unread.items())[:BATCH]
                if not batch or time.monotonic() - listed > LOOK_AGAIN:
                    self._list(self._seen)
                    listed = time.monotonic()
                if not batch:
                    self._reader = None
                    return
            made = [(key, identify(found, self.families)) for key, found in batch]
            with self._lock:
                for key, record in made:
                    if self._unread.pop(key, None) is not None:  # else it is gone, or changed in between
                        self._identified[key] = record

    def _with_hash(self, record: ModelRecord) -> ModelRecord:
        known = self._hashes.known(_weights(record)) if record.usable else None
        return record if known == record.sha256 else record.model_copy(update={"sha256": known})


def _times(folders: Iterable[Path]) -> tuple[int, ...]:
    return tuple(folder.stat().st_mtime_ns if folder.exists() else 0 for folder in folders)


def _weights(record: ModelRecord) -> tuple[Path, ...]:
    if record.layout == "single_file":
        return (record.path,)
    for network in NETWORKS:
        shards = sorted((record.path / network).glob("*.safetensors"))
        plain = [path for path in shards if ".fp16." not in path.name]  # a second copy in half precision
        if shards:
            return tuple(plain or shards)
    return (record.path / "unet" / "diffusion_pytorch_model.safetensors",)
