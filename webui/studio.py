"""`Studio`: the program without a face. All that the page, the REST API and a script can do goes through here."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from webui import __version__
from webui.core.errors import NotAllowed, TooMany, Unsupported, UserError
from webui.core.events import BusEvent, Changed, Finished, JobEvent, Progress, QueueChanged
from webui.core.job import Job, Person
from webui.core.networks import merged
from webui.core.parts import Capabilities, SamplerInfo, ScheduleInfo
from webui.core.picture import Picture, PicturePage
from webui.core.records import CheckpointDefaults, ModelRecord
from webui.core.registry import Registry
from webui.core.request import AUTOMATIC_VAE, BUILT_IN, MAX_LORAS, GenerationRequest, RequestDraft, SamplingDraft, complete
from webui.core.sampling import AUTOMATIC, fitting, split
from webui.database import Database
from webui.extensions import Extensions
from webui.gallery.gallery import Gallery
from webui.gallery.parameters import Parameters
from webui.jobs.bus import Bus
from webui.jobs.dispatcher import Dispatcher
from webui.jobs.room import Load, check_collaborator, check_host
from webui.jobs.store import JobStore
from webui.jobs.watch import watch
from webui.library.store import Library
from webui.shelves import Shelves

MAX_QUEUED = 20_000  # jobs waiting, for everyone together
MAX_QUEUED_COLLABORATOR = 100  # jobs waiting, for one collaborator on the LAN link
MAX_DRAFT = 200_000  # bytes of a saved form
MAX_DRAFTS = 20  # browsers of one person whose forms are kept


class Studio:
    """Passed its parts by `app`; owns none of their state."""

    def __init__(  # noqa: PLR0913  # the composition root passes each part by name
        self,
        *,
        library: Library,
        shelves: Shelves,
        samplers: Registry[SamplerInfo],
        schedules: Registry[ScheduleInfo],
        extensions: Extensions,
        database: Database,
        jobs: JobStore,
        bus: Bus,
        dispatcher: Dispatcher,
        gallery: Gallery,
    ) -> None:
        self.library = library
        self.shelves = shelves
        self.samplers = samplers
        self.schedules = schedules
        self.extensions = extensions
        self.gallery = gallery
        self._database = database
        self._jobs = jobs
        self._bus = bus
        self._dispatcher = dispatcher

    # --- what there is ---

    def capabilities(self) -> Capabilities:
        families = self.library.families
        tasks = sorted({task for family in families for task in family.tasks})
        return Capabilities(
            version=__version__,
            samplers=tuple(self.samplers),
            schedules=tuple(self.schedules),
            families=tuple(families),
            tasks=tuple(tasks),
            engines=self._dispatcher.states(),
        )

    def checkpoints(self) -> tuple[ModelRecord, ...]:
        """Every checkpoint found, those that cannot be used with their `problem`; the default one first."""
        return self.library.checkpoints()

    def default_checkpoint(self) -> ModelRecord | None:
        """What a request without a checkpoint gets; None where there is none that can be used."""
        return next((record for record in self.checkpoints() if record.family is not None), None)

    def warm(self, checkpoint: str) -> None:
        """Start bringing a checkpoint to memory: it was chosen in a form, or the program just started."""
        self._dispatcher.warm(self.library.find(checkpoint).id)

    # --- jobs ---

    def submit(self, draft: RequestDraft, owner: Person) -> Job:
        """Queue a job; durable when this returns. Raises `UserError` naming the field that cannot be as asked."""
        fallback = self.default_checkpoint()
        name = draft.checkpoint or (fallback.id if fallback else None)
        if name is None:
            raise Unsupported("There is no checkpoint yet. Put one into the models/checkpoints folder.", field="checkpoint")
        record = self.library.find(name, field="checkpoint")
        if record.family is None:
            raise Unsupported(f"“{record.label}” cannot be used: {record.problem}", field="checkpoint")
        fixed = {"checkpoint": record.id, "vae": AUTOMATIC_VAE}
        request = complete(self._named(draft, record.defaults), record.defaults.model_dump() | fixed)
        request = request.model_copy(update={"checkpoint": record.id})
        request = self._with_files(self.extensions.prepare_request(request, record, owner), record)
        sampler = self.samplers.find(request.sampling.sampler, field="sampling.sampler")
        schedule = self.schedules.find(request.sampling.schedule, field="sampling.schedule")
        if not sampler.takes(schedule.id):
            allowed = ", ".join(sampler.schedules or ())
            raise Unsupported(f"{sampler.id} works with the schedules {allowed}, not {schedule.id}.", field="sampling.schedule")
        sampling = request.sampling.model_copy(update={"sampler": sampler.id, "schedule": schedule.id})
        with self._jobs.order:
            request = request.model_copy(update={"sampling": sampling})
            self._check_room(request, owner)
            job = self._jobs.add(request, owner)
            self._bus.publish(Changed(job))
        self._dispatcher.wake()
        self.library.hash_soon(record)  # its pictures will name it; a large file takes seconds
        return job

    def _named(self, draft: RequestDraft, defaults: CheckpointDefaults) -> RequestDraft:
        """With the sampler and the schedule that its names mean; a schedule that is left open follows the sampler.

        Raises `UserError` for a sampler that is not there, or whose older joined name says another schedule than is asked for.
        """
        asked = draft.sampling or SamplingDraft()
        name, carried = split(asked.sampler or defaults.sampler, self.samplers, self.schedules)
        sampler = self.samplers.find(name, field="sampling.sampler")
        schedule = asked.schedule or carried or fitting(sampler, defaults.schedule)
        if carried and asked.schedule:
            known = self.schedules.find(asked.schedule, field="sampling.schedule").id
            if known not in (AUTOMATIC, carried):
                says = f"“{asked.sampler}” means {sampler.id} with {carried}, not {known}. Ask for the sampler {sampler.id}."
                raise Unsupported(says, field="sampling.schedule")
            schedule = carried
        named: RequestDraft = draft.model_copy(update={"sampling": asked.model_copy(update={"sampler": sampler.id, "schedule": schedule})})
        return named

    def _with_files(self, request: GenerationRequest, record: ModelRecord) -> GenerationRequest:
        """The request with all files that decide its pictures named in it: LoRAs, embeddings, VAE.

        Raises `UnknownName` for one that is not here.
        """
        request = merged(request)
        for use in request.loras:
            self.shelves.find("lora", use.name, field="loras")
        vae = self.shelves.vae_for(record.path) if request.vae == AUTOMATIC_VAE else request.vae
        if vae != BUILT_IN:
            vae = self.shelves.find("vae", vae, field="vae").name
        prompts = " ".join(f"{request.prompt} {request.negative_prompt}".casefold().split())
        words = tuple(file.name for file in self.shelves.files("embedding") if file.stem.casefold() in prompts)
        return request.model_copy(update={"vae": vae, "embeddings": words[:MAX_LORAS]})

    def _check_room(self, request: GenerationRequest, owner: Person) -> None:
        everyone, own = self._jobs.waiting(owner.id)
        if everyone >= MAX_QUEUED or (not owner.host and own >= MAX_QUEUED_COLLABORATOR):
            raise TooMany(f"The queue is full: {own if not owner.host else everyone} jobs are waiting. Let some finish or cancel some.")
        if owner.host:
            check_host(Load.of(request), self.gallery.free_space())
        else:
            check_collaborator(Load.of(request), Load.of_jobs(self._jobs.waiting_of(owner.id)), self.gallery.free_space())

    def job(self, job_id: str) -> Job:
        """Raises `NotFound`."""
        return self._jobs.get(job_id)

    def jobs(self, *, active: bool | None = None, limit: int = 200, offset: int = 0) -> list[Job]:
        """Newest first; with `active=True` those waiting and running, in the order in which they will run."""
        return self._jobs.list(active=active, limit=limit, offset=offset)

    def active_of(self, owner: Person) -> list[Job]:
        """All of one person's jobs that wait and run, in the order in which they will run."""
        return self._jobs.active_of(owner.id)

    def active_count(self) -> int:
        """How many jobs wait and run, everyone's."""
        return self._jobs.active_count()

    def position(self, job_id: str) -> int:
        """How many waiting jobs run before this one; 0 is next, and for a job that no longer waits."""
        return self._jobs.position(job_id)

    def progress(self, job_id: str) -> Progress | None:
        """The latest progress of a running job, for a watcher that came late."""
        return self._dispatcher.progress(job_id)

    def cancel(self, job_id: str, who: Person) -> Job:
        """A waiting job ends at once, a running one within a step. Raises `Conflict` when it has ended already."""
        self._own(job_id, who)
        with self._jobs.order:
            job = self._jobs.cancel(job_id)
            self._announce_cancelled(job)
        return job

    def _announce_cancelled(self, job: Job) -> None:
        self._bus.publish(Finished(job) if job.status.final else Changed(job, "Cancelling …"))

    def cancel_all(self, who: Person) -> list[Job]:
        """The host cancels every job, a collaborator their own."""
        with self._jobs.order:
            cancelled = self._jobs.cancel_all(None if who.host else who.id)
            for job in cancelled:
                self._announce_cancelled(job)
        return cancelled

    def move(self, job_id: str, before: str | None, who: Person) -> Job:
        """Put a waiting job before another one, or last. A collaborator may only move a job back. Raises `Conflict`."""
        self._own(job_id, who)
        if not who.host and before is not None:
            raise NotAllowed("Only the host may move jobs ahead of others.")
        with self._jobs.order:
            job = self._jobs.move(job_id, before)
            self._bus.publish(Changed(job))
        return job

    def _own(self, job_id: str, who: Person) -> Job:
        job = self._jobs.get(job_id)
        if not who.host and job.owner != who.id:
            raise NotAllowed(f"This job belongs to {job.owner_name}.")
        return job

    @property
    def paused(self) -> bool:
        """Whether no further job is started."""
        return self._jobs.paused

    @property
    def paused_because(self) -> str:
        """Why the program itself paused the queue, a sentence; empty when a person did, and when it runs."""
        return self._jobs.paused_because

    def pause(self, paused: bool, who: Person) -> None:
        """Let the running jobs finish and start no other; the host only. Kept over a restart."""
        if not who.host:
            raise NotAllowed("Only the host may pause the queue.")
        with self._jobs.order:
            self._jobs.pause(paused)
            self._bus.publish(QueueChanged(paused))
        self._dispatcher.wake()

    # --- watching ---

    def listen(self, callback: Callable[[BusEvent], None]) -> Callable[[], None]:
        """Call `callback` (quickly, from any thread) for everything that happens; returns how to stop."""
        return self._bus.listen(callback)

    def watch(self, job_id: str, *, timeout: float | None = None) -> Iterator[JobEvent]:
        """What happens to one job from now on, ending with `Finished`; at once when it has ended already.

        Raises `NotFound` at once; `TimeoutError` when it did not end within `timeout` seconds.
        """
        self._jobs.get(job_id)
        return watch(self._jobs, self._bus, self.progress, job_id, timeout)

    # --- pictures ---

    def pictures(
        self,
        query: str = "",
        *,
        page: int = 1,
        per_page: int = 60,
        starred: bool = False,
        trashed: bool = False,
        owner: str | None = None,
    ) -> PicturePage:
        """Newest first; `owner` is a `Person.id`, None for everyone's; see `Gallery.search`."""
        return self.gallery.search(query, page=page, per_page=per_page, starred=starred, trashed=trashed, owner=owner)

    def pictures_of(self, job_id: str) -> list[Picture]:
        """In the job's order, without what was trashed; also of a job that is no longer remembered."""
        return self.gallery.of_job(job_id)

    def picture(self, picture_id: str) -> Picture:
        """Raises `NotFound`."""
        return self.gallery.get(picture_id)

    def star(self, picture_id: str, starred: bool, who: Person) -> Picture:
        self._own_pictures([picture_id], who)
        return self.gallery.star(picture_id, starred)

    def trash(self, picture_ids: Sequence[str], who: Person) -> list[Picture]:
        """Move to the trash; `restore` takes them back. All of them, or with one that is someone else's none."""
        self._own_pictures(picture_ids, who)
        return self.gallery.trash(picture_ids)

    def restore(self, picture_ids: Sequence[str], who: Person) -> list[Picture]:
        self._own_pictures(picture_ids, who)
        return self.gallery.restore(picture_ids)

    def _own_pictures(self, picture_ids: Sequence[str], who: Person) -> None:
        """The host keeps and throws away every picture, a collaborator their own: stars and trash are everyone's to see."""
        if not who.host and any(self.gallery.get(name).owner != who.id for name in picture_ids):
            raise NotAllowed("Only whoever made a picture, and the host, may star it, delete it or take it back.")

    def empty_trash(self, who: Person) -> int:
        """Delete what is in the trash, for good; returns how many pictures that were. The host only."""
        if not who.host:
            raise NotAllowed("Only the host may delete pictures for good.")
        return self.gallery.empty_trash()

    def rebuild_gallery(self, who: Person) -> int:
        """Read every picture file again, for an index that is damaged; takes minutes for many. The host only."""
        if not who.host:
            raise NotAllowed("Only the host may rebuild the gallery.")
        return self.gallery.rebuild()

    def parameters_of(self, picture_id: str) -> Parameters:
        """The request that makes this picture again. Raises `NotFound`."""
        return self.gallery.parameters(picture_id, self.samplers, self.schedules)

    def read_parameters(self, data: bytes) -> Parameters:
        """What a dropped file (Gesso's or A1111's) says about how it was made. Raises `BadImage`, `UserError`."""
        return self.gallery.read_parameters(data, self.library, self.samplers, self.schedules)

    def parse_parameters(self, text: str) -> Parameters:
        """The same of an infotext that was pasted; any text is at least a prompt."""
        return self.gallery.parse_text(text, self.library, self.samplers, self.schedules)

    def archive(self, picture_ids: Sequence[str]) -> Path:
        """A temporary zip of the pictures; the caller deletes it."""
        return self.gallery.archive(picture_ids)

    def reveal(self, picture_id: str, who: Person) -> None:
        """Show the file in the file manager of this machine; the host only."""
        if not who.host:
            raise NotAllowed("Only the host can open folders on this machine.")
        self.gallery.reveal(picture_id)

    # --- drafts: the form survives a reload and a crash ---

    def save_form(self, owner: Person, browser: str, form: Mapping[str, Any]) -> None:
        """Keep what one browser's form holds. Raises `UserError` when it is far too large or holds what JSON has no word for."""
        try:
            text = json.dumps(form, allow_nan=False)
        except ValueError as error:
            raise UserError("A form may hold finite numbers only.") from error
        if len(text) > MAX_DRAFT or len(browser) > 64:
            raise UserError("This form is too large to be kept.")
        with self._database.write() as db:
            db.execute(
                "INSERT INTO drafts VALUES (?1, ?2, ?3, ?4) ON CONFLICT (owner, browser) DO UPDATE SET form = ?3, saved_at = ?4",
                (owner.id, browser, text, time.time()),
            )
            db.execute(
                """DELETE FROM drafts WHERE owner = ?1 AND browser != ?2 AND browser NOT IN
                (SELECT browser FROM drafts WHERE owner = ?1 AND browser != ?2 ORDER BY saved_at DESC LIMIT ?3)""",
                (owner.id, browser, MAX_DRAFTS - 1),
            )

    def load_form(self, owner: Person, browser: str) -> dict[str, Any] | None:
        """What that browser's form held last; None where nothing was kept."""
        rows = self._database.read("SELECT form FROM drafts WHERE owner = ? AND browser = ?", (owner.id, browser))
        return json.loads(rows[0]["form"]) if rows else None

    # --- the end ---

    def close(self) -> None:
        """Stop the dispatcher and its engines within 2 s; running jobs go back to the queue."""
        self._dispatcher.close()
        self._database.close()
