"""All that the page, the API and a script can do, on a fake engine and tiny checkpoints."""

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.library.weights import FAMILY, diffusers_folder, single_file
from webui import studio as module
from webui.core.errors import Conflict, NotAllowed, NotFound, TooMany, UnknownName, Unsupported, UserError
from webui.core.events import BusEvent, Changed, Finished, QueueChanged
from webui.core.job import HOST, Job, Person, Status
from webui.core.parts import SamplerInfo, ScheduleInfo
from webui.core.registry import Registry
from webui.core.request import RequestDraft
from webui.database import Database
from webui.engine import samplers as table
from webui.engine.fake import FakeEngine
from webui.extensions import Extensions
from webui.gallery.gallery import Gallery
from webui.jobs.bus import Bus
from webui.jobs.dispatcher import Dispatcher
from webui.jobs.store import JobStore
from webui.library.store import Library
from webui.shelves import Shelves
from webui.studio import Studio

ADA, BOB = Person(id="ada", name="Ada"), Person(id="bob", name="Bob")
SAMPLERS = (
    SamplerInfo(id="Euler", aliases=("k_euler",), implementation="EulerDiscreteScheduler"),
    SamplerInfo(id="DPM++ 2M", implementation="DPMSolverMultistepScheduler"),
    SamplerInfo(id="DDIM", implementation="DDIMScheduler", schedules=("Uniform",)),
)
SCHEDULES = (ScheduleInfo(id="Karras"), ScheduleInfo(id="Uniform", aliases=("normal",)))
SOON = 20.0


class Rooms:
    """A studio, its parts, and what was told."""

    def __init__(self, folder: Path, extensions: Extensions) -> None:
        self.database = Database(folder / "outputs" / "gesso.sqlite3")
        self.library = Library(folder / "models", (FAMILY,))
        self.store, self.bus = JobStore(self.database), Bus()
        self.engine = FakeEngine()
        gallery = Gallery(folder / "outputs", self.database, self.library)
        self.dispatcher = Dispatcher(self.store, self.bus, {"fake": self.engine}, gallery.save, extensions)
        self.told: list[BusEvent] = []
        self.bus.listen(self.told.append)
        self.studio = Studio(
            shelves=Shelves(folder / "models"),
            library=self.library,
            samplers=Registry("sampler", SAMPLERS),
            schedules=Registry("schedule", SCHEDULES),
            extensions=extensions,
            database=self.database,
            jobs=self.store,
            bus=self.bus,
            dispatcher=self.dispatcher,
            gallery=gallery,
        )


def draft(**fields: Any) -> RequestDraft:
    return RequestDraft.parse({"prompt": "a lake", "width": 64, "height": 64, **fields})


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    """Not started: jobs stay where they are until `dispatcher.start`."""
    diffusers_folder(tmp_path / "models" / "checkpoints" / "tiny")
    made = Rooms(tmp_path, Extensions())
    yield made
    made.studio.close()


@pytest.fixture
def studio(rooms: Rooms) -> Studio:
    return rooms.studio


def ended(studio: Studio, job: Job) -> Job:
    (*_, last) = studio.watch(job.id, timeout=SOON)
    assert isinstance(last, Finished)
    return last.job


# --- submitting ---


def test_what_is_left_open_takes_the_checkpoints_defaults(studio: Studio) -> None:
    job = studio.submit(RequestDraft.parse({"prompt": "hills"}), HOST)
    request, defaults = job.request, studio.library.find("tiny").defaults
    assert request.checkpoint == "tiny"
    assert (request.width, request.height) == (defaults.width, defaults.height)
    assert (request.sampling.steps, request.sampling.guidance) == (defaults.steps, defaults.guidance)
    assert studio.job(job.id) == job


def test_names_are_stored_as_they_are_registered(studio: Studio) -> None:
    request = studio.submit(draft(checkpoint="TINY", sampling={"sampler": "K_Euler", "schedule": "NORMAL"}), HOST).request
    assert (request.checkpoint, request.sampling.sampler, request.sampling.schedule) == ("tiny", "Euler", "Uniform")


