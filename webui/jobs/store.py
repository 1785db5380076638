"""`JobStore`: the durable queue. Every change is one transaction, and the row is the truth."""

import json
import logging
import secrets
import sqlite3
import threading
import time

from pydantic import ValidationError

from webui.core.errors import Conflict, NotFound
from webui.core.job import Job, Person, Status
from webui.core.request import MAX_PROMPT, GenerationRequest
from webui.database import Database

log = logging.getLogger(__name__)

# Inside the class, `list` is the method.
Jobs = list[Job]
Rows = list[sqlite3.Row]

MAX_ATTEMPTS = 3  # starts in a row without a new picture
KEPT = 2000  # ended jobs that are remembered; their pictures say all about themselves and stay
FORGET_EVERY = 100  # ends

_FRONT = "coalesce((SELECT min(place) FROM jobs WHERE status = 'queued'), place) - 1"
_BACK = """1 + max(coalesce((SELECT max(place) FROM jobs WHERE status = 'queued'), 0),
    coalesce((SELECT max(place) FROM jobs WHERE status = 'running'), 0))"""

_ADD = f"""INSERT INTO jobs (id, owner, owner_name, request, status, place, created_at, sequence)
    VALUES (?, ?, ?, ?, 'queued', {_BACK}, ?, 1 + coalesce((SELECT max(sequence) FROM jobs), 0)) RETURNING *"""

# Running jobs keep the order in which they were taken, so that a crash puts them back in that order.
_TAKE = """UPDATE jobs SET status = 'running', attempts = attempts + 1, engine = ?, started_at = coalesce(started_at, ?),
    place = max(place, coalesce((SELECT max(place) + 1 FROM jobs WHERE status = 'running'), place))
    WHERE id = (SELECT id FROM jobs WHERE status = 'queued' ORDER BY place LIMIT 1) RETURNING *"""

_PUT_BACK = f"""UPDATE jobs SET
    status = CASE WHEN cancel_requested THEN 'cancelled' WHEN :counted AND attempts >= {MAX_ATTEMPTS} THEN 'failed' ELSE 'queued' END,
    error = CASE WHEN NOT cancel_requested AND :counted AND attempts >= {MAX_ATTEMPTS} THEN :failure END,
    finished_at = CASE WHEN cancel_requested OR (:counted AND attempts >= {MAX_ATTEMPTS}) THEN :now END,
    attempts = CASE WHEN :counted THEN attempts ELSE max(0, attempts - 1) END,
    engine = NULL, place = {_FRONT}
    WHERE id = :id AND status = 'running' RETURNING *"""

_CANCEL = """UPDATE jobs SET cancel_requested = 1,
    status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END,
    finished_at = CASE WHEN status = 'queued' THEN ?1 ELSE finished_at END
    WHERE status IN ('queued', 'running')"""

_FORGET = """DELETE FROM jobs WHERE status NOT IN ('queued', 'running') AND sequence <=
    (SELECT sequence FROM jobs WHERE status NOT IN ('queued', 'running') ORDER BY sequence DESC LIMIT 1 OFFSET ?)"""

_FOREIGN = "This job was queued by another version of Gesso, which knew more than this one. Update Gesso and ask again."
_STOPPED = "Gesso itself was stopped while this job ran."


