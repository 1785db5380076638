"""One file, one writer: durable, migrated by number, and honest when the disk is full."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from webui import database as module
from webui.core.errors import SetupError, StorageError
from webui.database import MIGRATIONS, Database

NEXT = "CREATE TABLE added (n INTEGER); INSERT INTO added VALUES (1)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "gesso.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    made = Database(path)
    yield made
    made.close()


def flag(database: Database, name: str, value: str) -> None:
    with database.write() as db:
        db.execute("INSERT INTO flags VALUES (?, ?)", (name, value))


def flags(database: Database) -> list[str]:
    return [row["name"] for row in database.read("SELECT name FROM flags ORDER BY name")]


def test_what_was_committed_is_there_after_opening_again(path: Path) -> None:
    first = Database(path)
    flag(first, "a", "1")
    first.close()
    second = Database(path)
    assert flags(second) == ["a"]
    second.close()


def test_commits_are_synced_to_the_disk(database: Database) -> None:
    with database.write() as db:
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_an_exception_rolls_back(database: Database) -> None:
    with pytest.raises(KeyError), database.write() as db:
        db.execute("INSERT INTO flags VALUES ('a', '1')")
        raise KeyError
    assert flags(database) == []
    flag(database, "b", "1")
    assert flags(database) == ["b"]


def test_a_transaction_inside_a_transaction_is_refused_and_harms_nothing(database: Database) -> None:
    with database.write() as db:
        db.execute("INSERT INTO flags VALUES ('a', '1')")
        with pytest.raises(RuntimeError), database.write():
            pass
    assert flags(database) == ["a"]


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError):
        database.read("INSERT INTO flags VALUES ('a', '1')")


def test_pages_that_are_damaged_are_named_so(path: Path, database: Database) -> None:
    """The file opens, for its first page is whole; what is broken shows when it is read or written."""
    for number in range(300):
        flag(database, f"{number:03d}", "x" * 500)
    database.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle:] = b"\xa5" * (len(content) - middle)
    path.write_bytes(content)
    broken = Database(path)
    with pytest.raises(StorageError, match="damaged.*Move it away"):
        broken.read("SELECT * FROM flags")
    with pytest.raises(StorageError, match="damaged.*Move it away"):
        flag(broken, "150a", "1")
    broken.close()


def test_a_mistake_in_a_statement_is_not_called_a_full_disk(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.write() as db:
        db.execute("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError), database.write() as db:
        db.execute("INSERT INTO flags VALUES (NULL, NULL)")
        db.execute("INSERT INTO flags VALUES ('a', NULL)")


def test_threads_write_one_after_another_and_read_their_own_writes(database: Database) -> None:
    def work(number: int) -> bool:
        flag(database, f"{number:03d}", "1")
        return f"{number:03d}" in flags(database)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))
    assert len(flags(database)) == 100


def test_who_reads_does_not_wait_for_who_writes(database: Database) -> None:
    """Neither with a connection that was idle, nor with a new one; what is not committed is not seen."""
    flag(database, "a", "1")
    with ThreadPoolExecutor(3) as pool:
        with database.write() as db:
            db.execute("INSERT INTO flags VALUES ('b', '1')")
            assert [each.result(timeout=20) for each in [pool.submit(flags, database) for _ in range(3)]] == [["a"]] * 3
        assert pool.submit(flags, database).result(timeout=20) == ["a", "b"]


def test_who_writes_again_and_again_lets_others_in_between(database: Database) -> None:
    """A rebuild of the gallery writes one transaction after another."""
    for number in range(5):
        with ThreadPoolExecutor(1) as pool:
            with database.write():
                other = pool.submit(flag, database, str(number), "1")
                time.sleep(0.05)  # for the other to come to the door
            with database.write() as db:
                assert db.execute("SELECT count(*) FROM flags").fetchone()[0] == number + 1
            other.result(timeout=20)


def test_threads_that_come_and_go_leave_no_connections_behind(database: Database) -> None:
    open_files = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
    for _ in range(30):
        thread = threading.Thread(target=flags, args=(database,))
        thread.start()
        thread.join()
    if sys.platform == "linux":
        assert len(list(Path("/proc/self/fd").iterdir())) <= open_files + 4


def test_a_full_disk_is_a_storage_error_and_loses_nothing(database: Database) -> None:
    flag(database, "before", "1")
    with database.write() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match=r"full.*Free some disk space"):
        flag(database, "big", "x" * 100_000)
    assert flags(database) == ["before"]
    with database.write() as db:
        db.execute("PRAGMA max_page_count = 100000")
    flag(database, "big", "x" * 100_000)
    assert flags(database) == ["before", "big"]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of the operating system")
def test_a_file_that_may_not_grow_is_a_storage_error(path: Path) -> None:
    """A real refusal of the operating system, in a process of its own: the write-ahead log may not pass a limit."""
    code = f"""