def test_the_seed_is_drawn_before_the_job_is_stored_and_kept_when_given(studio: Studio) -> None:
    drawn = {studio.submit(draft(), HOST).request.sampling.seed for _ in range(5)}
    assert len(drawn) == 5
    assert studio.submit(draft(sampling={"seed": 0}), HOST).request.sampling.seed == 0


@pytest.mark.parametrize(
    ("fields", "error", "field", "says"),
    [
        ({"checkpoint": "tinny"}, UnknownName, "checkpoint", "Did you mean “tiny”?"),
        ({"sampling": {"sampler": "Eular"}}, UnknownName, "sampling.sampler", "Did you mean “Euler”?"),
        ({"sampling": {"schedule": "Karas"}}, UnknownName, "sampling.schedule", "Did you mean “Karras”?"),
        (
            {"sampling": {"sampler": "DDIM", "schedule": "Karras"}},
            Unsupported,
            "sampling.schedule",
            "DDIM works with the schedules",
        ),
        (
            {"sampling": {"sampler": "Euler Karras", "schedule": "Uniform"}},
            Unsupported,
            "sampling.schedule",
            "“Euler Karras” means Euler with Karras, not Uniform",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_its_field_and_queues_nothing(
    studio: Studio, fields: dict[str, Any], error: type[UserError], field: str, says: str
) -> None:
    with pytest.raises(error, match=says.replace("?", r"\?")) as refused:
        studio.submit(draft(**fields), HOST)
    assert refused.value.field == field
    assert studio.jobs() == []


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ({"sampler": "DDIM"}, ("DDIM", "Uniform")),
        ({"sampler": "Euler"}, ("Euler", "Karras")),
        ({}, ("DPM++ 2M", "Karras")),
        ({"schedule": "normal"}, ("DPM++ 2M", "Uniform")),
        ({"sampler": "DPM++ 2M Uniform"}, ("DPM++ 2M", "Uniform")),
        ({"sampler": "k_euler_normal"}, ("Euler", "Uniform")),
        ({"sampler": "euler karras", "schedule": "Karras"}, ("Euler", "Karras")),
    ],
)
def test_a_schedule_that_is_left_open_follows_the_sampler(studio: Studio, asked: dict[str, Any], runs: tuple[str, str]) -> None:
    sampling = studio.submit(draft(sampling=asked), HOST).request.sampling
    assert (sampling.sampler, sampling.schedule) == runs


def test_on_the_real_tables_a_sampler_alone_is_never_refused(rooms: Rooms) -> None:
    """Whatever the checkpoint's own schedule is, as the starter's Uniform."""
    rooms.studio.samplers, rooms.studio.schedules = Registry("sampler", table.SAMPLERS), Registry("schedule", table.SCHEDULES)
    record = rooms.studio.checkpoints()[0]
    for schedule in rooms.studio.schedules.ids:
        defaults = record.defaults.model_copy(update={"schedule": schedule})
        for sampler in rooms.studio.samplers:
            named = rooms.studio._named(draft(sampling={"sampler": sampler.id}), defaults)
            assert sampler.takes(named.sampling.schedule)
            assert named.sampling.schedule == schedule or (sampler.id, named.sampling.schedule) == ("PLMS", "Automatic")
    job = rooms.studio.submit(draft(sampling={"sampler": "DPM++ 2M SDE Heun Karras", "schedule": "Automatic"}), HOST)
    assert (job.request.sampling.sampler, job.request.sampling.schedule) == ("DPM++ 2M SDE Heun", "Karras")


def put(studio: Studio, *names: str) -> None:
    for name in names:
        path = studio.shelves._models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_the_record_names_every_file_that_decides_the_picture(studio: Studio) -> None:
    put(studio, "Lora/ink.safetensors", "loras/night.safetensors", "VAE/soft.safetensors", "embeddings/bad-hands.safetensors")
    asked = draft(prompt="a lake <lora:INK:0.8>", negative_prompt="Bad-Hands", loras=[{"name": "night", "unet": 0.5}], vae="SOFT")
    request = studio.submit(asked, HOST).request
    assert request.prompt == "a lake <lora:INK:0.8> <lora:night:1:0.5>"
    assert [(use.name, use.text_encoder, use.unet) for use in request.loras] == [("INK", 0.8, 0.8), ("night", 1.0, 0.5)]
    assert (request.embeddings, request.vae) == (("bad-hands",), "soft")
    again = studio.submit(RequestDraft.parse(request.model_dump(mode="json")), HOST).request
    assert again == request, "sent again it is the same, not twice as strong"


def test_an_absent_vae_is_the_one_that_fits_the_checkpoint(studio: Studio) -> None:
    assert studio.submit(draft(), HOST).request.vae == "None"
    put(studio, "VAE/tiny-ema.safetensors")
    assert studio.submit(draft(), HOST).request.vae == "tiny-ema"
    assert studio.submit(draft(vae="Automatic"), HOST).request.vae == "tiny-ema"
    assert studio.submit(draft(vae="None"), HOST).request.vae == "None"


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"prompt": "x <lora:inck:1>"}, "loras", "There is no LoRA called “inck”. Did you mean “ink”?"),
        ({"vae": "sofd"}, "vae", "There is no VAE called “sofd”. Did you mean “soft”?"),
    ],
)
def test_a_file_that_is_not_here_is_refused_at_once(studio: Studio, fields: dict[str, Any], field: str, says: str) -> None:
    put(studio, "Lora/ink.safetensors", "VAE/soft.safetensors")
    with pytest.raises(UnknownName, match=says.replace("?", r"\?")) as refused:
        studio.submit(draft(**fields), HOST)
    assert refused.value.field == field
    assert studio.jobs() == []


