"""The whole extension surface on one page: pluggy hook specifications. Built-ins register through them too.

An extension is `extensions/<name>/__init__.py` with functions of these names marked `@hookimpl`.
"""

from collections.abc import Sequence
from typing import Any

import pluggy
from PIL.Image import Image

from webui.core.events import BusEvent
from webui.core.job import Person
from webui.core.parts import FamilyInfo, SamplerInfo, ScheduleInfo
from webui.core.records import ModelRecord
from webui.core.request import GenerationRequest

PROJECT = "gesso"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_samplers() -> Sequence[SamplerInfo]:  # type: ignore[empty-body]  # a specification has no body
    """Rows for the sampler table. Called once at start, in the page's process and in the engine's."""


@hookspec
def register_schedules() -> Sequence[ScheduleInfo]:  # type: ignore[empty-body]  # a specification has no body
    """Rows for the schedule table. Called once at start, in the page's process and in the engine's."""


@hookspec
def register_families() -> Sequence[FamilyInfo]:  # type: ignore[empty-body]  # a specification has no body
    """Architectures. The module that defines a family's `INFO` also has `load(record, device)`, used by the engine."""


@hookspec
def register_tabs() -> Sequence[Any]:  # type: ignore[empty-body]  # a specification has no body
    """`webui.ui.tabs.Tab` rows: id, label, order, build. Called when the page is built."""


@hookspec
def register_routes() -> Sequence[Any]:  # type: ignore[empty-body]  # a specification has no body
    """`fastapi.APIRouter`s, mounted under `/extensions/<name>` behind the same door as every other route."""


@hookspec
def prepare_request(request: GenerationRequest, record: ModelRecord, owner: Person) -> GenerationRequest | None:
    """Change a request before it is queued, so that what is recorded is what runs. None leaves it as it is."""


@hookspec
def process_image(image: Image, request: GenerationRequest, index: int) -> Image | None:
    """Change a finished picture before it is saved. None leaves it as it is. Must not block for long."""


@hookspec
def on_event(event: BusEvent) -> None:
    """Told everything that happens to jobs, after it happened. Must not block."""
