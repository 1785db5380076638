"""Opens the one SQLite file and runs numbered migrations. One writing connection in one process."""

import shutil
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
    CREATE INDEX jobs_queue ON jobs (place) WHERE status = 'queued';
    CREATE INDEX jobs_status ON jobs (status);
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
    CREATE INDEX pictures_recent ON pictures (created_at DESC, number DESC) WHERE trashed_at IS NULL;
    CREATE INDEX pictures_starred ON pictures (created_at DESC, number DESC) WHERE trashed_at IS NULL AND starred = 1;
    CREATE VIRTUAL TABLE pictures_text USING fts5 (
        prompt, negative_prompt, checkpoint, content='pictures', content_rowid='number', tokenize='unicode61'
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
)


class Database:
    """`write()` gives the writing connection inside a transaction; `read()` gives this thread's own reader."""

    def __init__(self, path: Path) -> None:
        """Raises `SetupError` when the folder is not writable or the file is from a newer version."""
        self.path = path
        self._lock = threading.RLock()
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = self._connect()
            self._writer.execute("PRAGMA journal_mode = WAL")
            self._writer.execute("PRAGMA synchronous = FULL")
            self._migrate()
        except sqlite3.Error as error:
            raise SetupError(f"The database {path} cannot be opened: {error}. Is the folder writable and the disk not full?") from error
        except OSError as error:
            raise SetupError(f"The folder {path.parent} cannot be used: {error.strerror}. Choose another with --outputs-dir.") from error

    def _connect(self) -> sqlite3.Connection:
        made = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        made.row_factory = sqlite3.Row
        made.execute("PRAGMA foreign_keys = ON")
        return made

    def _migrate(self) -> None:
        version = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise SetupError(f"{self.path} was written by a newer Gesso (schema {version}). Update Gesso, or choose another --outputs-dir.")
        if 0 < version < len(MIGRATIONS):
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            stamp = time.strftime("%Y%m%d-%H%M%S")
            shutil.copy2(self.path, self.path.with_name(f"{self.path.name}.v{version}-{stamp}.bak"))
        for number in range(version, len(MIGRATIONS)):
            script = f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
            try:
                self._writer.executescript(script)
            except sqlite3.Error:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed (durable) on leaving, rolled back on an exception.

        Raises `StorageError` when the disk is full or not writable.
        """
        with self._lock:
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                except BaseException:
                    self._rollback()
                    raise
                self._writer.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._rollback()
                raise StorageError(f"{self.path.name} could not be written ({error}). Free some disk space; nothing saved before is lost.") from error

    def _rollback(self) -> None:
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        """All rows of a query, on this thread's own connection; sees every committed write."""
        reader = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._connect()
            reader.execute("PRAGMA query_only = ON")
            with self._lock:
                self._readers.append(reader)
        rows: list[sqlite3.Row] = reader.execute(sql, parameters).fetchall()
        return rows

    def close(self) -> None:
        with self._lock:
            for connection in (*self._readers, self._writer):
                connection.close()
            self._readers.clear()
