"""Choices as data: what a sampler, a schedule or a family is called and can do. Drawn by the page and the API."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from webui.core.geometry import Size
from webui.core.records import CheckpointDefaults
from webui.core.request import Frozen


class SamplerInfo(Frozen):
    """A row of the sampler table. `implementation` is a diffusers class by name, so the table needs no torch."""

    id: str  # A1111's name: "DPM++ 2M"
    aliases: tuple[str, ...] = ()
    implementation: str
    options: Mapping[str, Any] = Field(default_factory=dict)
    schedules: tuple[str, ...] | None = None  # None: all
    second_order: bool = False  # two network calls a step
    automatic: str = "Uniform"  # the schedule that "Automatic" means for it
    discards: bool = False  # the last level above 0 is left out, of one more than there are steps

    def takes(self, schedule: str) -> bool:
        """Whether it works with the schedule of this id."""
        return self.schedules is None or schedule in self.schedules


class ScheduleInfo(Frozen):
    """A row of the schedule table."""

    id: str  # A1111's label: "Karras"
    aliases: tuple[str, ...] = ()
    options: Mapping[str, Any] = Field(default_factory=dict)


class HeaderSignature(Frozen):
    """How a family is told from a weight file's header: `key` must exist with `shape` (None matches any side)."""

    key: str
    shape: tuple[int | None, ...] | None = None


class FamilyInfo(Frozen):
    """An architecture, so that the library can identify it without torch."""

    id: str  # "sd15"
    label: str  # "SD 1.x"
    native: Size
    tasks: tuple[str, ...]
    pipeline_classes: tuple[str, ...]  # `_class_name` in a diffusers folder's model_index.json
    signature: tuple[HeaderSignature, ...]  # all must hold, for a single file
    defaults: CheckpointDefaults
    latent_channels: int = 4


class EngineState(Frozen):
    """What an engine is doing, for the top bar. Sizes in bytes; `memory_total` 0 means unknown."""

    device: str  # "cpu", "cuda:0", "fake"
    label: str  # "AMD EPYC, bf16"
    status: Literal["starting", "idle", "busy", "restarting", "stopped"]
    message: str = ""
    loaded: tuple[str, ...] = ()  # checkpoints in memory
    memory_used: int = 0
    memory_total: int = 0


class Capabilities(Frozen):
    """What can be asked for here."""

    version: str
    samplers: tuple[SamplerInfo, ...]
    schedules: tuple[ScheduleInfo, ...]
    families: tuple[FamilyInfo, ...]
    tasks: tuple[str, ...]
    engines: tuple[EngineState, ...] = ()
