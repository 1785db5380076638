"""`DiffusionEngine`: one job on one device, the whole way on one screen."""

import functools
import importlib.metadata
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Literal, NamedTuple

import torch

from webui.core.errors import EngineDied, GessoError, LoadFailed, Unsupported
from webui.core.events import EngineEvent, Loading, Produced, Step
from webui.core.parts import EngineState, SamplerInfo
from webui.core.records import ModelRecord
from webui.core.registry import Registry
from webui.core.request import GenerationRequest
from webui.engine import builtin, memory
from webui.engine.config import EngineConfig
from webui.engine.decoding import decode
from webui.engine.denoise import Guide, denoise
from webui.engine.device import Device, choose
from webui.engine.extras import Extras, facts, find
from webui.engine.families import sd15
from webui.engine.latents import first_noise, generators
from webui.engine.manager import PipelineManager, PipelineSpec
from webui.engine.pipeline import Pipeline
from webui.engine.preview import preview
from webui.engine.samplers import resolved
from webui.engine.schedules import levels
from webui.engine.shortage import explained, room
from webui.engine.solver import Solver
from webui.engine.vaes import Vaes
from webui.extensions import Extensions
from webui.library.hashes import Hashes
from webui.library.store import Library
from webui.shelves import Shelves

_log = logging.getLogger(__name__)
PAUSE = 1.0  # seconds after a run in which the next one begins, if one waits
FAMILIES: dict[str, ModuleType] = {"sd15": sd15}
os.environ.setdefault("DIFFUSERS_DISABLE_REMOTE_CODE", "true")


