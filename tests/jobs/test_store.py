"""The durable queue, one rule a test; `test_store_states` walks through all of them at random."""

import threading
import time

import pytest

from tests.jobs.conftest import ask, keep_picture
from webui.core.errors import Conflict, NotFound, StorageError
from webui.core.job import HOST, Job, Person, Status
from webui.database import Database
from webui.jobs import store as module
from webui.jobs.store import MAX_ATTEMPTS, JobStore

ADA = Person(id="ada", name="Ada")


def add(store: JobStore, *names: str, owner: Person = HOST) -> list[Job]:
    return [store.add(ask(name), owner) for name in names]


def order(store: JobStore) -> list[str]:
    return [job.request.prompt for job in store.list(active=True)]


def take(store: JobStore) -> Job:
    job = store.take("cpu")
    assert job is not None
    return job


def test_a_job_is_stored_whole(store: JobStore, database: Database) -> None:
    request = ask("a lake with “quotes” and 🌄", count=3, seed=2**32 - 1)
    job = store.add(request, ADA)
    assert (job.owner, job.owner_name, job.status, job.made, job.attempts) == ("ada", "Ada", Status.QUEUED, 0, 0)
    assert JobStore(database).get(job.id) == job
    assert JobStore(database).get(job.id).request == request


def test_ids_cannot_be_guessed(store: JobStore) -> None:
    ids = {job.id for job in add(store, *["x"] * 50)}
    assert len(ids) == 50
    assert min(map(len, ids)) >= 20


def test_an_unknown_job_is_not_found(store: JobStore) -> None:
    for call in (store.get, store.cancel, store.position, lambda job_id: store.move(job_id, None), lambda job_id: store.made(job_id, 0)):
        with pytest.raises(NotFound, match="nobody"):
            call("nobody")


def test_first_come_first_served(store: JobStore) -> None:
    add(store, "a", "b", "c")
    assert order(store) == ["a", "b", "c"]
    assert [take(store).request.prompt for _ in range(3)] == ["a", "b", "c"]
    assert store.take("cpu") is None


def test_lists_by_what_is_active(store: JobStore) -> None:
    a, b, c, d = add(store, "a", "b", "c", "d")
    take(store)
    store.finish(a.id, Status.DONE)
    store.cancel(c.id)
    take(store)
    assert [job.id for job in store.list(active=True)] == [b.id, d.id]
    assert [job.id for job in store.list(active=False)] == [c.id, a.id]
    assert [job.id for job in store.list()] == [d.id, c.id, b.id, a.id]
    assert [job.id for job in store.list(limit=2, offset=1)] == [c.id, b.id]
    assert [job.id for job in store.list(active=True, limit=1, offset=1)] == [d.id]


def test_position_counts_those_that_wait_before(store: JobStore) -> None:
    a, b, c = add(store, "a", "b", "c")
    assert [store.position(job.id) for job in (a, b, c)] == [0, 1, 2]
    take(store)
    assert [store.position(job.id) for job in (a, b, c)] == [0, 0, 1]


def test_waiting_counts_everyone_and_one_owner(store: JobStore) -> None:
    add(store, "a", "b")
    add(store, "c", owner=ADA)
    assert store.waiting("ada") == (3, 1)
    take(store)
    assert store.waiting("host") == (2, 1)
    assert store.waiting("nobody") == (2, 0)


def test_one_owners_active_jobs_come_in_their_order_and_all_are_counted(store: JobStore) -> None:
    guest = Person(id="guest", name="Guest")
    first = add(store, "a", "b", owner=guest)
    add(store, "c")
    store.move(first[1].id, before=first[0].id)
    take(store)
    last = add(store, "d", owner=guest)
    assert [job.id for job in store.active_of("guest")] == [first[1].id, first[0].id, last[0].id]
    assert (store.active_of("nobody"), store.active_count()) == ([], 4)
    store.finish(first[1].id, Status.DONE)
    assert [job.id for job in store.active_of("guest")] == [first[0].id, last[0].id]
    assert store.active_count() == 3


def test_taking_counts_an_attempt_and_a_picture_forgives_them(store: JobStore) -> None:
    add(store, "a")
    job = take(store)
    assert (job.status, job.attempts) == (Status.RUNNING, 1)
    assert job.started_at is not None
    job = store.made(job.id, 0)
    assert (job.made, job.attempts) == (1, 0)
    assert store.made(job.id, 0).made == 1, "counting a picture again changes nothing"


def test_put_back_goes_before_all_others_and_fails_at_the_third_attempt(store: JobStore) -> None:
    add(store, "a", "b")
    for attempt in range(1, MAX_ATTEMPTS):
        job = store.put_back(take(store).id, counted=True, reason="The engine died.")
        assert (job.status, job.attempts, job.error) == (Status.QUEUED, attempt, None)
        assert order(store) == ["a", "b"]
    job = store.put_back(take(store).id, counted=True, reason="The engine died.")
    assert job.status is Status.FAILED
    assert job.error == "The engine died. It was tried 3 times without a new picture."
    assert job.finished_at is not None
    assert order(store) == ["b"]


