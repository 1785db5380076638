"""What weight files are called: ids that stay apart, the other names that A1111 knows them by, and the order of lists."""

import re
from collections.abc import Iterable, Iterator

from webui.core.records import ModelRecord
from webui.library.scan import WEIGHT_SUFFIXES

SHORT_HASH = 10  # hex digits, as in A1111's titles
LORA_HASH = 12  # hex digits, as in A1111's `Lora hashes`
TITLE = re.compile(r"(?P<name>.*?)\s*\[(?P<hash>[0-9a-fA-F]{8,64})\]")


def with_ids(records: Iterable[ModelRecord]) -> Iterator[ModelRecord]:
    """Records of one kind, with ids for file names: without suffix; where that is taken, with suffix; then with the folder."""
    taken: set[str] = set()
    for record in sorted(records, key=_rank):
        name = record.id
        plain = name if record.layout == "diffusers" else name.rpartition(".")[0]
        folder = record.path.parents[name.count("/")].name
        options = (plain, name, f"{folder}/{name}", f"{folder}/{name} #{len(taken)}")
        record_id = next(text for text in options if text.casefold() not in taken)
        taken.add(record_id.casefold())
        yield record.model_copy(update={"id": record_id, "label": record.label or record_id})


def _rank(record: ModelRecord) -> int:
    return -1 if record.layout == "diffusers" else WEIGHT_SUFFIXES.index(record.path.suffix.lower())


def order(record: ModelRecord) -> tuple[bool, bool, list[tuple[int, int, str]], str]:
    """Usable ones, then the starter, then those that cannot be used; each in natural order without regard to case."""
    parts = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d{1,18})", record.id.casefold()) if part]
    return not record.usable, record.starter, parts, record.id


def ids(record: ModelRecord) -> tuple[str, ...]:
    return (record.id.casefold(),)


def file_names(record: ModelRecord) -> tuple[str, ...]:
    return (f"{record.id}{record.path.suffix}".casefold(),)


def stems(record: ModelRecord) -> tuple[str, ...]:
    stem = record.id.rpartition("/")[2]
    return stem.casefold(), f"{stem}{record.path.suffix}".casefold(), record.label.casefold()


def aliases(record: ModelRecord) -> tuple[str, ...]:
    """What its trainer called it (A1111's `ss_output_name`); a name that trainers give by default is none."""
    return (record.lora.alias.casefold(),) if record.lora and record.lora.alias else ()


def hashes(record: ModelRecord) -> tuple[str, ...]:
    """sha256 and its beginnings; of a LoRA also the hash of its tensors, which is what pictures remember."""
    of_file = (record.sha256, record.sha256[:SHORT_HASH], record.sha256[:LORA_HASH]) if record.sha256 else ()
    of_tensors = (record.lora.hash, record.lora.hash[:SHORT_HASH], record.lora.hash[:LORA_HASH]) if record.lora and record.lora.hash else ()
    return of_file + of_tensors


NAMES = (ids, file_names, stems, aliases, hashes)  # in the order in which they are tried