class DiffusionEngine:
    """Built in its own process by `process`, or directly in tests."""

    def __init__(self, config: EngineConfig) -> None:
        extensions = Extensions([builtin], config.extensions_dir)
        self._extensions = extensions
        self._samplers = Registry("sampler", extensions.samplers())
        self._schedules = Registry("schedule", extensions.schedules())
        self._library = Library(config.models_dir, extensions.families(), embedded=config.embedded)
        self._shelves, self._vaes, self._hashes = Shelves(config.models_dir), Vaes(), Hashes()
        self.device = choose(config.device, config.probed)
        self._manager = PipelineManager(self._load, lambda pipeline: pipeline.bytes, _budget(self.device, config.ram_budget))
        self._busy = threading.Lock()
        self._closed = threading.Event()
        self._message = ""
        self._wanted = ""  # a checkpoint to be warmed once there is room

    def run(self, request: GenerationRequest, *, first: int = 0, cancelled: Callable[[], bool]) -> Iterator[EngineEvent]:
        plan = self._plan(request)
        stop = functools.partial(self._stopped, cancelled)
        with self._working(request.checkpoint), explained(request, self.device, self._let_go):
            # 1 borrow the pipeline, with the request's LoRAs in it and its VAE
            if plan.spec not in self._manager:
                yield Loading(f"Loading {plan.record.label} …")
            with self._manager.borrow(plan.spec) as borrowed, self._dressed(borrowed, plan.extras, stop) as pipeline:
                # 2 what to listen to, and which noise levels to pass
                sampling, words = request.sampling, plan.extras.words
                prompts = pipeline.conditioner.pair(plan.extras.prompt, request.negative_prompt, sampling.clip_skip, words)
                schedule = resolved(plan.sampler, plan.schedule, pipeline.noise.zero_snr)
                path = levels(self._schedules.find(schedule).options, pipeline.noise, sampling.steps, discards=plan.sampler.discards)
                for start in range(first, request.count, request.batch_size):
                    # 3 first noise, from each picture's own seed
                    seeds = [request.seed_of(index) for index in range(start, min(start + request.batch_size, request.count))]
                    sources = generators(seeds)
                    noise = first_noise(sources, pipeline.channels, request.width, request.height).to(self.device.name)
                    # 4 denoise
                    guide = Guide(pipeline, prompts, sampling.guidance, len(seeds))
                    latents = noise
                    for moment in denoise(Solver(plan.sampler, pipeline.noise, path), guide, noise, sources, stop):
                        latents = moment.latents
                        yield Step(start, moment.step, sampling.steps, preview(pipeline, moment.clean[0]))
                    # 5 decode, one at a time: it takes the most memory
                    for place, seed in enumerate(seeds):
                        image, retry = decode(pipeline, latents[place : place + 1])
                        # 6 yield
                        yield Produced(start + place, image, seed, self._facts(schedule) | self._used(pipeline, plan, request) | retry)

    @contextmanager
    def _dressed(self, pipeline: Pipeline, extras: Extras, stop: Callable[[], bool]) -> Iterator[Pipeline]:
        """The pipeline with these LoRAs merged in, and with the VAE in place of its own."""
        with pipeline.loras.applied(extras.loras, stop):
            pipeline.conditioner.weights = pipeline.loras.state("text_encoder")
            yield self._vaes.given(pipeline, extras.vae)

    def _stopped(self, cancelled: Callable[[], bool]) -> bool:
        if self._closed.is_set():
            raise EngineDied("The engine was closed while it worked.")
        return cancelled()

    def _plan(self, request: GenerationRequest) -> "_Plan":
        """Raises `UserError` for what can never work."""
        record = self._library.find(request.checkpoint, "checkpoint")
        if record.family is None:
            raise Unsupported(f"“{record.label}” cannot be used: {record.problem}", field="checkpoint")
        sampler = self._samplers.find(request.sampling.sampler, field="sampling.sampler")
        schedule = self._schedules.find(request.sampling.schedule, field="sampling.schedule").id
        if not sampler.takes(schedule):
            allowed = ", ".join(sampler.schedules or ())
            raise Unsupported(f"{sampler.id} works with the schedules {allowed}, not {schedule}.", field="sampling.schedule")
        return _Plan(record, self._spec(record), sampler, schedule, find(request, record, self._shelves))

    def _spec(self, record: ModelRecord) -> PipelineSpec:
        width = self.device.dtype.itemsize / 2  # files hold 2 bytes a weight as a rule
        stamp = str(record.path.stat().st_mtime_ns)
        return PipelineSpec(record.id, self.device.name, self.device.precision, stamp, int(record.bytes * width))

    def _load(self, spec: PipelineSpec) -> Pipeline:
        record = self._library.find(spec.checkpoint)
        begin = time.monotonic()
        module = self._extensions.family_module(record.family or "") or FAMILIES.get(record.family or "")
        if module is None:
            raise LoadFailed(f"“{record.label}” is of the kind {record.family}, which nothing here can load.")
        pipeline: Pipeline = module.load(record, self.device)
        _log.info("%s loaded in %.1f s, %s", record.label, time.monotonic() - begin, memory.gb(pipeline.bytes))
        return pipeline

    def _facts(self, schedule: str) -> dict[str, str]:
        return {
            "Device": self.device.label,
            "Attention": "tiles" if self.device.tiled else "torch's own",
            "Schedule": schedule,
            "torch": str(torch.__version__),
            "diffusers": importlib.metadata.version("diffusers"),
        }

    def _used(self, pipeline: Pipeline, plan: "_Plan", request: GenerationRequest) -> dict[str, str]:
        """What of the request's files is in a picture, as A1111 writes it, and what was left out."""
        words = pipeline.conditioner.used(f"{plan.extras.prompt}\n{request.negative_prompt}", plan.extras.words)
        notes = " ".join((*plan.extras.notes, *pipeline.loras.notes))
        return facts(plan.extras, words, self._hashes) | ({"Left out": notes} if notes else {})

    def warm(self, checkpoint: str) -> None:
        threading.Thread(target=self._warm, args=(checkpoint,), name="warm", daemon=True).start()

    @contextmanager
    def _working(self, checkpoint: str) -> Iterator[None]:
        """Busy with a checkpoint; another one that found no room meanwhile is loaded afterwards."""
        if checkpoint == self._wanted:
            self._wanted = self._message = ""
        try:
            with self._busy:
                yield
        finally:
            self._warm_later()

    def _warm_later(self) -> None:
        """Load what found no room, unless the next run comes first: then after that."""

        def act() -> None:
            if not self._closed.wait(PAUSE) and not self._busy.locked() and self._wanted:
                self._warm(self._wanted)

        if self._wanted and not self._busy.locked():
            threading.Thread(target=act, name="warm", daemon=True).start()

    def _warm(self, checkpoint: str) -> None:
        self._wanted = ""
        try:
            record = self._library.find(checkpoint)
            if record.family is None:
                raise Unsupported(f"“{record.label}” cannot be used: {record.problem}")
            self._message = f"Loading {record.label} …"
            if self._manager.bring(self._spec(record)):
                self._message = ""
            else:
                self._wanted = checkpoint
                self._message = f"{record.label} is loaded after the picture that is being made: both do not fit into memory."
                self._warm_later()  # where that was its last moment
        except (GessoError, OSError, MemoryError, RuntimeError) as error:
            _log.warning("%s could not be loaded ahead", checkpoint, exc_info=error)
            self._message = str(error).split("\n")[0]

    def state(self) -> EngineState:
        free, total = room(self.device)
        status: Literal["stopped", "busy", "idle"] = "stopped" if self._closed.is_set() else "busy" if self._busy.locked() else "idle"
        return EngineState(
            device=self.device.name,
            label=self.device.label,
            status=status,
            message=self._message,
            loaded=self._manager.loaded,
            memory_used=total - free if self.device.name.startswith("cuda") else memory.used(),
            memory_total=total,
        )

    def unload(self) -> None:
        """What a running picture uses stays until it is done."""
        self._let_go()

    def close(self) -> None:
        self._closed.set()
        self._let_go()

    def _let_go(self) -> None:
        self._manager.clear()
        self._vaes.clear()


class _Plan(NamedTuple):
    """A request with its names looked up."""

    record: ModelRecord
    spec: PipelineSpec
    sampler: SamplerInfo
    schedule: str
    extras: Extras


def _budget(device: Device, asked: int | None) -> int:
    """Bytes for checkpoints on the device that computes."""
    if device.name == "cpu":
        return memory.budget(asked)
    most = int(room(device)[1] * memory.SHARE)
    return most if asked is None else min(most, asked)