def test_attempts_that_do_not_count_never_fail_a_job(store: JobStore) -> None:
    add(store, "a")
    for _ in range(10):
        job = store.put_back(take(store).id, counted=False)
        assert (job.status, job.attempts) == (Status.QUEUED, 0)


def test_a_waiting_job_is_cancelled_at_once(store: JobStore) -> None:
    a, b = add(store, "a", "b")
    assert store.cancel(a.id).status is Status.CANCELLED
    assert take(store).id == b.id
    with pytest.raises(Conflict, match="already cancelled"):
        store.cancel(a.id)


def test_a_running_job_is_asked_to_end(store: JobStore, database: Database) -> None:
    (a,) = add(store, "a")
    take(store)
    assert not store.cancelling(a.id)
    job = store.cancel(a.id)
    assert (job.status, job.cancel_requested) == (Status.RUNNING, True)
    assert store.cancelling(a.id)
    assert JobStore(database).get(a.id).cancel_requested, "the column is the truth"
    assert store.finish(a.id, Status.CANCELLED).status is Status.CANCELLED
    assert not store.cancelling(a.id)


@pytest.mark.parametrize("counted", [True, False])
def test_a_cancelled_job_is_not_put_back(store: JobStore, counted: bool) -> None:
    (a,) = add(store, "a")
    take(store)
    store.cancel(a.id)
    job = store.put_back(a.id, counted=counted, reason="The engine died.")
    assert (job.status, job.error) == (Status.CANCELLED, None)


def test_cancel_all_ends_everyones_or_ones_own(store: JobStore) -> None:
    a, b = add(store, "a", "b")
    c, d = add(store, "c", "d", owner=ADA)
    take(store)
    assert [job.id for job in store.cancel_all("ada")] == [c.id, d.id]
    assert [(job.id, job.status) for job in store.cancel_all(None)] == [(a.id, Status.RUNNING), (b.id, Status.CANCELLED)]
    assert store.cancelling(a.id)
    assert store.cancel_all("") == [], "an empty name is nobody's, not everyone's"


def test_only_a_running_job_finishes(store: JobStore) -> None:
    (a,) = add(store, "a")
    for status in (Status.DONE, Status.FAILED):
        with pytest.raises(Conflict, match="queued"):
            store.finish(a.id, status)
    take(store)
    store.finish(a.id, Status.FAILED, "The reason.")
    assert store.get(a.id).error == "The reason."
    with pytest.raises(Conflict, match="failed"):
        store.put_back(a.id, counted=True)


def test_moving(store: JobStore) -> None:
    a, b, c, d = add(store, "a", "b", "c", "d")
    store.move(c.id, a.id)
    assert order(store) == ["c", "a", "b", "d"]
    store.move(c.id, d.id)
    assert order(store) == ["a", "b", "c", "d"]
    store.move(a.id, None)
    assert order(store) == ["b", "c", "d", "a"]
    store.move(b.id, b.id)
    assert order(store) == ["b", "c", "d", "a"]


def test_only_waiting_jobs_move(store: JobStore) -> None:
    a, b, _ = add(store, "a", "b", "c")
    take(store)
    with pytest.raises(Conflict, match="running"):
        store.move(a.id, None)
    with pytest.raises(Conflict, match="running"):
        store.move(b.id, a.id)


def test_moving_again_and_again_into_the_same_gap_keeps_the_order(store: JobStore) -> None:
    """Halving a gap 54 times leaves no float in it; the queue is then numbered anew."""
    a, b, c, d = add(store, "a", "b", "c", "d")
    for turn in range(70):
        store.move((b, c)[turn % 2].id, d.id)
        assert order(store) == ["a", *("cb" if turn % 2 == 0 else "bc"), "d"]
    assert len({job.place for job in store.list(active=True)}) == 4


def test_a_move_while_another_runs_puts_nothing_before_the_running_one_after_a_crash(store: JobStore, database: Database) -> None:
    a, b, c, d = add(store, "a", "b", "c", "d")
    take(store)
    store.move(d.id, b.id)
    store.take("second")
    assert order(store) == ["a", "d", "b", "c"]
    JobStore(database).recover()
    assert order(store) == ["a", "d", "b", "c"]


def test_pause_is_kept_over_a_restart(store: JobStore, database: Database) -> None:
    add(store, "a")
    store.pause(True)
    assert store.take("cpu") is None
    again = JobStore(database)
    assert again.paused
    assert again.take("cpu") is None
    again.pause(False)
    assert take(again).request.prompt == "a"


def test_the_reason_of_a_pause_is_kept_until_the_queue_goes_on(store: JobStore, database: Database) -> None:
    store.pause(True, "The disk is full.")
    assert JobStore(database).paused_because == "The disk is full."
    store.pause(False)
    assert store.paused_because == ""
    store.pause(True)
    assert JobStore(database).paused_because == ""