import resource, signal
from pathlib import Path
from webui.core.errors import StorageError
from webui.database import Database
database = Database(Path({str(path)!r}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
written = 0
try:
    for number in range(1000):
        with database.write() as db:
            db.execute("INSERT INTO flags VALUES (?, ?)", (f"{{number:04d}}", "x" * 10_000))
        written += 1
except StorageError as error:
    assert "disk" in str(error), error
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert 10 < written < 1000, written
assert len(database.read("SELECT * FROM flags")) == written
with database.write() as db:
    db.execute("INSERT INTO flags VALUES ('after', '1')")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_database_that_another_program_holds_is_named_so(database: Database) -> None:
    database._writer.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="Another program holds it"):
        flag(database, "a", "1")
    other.execute("ROLLBACK")
    other.close()
    flag(database, "a", "1")
    assert flags(database) == ["a"]


def test_a_newer_schema_is_refused_untouched(path: Path, database: Database) -> None:
    with database.write() as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    database.close()
    with pytest.raises(SetupError, match="newer Gesso"):
        Database(path)
    assert not list(path.parent.glob("*.bak"))


def test_a_migration_keeps_a_whole_copy_of_what_was(path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    flag(database, "kept", "1")  # still in the write-ahead log, so a copy of the file alone would lack it
    version = len(MIGRATIONS)
    raw = sqlite3.connect(path)  # holds the log open: closing the last connection would fold it in
    database.close()
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, NEXT))
    migrated = Database(path)
    raw.close()
    assert [row["n"] for row in migrated.read("SELECT n FROM added")] == [1]
    assert flags(migrated) == ["kept"]
    migrated.close()
    (copy,) = path.parent.glob(f"*.v{version}-*.bak")
    kept = sqlite3.connect(copy)
    assert kept.execute("PRAGMA user_version").fetchone()[0] == version
    assert kept.execute("SELECT name FROM flags").fetchall() == [("kept",)]
    assert kept.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    kept.close()
    Database(path).close()
    assert len(list(path.parent.glob("*.bak"))) == 1, "nothing to migrate, so no copy"
    assert not list(path.parent.glob("*.part"))


def test_a_migration_that_fails_half_way_changes_nothing(path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    flag(database, "kept", "1")
    database.close()
    monkeypatch.setattr(module, "MIGRATIONS", (*MIGRATIONS, f"{NEXT}; INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(SetupError):
        Database(path)
    monkeypatch.setattr(module, "MIGRATIONS", MIGRATIONS)
    again = Database(path)
    assert flags(again) == ["kept"]
    assert again.read("SELECT name FROM sqlite_master WHERE name = 'added'") == []
    again.close()


def test_a_migration_that_is_killed_half_way_changes_nothing(path: Path, database: Database) -> None:
    database.close()
    code = f"""
import os, sqlite3
from webui.database import MIGRATIONS
db = sqlite3.connect({str(path)!r}, isolation_level=None)
db.create_function("die", 0, lambda: os.kill(os.getpid(), 9))
db.executescript("BEGIN IMMEDIATE; {NEXT}; SELECT die(); PRAGMA user_version = 2; COMMIT;")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode != 0
    again = Database(path)
    assert again.read("SELECT name FROM sqlite_master WHERE name = 'added'") == []
    again.close()


def test_a_file_that_is_no_database_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    with pytest.raises(SetupError, match="damaged.*Move it away"):
        Database(path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match="--outputs-dir"):
        Database(tmp_path / "file" / "gesso.sqlite3")


def test_closing_twice_does_no_harm(database: Database) -> None:
    database.close()
    database.close()
