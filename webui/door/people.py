"""Who came in over the LAN link: people and their sessions, in the database. Only hashes of the tokens are kept."""

import hashlib
import re
import secrets
import time
import unicodedata
from collections.abc import Callable

from webui.core.errors import UserError
from webui.core.job import HOST, Person
from webui.database import Database

SESSION_SECONDS = 30 * 86400
MAX_NAME = 40  # characters


class People:
    """Sessions end on the server's clock, whatever the cookie says."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def person(self, token: str) -> Person | None:
        """Whose session this is; None when it is not one, or ended."""
        rows = self._database.read(
            "SELECT people.id, people.name FROM sessions JOIN people ON people.id = sessions.person"
            " WHERE sessions.token_hash = ? AND sessions.expires_at > ?",
            (_hash(token), self._clock()),
        )
        return Person(id=rows[0]["id"], name=rows[0]["name"]) if rows else None

    def enter(self, name: str, old_token: str | None = None) -> str:
        """Begin a session and return its token. A browser that was in keeps its person, and its old token dies. Raises `UserError`."""
        wanted = tidy_name(name)
        known = self.person(old_token) if old_token else None
        token, now = secrets.token_urlsafe(32), self._clock()
        person = known.id if known else secrets.token_hex(8)
        with self._database.write() as db:
            db.execute("DELETE FROM sessions WHERE expires_at <= ? OR token_hash = ?", (now, _hash(old_token or "")))
            rows = db.execute("SELECT name FROM people JOIN sessions ON person = people.id WHERE people.id != ?", (person,))
            free = _free(wanted, {_alike(row["name"]) for row in rows} | {_alike(HOST.name)})
            db.execute(
                "INSERT INTO people (id, name, host, seen_at) VALUES (?, ?, 0, ?)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, seen_at = excluded.seen_at",
                (person, free, now),
            )
            db.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_hash(token), person, now + SESSION_SECONDS))
        return token

    def leave(self, token: str) -> None:
        with self._database.write() as db:
            db.execute("DELETE FROM sessions WHERE token_hash = ?", (_hash(token),))

    def end_all(self) -> int:
        """End every session; returns how many there were."""
        with self._database.write() as db:
            return db.execute("DELETE FROM sessions").rowcount


def tidy_name(name: str) -> str:
    """The name as shown: one line, no invisible or direction-changing characters. Raises `UserError` when nothing is left."""
    kept = "".join(" " if unicodedata.category(char)[0] in "CZ" else char for char in unicodedata.normalize("NFC", name[:400]))
    tidy = re.sub(r" +", " ", kept).strip()[:MAX_NAME].strip()
    if not tidy:
        raise UserError("What is your name? It stands next to your pictures in the queue.", field="name")
    return tidy


def _free(name: str, taken: set[str]) -> str:
    numbered = name
    number = 2
    while _alike(numbered) in taken:
        numbered = f"{name} {number}"
        number += 1
    return numbered


def _alike(name: str) -> str:
    """The same for names that look the same but for case and width: Ｈｏｓｔ is host."""
    return unicodedata.normalize("NFKC", name).casefold()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