def test_a_pause_that_cannot_be_written_stops_the_queue_all_the_same(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, "a")

    def full(self: Database) -> None:
        raise StorageError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", full)
        with pytest.raises(StorageError):
            store.pause(True)
        assert store.take("cpu") is None
        with pytest.raises(StorageError):
            store.pause(False)
        assert store.paused
    store.pause(False)
    assert take(store)


def test_recover_continues_at_the_next_picture(store: JobStore, database: Database) -> None:
    store.add(ask(count=4), HOST)
    job = take(store)
    store.made(job.id, 0)
    store.made(job.id, 1)
    (recovered,) = JobStore(database).recover()
    assert (recovered.status, recovered.made, recovered.attempts) == (Status.QUEUED, 2, 0)


def test_recover_counts_a_picture_that_was_saved_but_not_counted(store: JobStore, database: Database) -> None:
    store.add(ask(count=3), HOST)
    for index in range(2):
        job = take(store)
        keep_picture(database, job.id, index)
        (recovered,) = store.recover()
        assert (recovered.status, recovered.made, recovered.attempts) == (Status.QUEUED, index + 1, 0)
    job = take(store)
    keep_picture(database, job.id, 2)
    (recovered,) = store.recover()
    assert recovered.status is Status.DONE, "its last picture was saved, so nothing is left to make"


def test_recover_gives_up_at_the_third_attempt_with_the_reason(store: JobStore) -> None:
    store.add(ask(), HOST)
    for status in (Status.QUEUED, Status.QUEUED, Status.FAILED):
        take(store)
        (job,) = store.recover()
        assert job.status is status
    assert job.error == "Gesso itself was stopped while this job ran. It was tried 3 times without a new picture."
    assert store.recover() == []


def test_recover_ends_what_was_being_cancelled(store: JobStore, database: Database) -> None:
    (a,) = add(store, "a")
    take(store)
    store.cancel(a.id)
    (job,) = JobStore(database).recover()
    assert job.status is Status.CANCELLED


def test_a_request_of_another_version_fails_at_start_and_can_still_be_listed(store: JobStore, database: Database) -> None:
    a, b, c = add(store, "a", "b", "c")
    take(store)
    with database.write() as db:
        for job in (a, b):
            newer = job.request.model_dump_json()[:-1] + ', "loras": ["x"]}'
            db.execute("UPDATE jobs SET request = ? WHERE id = ?", (newer, job.id))
    again = JobStore(database)
    again.recover()
    assert [(job.status, job.request.prompt) for job in again.list()] == [("queued", "c"), ("failed", "b"), ("failed", "a")]
    assert "another version" in (again.get(b.id).error or "")
    assert take(again).id == c.id


def test_a_clock_that_jumps_changes_no_order(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([2e9, 0.0, 1e9, -5.0, 3e9, 1.0, 0.0, 7.0, 1e10, 0.0])
    monkeypatch.setattr(time, "time", lambda: next(clock))
    a, b, c = add(store, "a", "b", "c")
    assert order(store) == ["a", "b", "c"]
    job = take(store)
    store.recover()
    assert order(store) == ["a", "b", "c"]
    assert take(store).id == job.id == a.id
    assert [job.id for job in store.list()] == [c.id, b.id, a.id]
    assert store.finish(a.id, Status.DONE).status is Status.DONE


def test_no_two_threads_take_the_same_job(store: JobStore) -> None:
    jobs = add(store, *["x"] * 30)
    taken: list[str] = []

    def work(name: str) -> None:
        while (job := store.take(name)) is not None:
            taken.append(job.id)

    threads = [threading.Thread(target=work, args=(f"engine-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(job.id for job in jobs)


# --- forgetting ---


def test_only_the_newest_of_what_ended_are_remembered(store: JobStore, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    monkeypatch.setattr(module, "FORGET_EVERY", 2)
    waiting, *others = add(store, *"wabcdef")
    store.move(waiting.id, None)
    for number, job in enumerate(others, 1):
        assert take(store).id == job.id
        keep_picture(database, job.id, 0)
        store.finish(job.id, Status.DONE)
        assert len(store.list(active=False)) <= 3 + number % 2, "after every second end, three are left"
    assert [job.request.prompt for job in store.list(active=False)] == ["f", "e", "d"]
    assert order(store) == ["w"], "what waits stays, however old"
    assert len(database.read("SELECT id FROM pictures")) == 6, "pictures outlive their jobs"
    with pytest.raises(NotFound):
        store.get(others[0].id)


def test_a_start_forgets_what_was_cancelled_by_the_thousand(store: JobStore, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    add(store, *"abcdef")
    store.cancel_all(None)
    running, waiting = add(store, "running", "waiting")
    take(store)
    again = JobStore(database)
    assert [job.id for job in again.recover()] == [running.id]
    assert [job.request.prompt for job in again.list(active=False)] == ["f", "e", "d"]
    assert [job.id for job in again.list(active=True)] == [running.id, waiting.id]
    with pytest.raises(Conflict):
        again.finish(waiting.id, Status.DONE)