class JobStore:
    """Used from any thread. `order` is held around a change and its announcement, so that listeners hear changes in their order."""

    def __init__(self, database: Database) -> None:
        self.order = threading.RLock()
        self._database = database
        self._ends = 0
        self._cancelling: set[str] = set()  # mirrors cancel_requested of running jobs: it is asked once a step
        flags = {row["name"]: row["value"] for row in database.read("SELECT name, value FROM flags")}
        self._paused = flags.get("paused") == "1"
        self._paused_because = flags.get("paused_because", "")

    # --- reading ---

    def get(self, job_id: str) -> Job:
        """Raises `NotFound`."""
        rows = self._database.read("SELECT * FROM jobs WHERE id = ?", (job_id,))
        return _one(rows, job_id)

    def list(self, *, active: bool | None = None, limit: int = 200, offset: int = 0) -> Jobs:
        """Newest first; with `active=True` those running and waiting, in the order in which they (will) run."""
        if active:
            # Two branches, each with its own index: sorting 10,000 rows for a window of 200 takes longer than all else.
            sql = """SELECT * FROM (SELECT * FROM jobs WHERE status = 'running' ORDER BY place)
                UNION ALL SELECT * FROM (SELECT * FROM jobs WHERE status = 'queued' ORDER BY place LIMIT ?1 + ?2) LIMIT ?1 OFFSET ?2"""
        elif active is None:
            sql = "SELECT * FROM jobs ORDER BY sequence DESC LIMIT ? OFFSET ?"
        else:
            sql = "SELECT * FROM jobs WHERE status NOT IN ('queued', 'running') ORDER BY sequence DESC LIMIT ? OFFSET ?"
        return [_job(row) for row in self._database.read(sql, (limit, offset))]

    def active_of(self, owner: str) -> Jobs:
        """All of one owner's jobs that run and wait, in the order in which they (will) run."""
        sql = "SELECT * FROM jobs WHERE status = ? AND owner = ? ORDER BY place"
        return [_job(row) for status in (Status.RUNNING, Status.QUEUED) for row in self._database.read(sql, (status.value, owner))]

    def active_count(self) -> int:
        """How many jobs run and wait, everyone's."""
        sql = """SELECT (SELECT count(*) FROM jobs WHERE status = 'running') + (SELECT count(*) FROM jobs WHERE status = 'queued')"""
        return int(self._database.read(sql)[0][0])

    def position(self, job_id: str) -> int:
        """How many waiting jobs run before this one; 0 is next, and for a job that no longer waits. Raises `NotFound`."""
        job = self.get(job_id)
        if job.status is not Status.QUEUED:
            return 0
        return int(self._database.read("SELECT count(*) FROM jobs WHERE status = 'queued' AND place < ?", (job.place,))[0][0])

    def waiting(self, owner: str) -> tuple[int, int]:
        """Jobs waiting: (everyone's, this owner's)."""
        sql = """SELECT (SELECT count(*) FROM jobs WHERE status = 'queued'),
            (SELECT count(*) FROM jobs WHERE status = 'queued' AND owner = ?)"""
        row = self._database.read(sql, (owner,))[0]
        return row[0], row[1]

    def waiting_of(self, owner: str) -> Jobs:
        """All jobs of one owner that wait, in no order; for a collaborator, who may have a hundred."""
        return [_job(row) for row in self._database.read("SELECT * FROM jobs WHERE status = 'queued' AND owner = ?", (owner,))]

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def paused_because(self) -> str:
        """Why the program itself paused the queue, a sentence; empty when a person did, and when it runs."""
        return self._paused_because if self._paused else ""

    def cancelling(self, job_id: str) -> bool:
        """Whether a running job is to end; cheap enough to be asked once a step."""
        return job_id in self._cancelling

    # --- what people do ---

    def add(self, request: GenerationRequest, owner: Person) -> Job:
        """Queue a request behind all others; durable when this returns."""
        row = (secrets.token_urlsafe(16), owner.id, owner.name, request.model_dump_json(), time.time())
        with self._database.write() as db:
            return _job(db.execute(_ADD, row).fetchone())

    def cancel(self, job_id: str) -> Job:
        """A waiting job ends at once, a running one is asked to. Raises `NotFound`, and `Conflict` when it has ended already."""
        with self._database.write() as db:
            rows = db.execute(f"{_CANCEL} AND id = ?2 RETURNING *", (time.time(), job_id)).fetchall()
        if not rows:
            raise Conflict(f"This job is already {self.get(job_id).status.value}.")
        return self._mirrored(_job(rows[0]))

    def cancel_all(self, owner: str | None) -> Jobs:
        """Cancel all jobs of one owner (None: of everyone), in the order in which they would have run."""
        with self._database.write() as db:
            rows = db.execute(f"{_CANCEL} AND (?2 IS NULL OR owner = ?2) RETURNING *", (time.time(), owner)).fetchall()
        jobs = sorted((_job(row) for row in rows), key=lambda job: (job.status is not Status.RUNNING, job.place))
        return [self._mirrored(job) for job in jobs]

    def _mirrored(self, job: Job) -> Job:
        if job.status is Status.RUNNING:
            self._cancelling.add(job.id)
        return job

    def move(self, job_id: str, before: str | None) -> Job:
        """Put a waiting job before another waiting one, or last. Raises `NotFound`, and `Conflict` when either no longer waits."""
        with self._database.write() as db:
            moved = _waiting_place(db, job_id)
            if before is None:
                place = db.execute(f"SELECT {_BACK}").fetchone()[0]
            elif before == job_id:
                place = moved
            else:
                place = _place_before(db, before)
            row = db.execute("UPDATE jobs SET place = ? WHERE id = ? RETURNING *", (place, job_id)).fetchone()
            return _job(row)

    def pause(self, paused: bool, because: str = "") -> None:
        """Kept over a restart, with the reason. When the disk is full the queue stops all the same, and `StorageError` is raised."""
        if paused:
            self._paused, self._paused_because = True, because
        with self._database.write() as db:
            flags = (("paused", "1" if paused else "0"), ("paused_because", because))
            db.executemany("INSERT INTO flags VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", flags)
        self._paused, self._paused_because = paused, because

    # --- what the dispatcher does ---

    def take(self, engine: str) -> Job | None:
        """The next waiting job, now running and with one more attempt; None when there is none or the queue is paused."""
        if self._paused:
            return None
        with self._database.write() as db:
            rows = db.execute(_TAKE, (engine, time.time())).fetchall()
        return _job(rows[0]) if rows else None

    def made(self, job_id: str, index: int) -> Job:
        """Picture `index` is on disk and in the index: the job resumes behind it, with all its attempts."""
        with self._database.write() as db:
            sql = "UPDATE jobs SET made = max(made, ?), attempts = 0 WHERE id = ? RETURNING *"
            return _one(db.execute(sql, (index + 1, job_id)).fetchall(), job_id)

    def finish(self, job_id: str, status: Status, error: str | None = None) -> Job:
        """End a running job; every now and then the oldest of those that ended are forgotten. Raises `Conflict` when it does not run."""
        sql = "UPDATE jobs SET status = ?, error = ?, finished_at = ?, engine = NULL WHERE id = ? AND status = 'running' RETURNING *"
        self._ends += 1
        with self._database.write() as db:
            rows = db.execute(sql, (status.value, error, time.time(), job_id)).fetchall()
            if self._ends % FORGET_EVERY == 0:
                db.execute(_FORGET, (KEPT,))
        return self._left(rows, job_id)

    def put_back(self, job_id: str, *, counted: bool, reason: str = "") -> Job:
        """Queue a running job again, before all others.

        It becomes `cancelled` instead when that was asked for, and `failed` (with the reason, a sentence) when the attempt
        counts and was the third in a row without a new picture. Raises `Conflict` when it does not run.
        """
        with self._database.write() as db:
            rows = _put_back(db, job_id, counted, reason)
        return self._left(rows, job_id)

    def _left(self, rows: Rows, job_id: str) -> Job:
        self._cancelling.discard(job_id)
        if not rows:
            raise Conflict(f"The job {job_id} does not run: it is {self.get(job_id).status.value}.")
        return _job(rows[0])

    def recover(self) -> Jobs:
        """At start, before anything is taken: what was running when the program ended, put back or ended, first taken first.

        A picture that was saved but not yet counted is counted now, so that none is made twice. A request that this version
        cannot read (another one wrote it) fails here, rather than in the dispatcher's hands. Of what ended, the oldest is forgotten.
        """
        with self._database.write() as db:
            rows = db.execute("SELECT id, request FROM jobs WHERE status IN ('queued', 'running')").fetchall()
            foreign = [(_FOREIGN, time.time(), row["id"]) for row in rows if _read(row["request"]) is None]
            db.executemany("UPDATE jobs SET status = 'failed', error = ?, finished_at = ?, engine = NULL WHERE id = ?", foreign)
            db.execute("""UPDATE jobs SET attempts = 0, made = 1 + (SELECT max(picture_index) FROM pictures WHERE job_id = jobs.id)
                WHERE status = 'running' AND made <= (SELECT max(picture_index) FROM pictures WHERE job_id = jobs.id)""")
            jobs = [_job(row) for row in db.execute("SELECT * FROM jobs WHERE status = 'running' ORDER BY place")]
            now = time.time()
            for job in reversed(jobs):
                if job.made >= job.request.count:
                    db.execute("UPDATE jobs SET status = 'done', finished_at = ?, engine = NULL WHERE id = ?", (now, job.id))
                else:
                    _put_back(db, job.id, True, _STOPPED)
            db.execute(_FORGET, (KEPT,))
        recovered = [self.get(job.id) for job in jobs]
        for job in recovered:
            log.info(
                "job %s was running when the program ended; now %s, %d of %d pictures made", job.id, job.status, job.made, job.request.count
            )
        return recovered


