"""The pictures' rows in SQLite: what the gallery lists and searches."""

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from webui.core.errors import NotFound
from webui.core.picture import Picture
from webui.database import Database

LONGEST_QUERY = 500  # characters
MOST_WORDS = 16
COLUMNS = ", ".join('picture_index AS "index"' if name == "index" else name for name in Picture.model_fields)
BATCH = 500  # rows of a statement or a transaction

Where = Callable[[str], bool | None]
"""Where a path's file is now: in the trash (True), not in the trash (False), nowhere (None)."""


class Entry(NamedTuple):
    """A row to be: a picture, its infotext and its request as JSON."""

    picture: Picture
    parameters: str
    request: str | None


class Which(NamedTuple):
    """Of which pictures a search tells: those in the trash or the others, of those the starred ones, one person's or everyone's."""

    starred: bool = False
    trashed: bool = False
    owner: str | None = None


class Index:
    """All SQL about pictures. Newest first means by arrival: it does not change when the clock jumps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, entries: Sequence[Entry]) -> None:
        """In one transaction; a second file of the same job and index is kept without them. Raises `StorageError`.

        A row that the path has already is of the same file (a rebuild found it first), and is written anew.
        """
        with self._database.write() as db:
            for entry in entries:
                _put(db, entry)

    def search(self, query: str, window: tuple[int, int], which: Which) -> tuple[list[Picture], int]:
        """The pictures of `window` (limit, offset), newest first, and how many match in all."""
        numbers = f"SELECT number FROM pictures WHERE {_state(which)}"
        words: tuple[str, ...] = ()
        if query.strip():
            numbers = _found(which)
            words = (fts_query(query),)
            if words == ("",):
                return [], 0
        if which.owner is not None:
            words = (*words, _storable(which.owner))
        rows = self._database.read(
            f"SELECT {COLUMNS} FROM pictures WHERE number IN ({numbers} ORDER BY number DESC LIMIT ? OFFSET ?) ORDER BY number DESC",
            (*words, *window),
        )
        return [_picture(row) for row in rows], int(self._database.read(f"SELECT count(*) FROM ({numbers})", words)[0][0])

    def get(self, picture_id: str) -> Picture:
        """Raises `NotFound`."""
        return _picture(self._row(picture_id, COLUMNS))

    def texts(self, picture_id: str) -> tuple[str, str | None]:
        """(infotext, request as JSON). Raises `NotFound`."""
        row = self._row(picture_id, "parameters, request")
        return row["parameters"], row["request"]

    def _row(self, picture_id: str, columns: str) -> sqlite3.Row:
        rows = self._database.read(f"SELECT {columns} FROM pictures WHERE id = ?", (_storable(picture_id),))
        if not rows:
            raise NotFound("This picture does not exist (any more).")
        return rows[0]

    def many(self, picture_ids: Sequence[str]) -> list[Picture]:
        """In the order asked for, each once. Raises `NotFound`."""
        return [self.get(picture_id) for picture_id in dict.fromkeys(picture_ids)]

    def of_job(self, job_id: str) -> list[Picture]:
        sql = f"SELECT {COLUMNS} FROM pictures WHERE job_id = ? AND trashed_at IS NULL ORDER BY picture_index"
        return [_picture(row) for row in self._database.read(sql, (_storable(job_id),))]

    def made(self, job_id: str, index: int) -> Picture | None:
        """The picture of that job and index, trashed or not."""
        rows = self._database.read(f"SELECT {COLUMNS} FROM pictures WHERE job_id = ? AND picture_index = ?", (job_id, index))
        return _picture(rows[0]) if rows else None

    def star(self, picture_id: str, starred: bool) -> Picture:
        """Raises `NotFound`, `StorageError`."""
        with self._database.write() as db:
            db.execute("UPDATE pictures SET starred = ? WHERE id = ?", (starred, _storable(picture_id)))
        return self.get(picture_id)

    def set_trashed(self, paths: Iterable[str], at: float | None) -> None:
        with self._database.write() as db:
            db.executemany("UPDATE pictures SET trashed_at = ? WHERE path = ?", [(at, path) for path in paths])

    def trashed(self) -> list[Picture]:
        return [_picture(row) for row in self._database.read(f"SELECT {COLUMNS} FROM pictures WHERE trashed_at IS NOT NULL")]

    def starred(self) -> list[Picture]:
        """Those in the trash too."""
        return [_picture(row) for row in self._database.read(f"SELECT {COLUMNS} FROM pictures WHERE starred = 1")]

    def remove(self, paths: Iterable[str]) -> None:
        with self._database.write() as db:
            db.executemany("DELETE FROM pictures WHERE path = ?", [(path,) for path in paths])

    def paths(self) -> set[str]:
        """Of every row; read from an index that holds nothing else."""
        return {row[0] for row in self._database.read("SELECT path FROM pictures")}

    def replace(self, entries: Sequence[Entry], where: Where) -> int:
        """Rewrite rows by path, with their star and their place in the order; add those that are new. Returns how many there are.

        People trash, restore and delete while files are read: `where` is asked here, where no row changes beside us. Who moves
        a file writes its row after that, so a file that moves on from here gets its row from whoever moves it.
        """
        kept = 0
        with self._database.write() as db:
            for entry in entries:
                picture = entry.picture
                trashed = where(picture.path)
                if trashed is None:
                    db.execute("DELETE FROM pictures WHERE path = ?", (picture.path,))
                    continue
                if trashed is not (picture.trashed_at is not None):
                    picture = picture.model_copy(update={"trashed_at": time.time() if trashed else None})
                _put(db, entry._replace(picture=picture))
                kept += 1
        return kept

    def rebuild_text(self) -> None:
        """Read all prompts into the text index anew; it forgets what rows said before they were damaged."""
        with self._database.write() as db:
            db.execute("INSERT INTO pictures_text (pictures_text) VALUES ('rebuild')")


def _state(which: Which) -> str:
    """A condition on rows for which there is an index of numbers alone, or one that leaves few rows; an owner is its parameter."""
    starred = " AND starred = 1" if which.starred else ""
    owner = " AND owner = ?" if which.owner is not None else ""
    return f"trashed_at IS {'NOT ' if which.trashed else ''}NULL{starred}{owner}"


def _found(which: Which) -> str:
    """The numbers of rows with the words. Few rows are starred, in the trash or one person's: each match is held against those, in memory.

    The plus keeps SQLite from asking the text index about them one by one; no match's row is read.
    """
    few = f"IN (SELECT number FROM pictures WHERE {_state(which)})"
    others = f"NOT IN (SELECT number FROM pictures WHERE {_state(Which(trashed=True))})"
    return f"SELECT rowid AS number FROM pictures_text WHERE pictures_text MATCH ? AND +rowid {others if which == Which() else few}"


def fts_query(query: str) -> str:
    """Every word must be there, as a beginning; empty when there is nothing to look for. Safe for any text.

    Words are quoted, so no character in them is taken for the query language; the index's tokenizer splits them as it
    split the prompts.
    """
    text = query[:LONGEST_QUERY].replace("\0", " ").encode("utf-8", "replace").decode()
    words = [word for word in text.split() if any(mark.isalnum() for mark in word)]
    return " ".join('"' + word.replace('"', " ") + '"*' for word in words[:MOST_WORDS])


def _put(db: sqlite3.Connection, entry: Entry) -> None:
    """The row of a path, in the place and with the star of the one before it."""
    old = db.execute("SELECT number, starred FROM pictures WHERE path = ?", (entry.picture.path,)).fetchone()
    if old is None:
        _insert(db, entry)
        return
    db.execute("DELETE FROM pictures WHERE number = ?", (old["number"],))
    picture = entry.picture.model_copy(update={"starred": bool(old["starred"])})
    _insert(db, entry._replace(picture=picture), old["number"])


def _insert(db: sqlite3.Connection, entry: Entry, number: int | None = None) -> None:
    """A copy of a file says what its original says: it gets an id of its own, and no job."""
    picture = entry.picture
    job = picture.job_id
    if job is not None and db.execute("SELECT 1 FROM pictures WHERE job_id = ? AND picture_index = ?", (job, picture.index)).fetchone():
        job = None
    taken = db.execute("SELECT 1 FROM pictures WHERE id = ?", (picture.id,)).fetchone()
    row = picture.model_dump(exclude={"index"}) | {
        "number": number,
        "id": secrets.token_hex(16) if taken else picture.id,
        "job_id": job,
        "picture_index": picture.index,
        "parameters": entry.parameters,
        "request": entry.request,
    }
    db.execute(f"INSERT INTO pictures ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row)


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _picture(row: sqlite3.Row) -> Picture:
    return Picture.model_validate(dict(row))