def test_a_studio_without_checkpoints_says_where_they_go(tmp_path: Path) -> None:
    rooms = Rooms(tmp_path, Extensions())
    with pytest.raises(Unsupported, match="models/checkpoints") as refused:
        rooms.studio.submit(draft(), HOST)
    assert refused.value.field == "checkpoint"
    assert rooms.studio.default_checkpoint() is None
    rooms.studio.close()


def test_a_checkpoint_that_cannot_be_used_is_listed_with_its_problem_and_refused(tmp_path: Path) -> None:
    single_file(tmp_path / "models" / "checkpoints" / "strange.safetensors", {"nothing.known": (2,)})
    rooms = Rooms(tmp_path, Extensions())
    (record,) = rooms.studio.checkpoints()
    assert record.problem
    with pytest.raises(Unsupported, match="cannot be used"):
        rooms.studio.submit(draft(checkpoint="strange"), HOST)
    rooms.studio.close()


def test_what_an_extension_changes_is_checked_and_recorded(tmp_path: Path) -> None:
    diffusers_folder(tmp_path / "models" / "checkpoints" / "tiny")
    folder = tmp_path / "extensions" / "louder"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "from webui.hooks import hookimpl\n@hookimpl\ndef prepare_request(request):\n"
        "    sampling = request.sampling.model_copy(update={'sampler': 'nonsense' if 'bad' in request.prompt else 'k_euler'})\n"
        "    return request.model_copy(update={'prompt': request.prompt.upper(), 'sampling': sampling})\n"
    )
    rooms = Rooms(tmp_path, Extensions(folder=tmp_path / "extensions"))
    job = rooms.studio.submit(draft(), HOST)
    assert (job.request.prompt, job.request.sampling.sampler) == ("A LAKE", "Euler")
    with pytest.raises(UnknownName, match="nonsense"):
        rooms.studio.submit(draft(prompt="bad"), HOST)
    rooms.studio.close()


def test_a_submitted_job_is_on_the_disk_and_then_announced(rooms: Rooms) -> None:
    seen: list[int] = []

    def look(event: BusEvent) -> None:
        other = sqlite3.connect(rooms.database.path)
        seen.append(other.execute("SELECT count(*) FROM jobs").fetchone()[0])
        other.close()

    rooms.bus.listen(look)
    job = rooms.studio.submit(draft(), HOST)
    assert seen == [1]
    assert rooms.told == [Changed(job)]