def _put_back(db: sqlite3.Connection, job_id: str, counted: bool, reason: str) -> Rows:
    failure = f"{reason} It was tried {MAX_ATTEMPTS} times without a new picture."
    return db.execute(_PUT_BACK, {"id": job_id, "counted": counted, "failure": failure.strip(), "now": time.time()}).fetchall()


def _waiting_place(db: sqlite3.Connection, job_id: str) -> float:
    job = _one(db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchall(), job_id)
    if job.status is not Status.QUEUED:
        raise Conflict(f"Only waiting jobs have a place in the queue; this one is {job.status.value}.")
    return job.place


def _place_before(db: sqlite3.Connection, job_id: str) -> float:
    """A place between a waiting job and the one ahead of it; all are numbered anew when floats leave no room."""
    for _ in range(2):
        place = _waiting_place(db, job_id)
        ahead = db.execute("SELECT max(place) FROM jobs WHERE status = 'queued' AND place < ?", (place,)).fetchone()[0]
        between: float = place - 1 if ahead is None else (ahead + place) / 2
        if between < place and (ahead is None or between > ahead):
            return between
        db.execute("""UPDATE jobs SET place = numbered.number FROM
            (SELECT id, row_number() OVER (ORDER BY place) AS number FROM jobs WHERE status = 'queued') AS numbered
            WHERE jobs.id = numbered.id""")
    raise AssertionError("whole numbers leave room between them")


def _one(rows: Rows, job_id: str) -> Job:
    if not rows:
        raise NotFound(f"There is no job “{job_id[:80]}”.")
    return _job(rows[0])


def _read(text: str) -> GenerationRequest | None:
    """None where another version had fields that this one has not."""
    try:
        return GenerationRequest.model_validate_json(text)
    except ValidationError:
        return None


def _outline(text: str) -> GenerationRequest:
    """What a list can show of a request that cannot be read."""
    told = json.loads(text)
    return GenerationRequest(checkpoint=str(told.get("checkpoint", "?"))[:300] or "?", prompt=str(told.get("prompt", ""))[:MAX_PROMPT])


def _job(row: sqlite3.Row) -> Job:
    return Job(
        id=row["id"],
        owner=row["owner"],
        owner_name=row["owner_name"],
        request=_read(row["request"]) or _outline(row["request"]),
        status=Status(row["status"]),
        place=row["place"],
        made=row["made"],
        attempts=row["attempts"],
        cancel_requested=bool(row["cancel_requested"]),
        error=row["error"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
