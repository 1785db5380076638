"""Opens the one SQLite file and runs numbered migrations. One writing connection in one process."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from webui.core.errors import SetupError, StorageError

MIGRATIONS: tuple[str, ...] = (
    # 1: jobs, pictures, drafts. Every row has an owner from the first day.
    """
    CREATE TABLE people (id TEXT PRIMARY KEY, name TEXT NOT NULL, host INTEGER NOT NULL DEFAULT 0, seen_at REAL NOT NULL);
    CREATE TABLE sessions (token_hash TEXT PRIMARY KEY, person TEXT NOT NULL REFERENCES people(id), expires_at REAL NOT NULL);
    CREATE TABLE jobs (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, owner_name TEXT NOT NULL, request TEXT NOT NULL,
        status TEXT NOT NULL, place REAL NOT NULL, made INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
        engine TEXT, cancel_requested INTEGER NOT NULL DEFAULT 0, error TEXT,
        created_at REAL NOT NULL, started_at REAL, finished_at REAL, sequence INTEGER NOT NULL
    );
    CREATE INDEX jobs_queue ON jobs (place, status) WHERE status = 'queued';
    CREATE INDEX jobs_running ON jobs (place, status) WHERE status = 'running';
    CREATE INDEX jobs_waiting ON jobs (owner, status) WHERE status = 'queued';
    CREATE INDEX jobs_recent ON jobs (sequence DESC);
    CREATE TABLE flags (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE drafts (owner TEXT NOT NULL, browser TEXT NOT NULL, form TEXT NOT NULL, saved_at REAL NOT NULL,
        PRIMARY KEY (owner, browser));
    CREATE TABLE pictures (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job_id TEXT, picture_index INTEGER NOT NULL, owner TEXT NOT NULL,
        path TEXT NOT NULL UNIQUE, width INTEGER NOT NULL, height INTEGER NOT NULL, bytes INTEGER NOT NULL,
        seed INTEGER, checkpoint TEXT, prompt TEXT NOT NULL, negative_prompt TEXT NOT NULL, parameters TEXT NOT NULL,
        request TEXT, created_at REAL NOT NULL, starred INTEGER NOT NULL DEFAULT 0, trashed_at REAL
    );
    CREATE UNIQUE INDEX pictures_once ON pictures (job_id, picture_index) WHERE job_id IS NOT NULL;
    CREATE INDEX pictures_recent ON pictures (number) WHERE trashed_at IS NULL;
    CREATE INDEX pictures_starred ON pictures (number) WHERE trashed_at IS NULL AND starred = 1;
    CREATE INDEX pictures_trashed ON pictures (number) WHERE trashed_at IS NOT NULL;
    CREATE VIRTUAL TABLE pictures_text USING fts5 (
        prompt, negative_prompt, checkpoint, content='pictures', content_rowid='number', tokenize='unicode61', prefix='1 2 3'
    );
    CREATE TRIGGER pictures_added AFTER INSERT ON pictures BEGIN
        INSERT INTO pictures_text (rowid, prompt, negative_prompt, checkpoint)
        VALUES (new.number, new.prompt, new.negative_prompt, coalesce(new.checkpoint, ''));
    END;
    CREATE TRIGGER pictures_removed AFTER DELETE ON pictures BEGIN
        INSERT INTO pictures_text (pictures_text, rowid, prompt, negative_prompt, checkpoint)
        VALUES ('delete', old.number, old.prompt, old.negative_prompt, coalesce(old.checkpoint, ''));
    END;
    """,
    # 2: one person's pictures are found without reading everybody's rows.
    "CREATE INDEX pictures_own ON pictures (owner, number, trashed_at) WHERE trashed_at IS NULL",
)


STORAGE_TROUBLE = {  # SQLite's primary result codes that are the disk's fault → the way out
    sqlite3.SQLITE_FULL: "Free some disk space; what was saved is safe.",
    sqlite3.SQLITE_IOERR: "Is the disk full, or was it taken away? What was saved is safe.",
    sqlite3.SQLITE_READONLY: "Give the folder write permission.",
    sqlite3.SQLITE_CANTOPEN: "Does the folder still exist, and may it be written to?",
    sqlite3.SQLITE_PERM: "Give the folder write permission.",
    sqlite3.SQLITE_BUSY: "Another program holds it; close that.",
    sqlite3.SQLITE_LOCKED: "Another program holds it; close that.",
}
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
START_ANEW = "Move it away and start again: pictures are found again from their files, jobs are not."


class Database:
    """`write()` gives the one writing connection inside a transaction; `read()` queries on a connection that cannot write.

    One writer in one process: SQLite before 3.51.3 can corrupt a write-ahead log that several connections write and checkpoint.
    """

    def __init__(self, path: Path) -> None:
        """Raises `SetupError` when the folder is not writable, the file is from a newer version, or it is no database."""
        self.path = path
        self._lock = threading.Lock()  # of the writer; held through COMMIT, which waits for the disk
        self._next = threading.Lock()  # whoever holds it is the next to have the other: who writes again and again comes behind
        self._writing: int | None = None  # the thread that holds the first
        self._idle: list[sqlite3.Connection] = []  # readers; each is used by one thread at a time
        self._idle_lock = threading.Lock()  # of the line above alone, held for moments: nobody who reads waits for who writes
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SetupError(f"The folder {path.parent} cannot be used: {reason}. Choose another with --outputs-dir.") from error
        try:
            self._open()
        except BaseException as error:
            self._writer.close()
            if isinstance(error, sqlite3.Error):
                raise SetupError(_unusable(path, error)) from error
            raise

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        made.row_factory = sqlite3.Row
        made.execute("PRAGMA foreign_keys = ON")
        return made

    def _open(self) -> None:
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")  # what `write` committed outlives a power cut
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise SetupError(f"{self.path} was written by a newer Gesso (schema {version}). Update Gesso, or choose another --outputs-dir.")
        if 0 < version < len(MIGRATIONS):
            self._copy(version)
        for number in range(version, len(MIGRATIONS)):
            script = f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
            self._writer.executescript(script)  # a failure closes the connection, which rolls back

    def _copy(self, version: int) -> None:
        """Keep the database as it was before a migration, whole or not at all, beside it."""
        stamp = time.strftime("%Y%m%d-%H%M%S")
        kept = self.path.with_name(f"{self.path.name}.v{version}-{stamp}.bak")
        part = kept.with_name(f"{kept.name}.part")
        part.unlink(missing_ok=True)
        copy = sqlite3.connect(part)
        try:
            self._writer.backup(copy)
        finally:
            copy.close()
        part.replace(kept)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed (durable) on leaving, rolled back on an exception.

        Raises `StorageError` when the disk is full or not writable, or the file damaged. Not to be entered twice in a thread.
        """
        with self._turn(), self._storage_errors("written"):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                self._rollback()
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writing == threading.get_ident():
            raise RuntimeError("a transaction inside a transaction: its end would commit half of the outer one")
        with self._next:
            self._lock.acquire()
        self._writing = threading.get_ident()
        try:
            yield
        finally:
            self._writing = None
            self._lock.release()

    @contextmanager
    def _storage_errors(self, what: str) -> Iterator[None]:
        """The disk's faults, and only those, as sentences."""
        try:
            yield
        except sqlite3.Error as error:
            if _code(error) in DAMAGED:
                raise StorageError(f"The database {self.path} is damaged ({error}). {START_ANEW}") from error
            way_out = STORAGE_TROUBLE.get(_code(error))
            if way_out is None or (what == "read" and _code(error) == sqlite3.SQLITE_READONLY):  # a statement that writes, not the disk
                raise
            raise StorageError(f"{self.path.name} could not be {what}: {error}. {way_out}") from error

    def _rollback(self) -> None:
        if self._writer.in_transaction:  # a full disk may have rolled it back already
            self._writer.execute("ROLLBACK")

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a query; sees every write that was committed before. From any thread, and beside any write. Raises `StorageError`."""
        with self._idle_lock:
            reader = self._idle.pop() if self._idle else None
        with self._storage_errors("read"):
            if reader is None:
                reader = self._connect()
                reader.execute("PRAGMA query_only = ON")
            try:
                rows: list[sqlite3.Row] = reader.execute(sql, parameters).fetchall()
            finally:
                self._give_back(reader)
            return rows

    def _give_back(self, reader: sqlite3.Connection) -> None:
        with self._idle_lock:
            if not self._closed:
                self._idle.append(reader)
                return
        reader.close()

    def close(self) -> None:
        """Idempotent. Readers in use close themselves when they are done."""
        with self._lock, self._idle_lock:
            self._closed = True
            for connection in (*self._idle, self._writer):
                connection.close()
            self._idle.clear()


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; -1 on errors that Python raises itself."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def _unusable(path: Path, error: sqlite3.Error) -> str:
    way_out = STORAGE_TROUBLE.get(_code(error))
    if way_out is not None:
        return f"The database {path} cannot be opened: {error}. {way_out}"
    return f"The database {path} is damaged ({error}). {START_ANEW}"