def test_the_queue_has_an_end(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED_COLLABORATOR", 2)
    monkeypatch.setattr(module, "MAX_QUEUED", 4)
    for _ in range(2):
        studio.submit(draft(), ADA)
    with pytest.raises(TooMany, match="2 jobs are waiting"):
        studio.submit(draft(), ADA)
    studio.submit(draft(), BOB)
    studio.submit(draft(), HOST)
    with pytest.raises(TooMany, match="4 jobs are waiting"):
        studio.submit(draft(), HOST)
    studio.cancel_all(ADA)
    studio.submit(draft(), ADA)


# --- from submit to picture ---


def test_a_job_becomes_pictures_in_the_gallery(rooms: Rooms) -> None:
    rooms.dispatcher.start()
    studio = rooms.studio
    job = ended(studio, studio.submit(draft(count=2, sampling={"steps": 2, "seed": 11}), ADA))
    assert (job.status, job.made) == (Status.DONE, 2)
    pictures = studio.pictures_of(job.id)
    assert [(picture.index, picture.seed, picture.owner) for picture in pictures] == [(0, 11, "ada"), (1, 12, "ada")]
    assert studio.pictures("lake").total == 2
    assert studio.pictures("desert").total == 0
    assert studio.picture(pictures[0].id) == pictures[0]
    assert (rooms.database.path.parent / pictures[0].path).is_file()


def test_capabilities_are_what_was_registered(studio: Studio) -> None:
    told = studio.capabilities()
    assert [row.id for row in told.samplers] == ["Euler", "DPM++ 2M", "DDIM"]
    assert [row.id for row in told.families] == ["sd15"]
    assert told.tasks == ("text_to_image",)
    assert [engine.device for engine in told.engines] == ["fake"]


def test_a_chosen_checkpoint_is_warmed(rooms: Rooms) -> None:
    rooms.studio.warm("TINY")
    assert rooms.engine.state().loaded == ("tiny",)
    with pytest.raises(UnknownName):
        rooms.studio.warm("nobody")


# --- whose jobs ---


def test_cancelling_is_for_the_owner_and_the_host(rooms: Rooms) -> None:
    studio = rooms.studio
    ours, theirs = studio.submit(draft(), ADA), studio.submit(draft(), ADA)
    with pytest.raises(NotAllowed, match="belongs to Ada"):
        studio.cancel(ours.id, BOB)
    assert studio.cancel(ours.id, ADA).status is Status.CANCELLED
    assert studio.cancel(theirs.id, HOST).status is Status.CANCELLED
    with pytest.raises(Conflict, match="already cancelled"):
        studio.cancel(ours.id, ADA)
    with pytest.raises(NotFound):
        studio.cancel("nobody", HOST)
    assert [type(event) for event in rooms.told] == [Changed, Changed, Finished, Finished]


def test_cancel_all_leaves_other_peoples_jobs_to_the_host(studio: Studio) -> None:
    jobs = [studio.submit(draft(), who) for who in (ADA, BOB, HOST)]
    assert [job.id for job in studio.cancel_all(ADA)] == [jobs[0].id]
    assert [job.id for job in studio.cancel_all(HOST)] == [jobs[1].id, jobs[2].id]
    assert studio.cancel_all(HOST) == []


def test_only_the_host_moves_jobs_ahead(studio: Studio) -> None:
    first, second, third = (studio.submit(draft(), who) for who in (HOST, ADA, ADA))
    with pytest.raises(NotAllowed, match="ahead"):
        studio.move(second.id, first.id, ADA)
    with pytest.raises(NotAllowed, match="belongs to Ada"):
        studio.move(second.id, None, BOB)
    studio.move(second.id, None, ADA)
    assert [job.id for job in studio.jobs(active=True)] == [first.id, third.id, second.id]
    studio.move(second.id, first.id, HOST)
    assert [studio.position(job.id) for job in (first, second, third)] == [1, 0, 2]


def test_only_the_host_pauses_the_queue(rooms: Rooms) -> None:
    rooms.dispatcher.start()
    studio = rooms.studio
    with pytest.raises(NotAllowed):
        studio.pause(True, ADA)
    assert not studio.paused
    studio.pause(True, HOST)
    assert studio.paused
    job = studio.submit(draft(sampling={"steps": 1}), ADA)
    studio.pause(False, HOST)
    assert ended(studio, job).status is Status.DONE
    assert [event.paused for event in rooms.told if isinstance(event, QueueChanged)] == [True, False]


def test_only_the_host_opens_folders(studio: Studio) -> None:
    with pytest.raises(NotAllowed):
        studio.reveal("any", ADA)


# --- watching and listening ---


def test_watching_an_unknown_job_is_refused_before_the_first_event_is_asked_for(studio: Studio) -> None:
    with pytest.raises(NotFound):
        studio.watch("nobody")


def test_a_cancelled_waiting_job_ends_its_watchers(studio: Studio) -> None:
    job = studio.submit(draft(), ADA)
    watcher = studio.watch(job.id, timeout=SOON)
    assert isinstance(next(watcher), Changed)
    studio.cancel(job.id, ADA)
    (last,) = watcher
    assert isinstance(last, Finished)
    assert last.job.status is Status.CANCELLED


def slowly(call: Callable[..., Any], gap: threading.Event) -> Callable[..., Any]:
    """The same, with time between the change and its announcement; `gap` is set there."""

    def slow(*args: Any) -> Any:
        result = call(*args)
        if result is not None:
            gap.set()
            time.sleep(0.15)
        return result

    return slow


def told_of(rooms: Rooms, job: Job) -> list[str]:
    events = [event for event in rooms.told if isinstance(event, Changed | Finished) and event.job.id == job.id]
    return [f"{event.job.status}{' (cancelling)' if event.job.cancel_requested else ''}" for event in events]


def test_nobody_hears_that_a_job_runs_before_hearing_that_it_waits(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms.store, "add", slowly(rooms.store.add, threading.Event()))
    rooms.dispatcher.start()
    submitting = threading.Thread(target=rooms.studio.submit, args=(draft(), HOST))
    submitting.start()
    while not rooms.store.list():
        time.sleep(0.001)
    rooms.dispatcher.wake()
    job = rooms.store.list()[0]
    ended(rooms.studio, job)
    submitting.join()
    assert told_of(rooms, job) == ["queued", "running", "done"]


@pytest.mark.parametrize("change", ["take", "finish"])
def test_nobody_hears_of_a_cancelling_out_of_turn(rooms: Rooms, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """A job that is cancelled between being taken (or finished) and the announcement of that."""
    gap = threading.Event()
    monkeypatch.setattr(rooms.store, change, slowly(getattr(rooms.store, change), gap))
    rooms.engine.delay = 0.01
    rooms.dispatcher.start()
    job = rooms.studio.submit(draft(sampling={"steps": 50 if change == "take" else 1}), HOST)
    assert gap.wait(SOON)
    if change == "take":
        rooms.studio.cancel(job.id, HOST)
    else:
        with pytest.raises(Conflict, match="already done"):
            rooms.studio.cancel(job.id, HOST)
    ended(rooms.studio, job)
    last = ["running (cancelling)", "cancelled (cancelling)"] if change == "take" else ["done"]
    assert told_of(rooms, job) == ["queued", "running", *last]


def test_listening_can_be_stopped(studio: Studio) -> None:
    heard: list[BusEvent] = []
    stop = studio.listen(heard.append)
    studio.submit(draft(), HOST)
    stop()
    studio.submit(draft(), HOST)
    assert len(heard) == 1


# --- drafts ---


def test_a_form_is_kept_for_each_person_and_browser(studio: Studio) -> None:
    studio.save_form(HOST, "firefox", {"prompt": "a"})
    studio.save_form(HOST, "firefox", {"prompt": "b", "steps": 3})
    studio.save_form(ADA, "firefox", {"prompt": "c"})
    assert studio.load_form(HOST, "firefox") == {"prompt": "b", "steps": 3}
    assert studio.load_form(ADA, "firefox") == {"prompt": "c"}
    assert studio.load_form(HOST, "chromium") is None


def test_forms_are_kept_of_the_latest_browsers(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DRAFTS", 3)
    clock = iter([5.0, 1.0, 9.0, 4.0, 0.0])  # it jumps
    monkeypatch.setattr(module.time, "time", lambda: next(clock))
    for number in range(5):
        studio.save_form(HOST, f"browser-{number}", {"n": number})
        assert studio.load_form(HOST, f"browser-{number}") == {"n": number}, "the one just saved is always kept"
    assert sum(studio.load_form(HOST, f"browser-{number}") is not None for number in range(5)) == 3


@pytest.mark.parametrize(
    ("browser", "form"), [("b", {"prompt": "x" * 300_000}), ("b" * 65, {}), ("b", {"steps": math.nan}), ("b", {"steps": math.inf})]
)
def test_forms_that_cannot_be_kept_are_refused(studio: Studio, browser: str, form: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        studio.save_form(HOST, browser, form)
    assert studio.load_form(HOST, browser) is None


# --- the end ---


def test_stars_and_trash_are_for_whoever_made_a_picture_and_for_the_host(rooms: Rooms) -> None:
    studio = rooms.studio
    rooms.dispatcher.start()
    (hers,), (his,) = (studio.pictures_of(ended(studio, studio.submit(draft(), who)).id) for who in (ADA, BOB))
    for refused in (
        lambda: studio.star(his.id, True, ADA),
        lambda: studio.trash([hers.id, his.id], ADA),
        lambda: studio.restore([his.id], ADA),
    ):
        with pytest.raises(NotAllowed, match="Only whoever made a picture"):
            refused()
    assert [studio.picture(one.id) for one in (hers, his)] == [hers, his]
    assert studio.star(hers.id, True, ADA).starred
    assert studio.trash([hers.id], ADA)[0].trashed_at is not None
    assert studio.restore([hers.id], ADA)[0].trashed_at is None
    assert studio.star(his.id, True, HOST).starred
    assert all(gone.trashed_at is not None for gone in studio.trash([hers.id, his.id], HOST))
    with pytest.raises(NotFound):
        studio.trash(["none"], ADA)


def test_the_end_puts_the_running_job_back_and_the_next_start_finishes_it(tmp_path: Path) -> None:
    diffusers_folder(tmp_path / "models" / "checkpoints" / "tiny")
    first = Rooms(tmp_path, Extensions())
    first.engine.delay = 0.01
    first.dispatcher.start()
    job = first.studio.submit(draft(count=3, sampling={"steps": 30, "seed": 5}), HOST)
    next(event for event in first.studio.watch(job.id, timeout=SOON) if type(event).__name__ == "Saved")
    first.studio.close()
    second = Rooms(tmp_path, Extensions())
    (left,) = second.studio.jobs(active=True)
    assert (left.id, left.status, left.made) == (job.id, Status.QUEUED, 1)
    second.dispatcher.start()
    assert ended(second.studio, job).status is Status.DONE
    assert [picture.seed for picture in second.studio.pictures_of(job.id)] == [5, 6, 7]
    second.studio.close()


def test_the_host_empties_the_trash_and_rebuilds_the_gallery(rooms: Rooms) -> None:
    studio = rooms.studio
    rooms.dispatcher.start()
    thrown, kept, lost = studio.pictures_of(ended(studio, studio.submit(draft(count=3), ADA)).id)
    studio.trash([thrown.id], HOST)
    studio.star(kept.id, True, HOST)
    with pytest.raises(NotAllowed):
        studio.empty_trash(ADA)
    with pytest.raises(NotAllowed):
        studio.rebuild_gallery(ADA)
    assert studio.pictures(trashed=True).total == 1
    assert studio.empty_trash(HOST) == 1
    with pytest.raises(NotFound):
        studio.picture(thrown.id)
    studio.gallery.file(lost.id).unlink()
    assert studio.rebuild_gallery(HOST) == 1
    assert [(one.id, one.starred) for one in studio.pictures().pictures] == [(kept.id, True)]
