"""What the engine brings, registered through the same hooks as an extension's; pure data."""

from collections.abc import Sequence

import webui.engine.families.sd15 as sd15
from webui.core.parts import FamilyInfo, SamplerInfo, ScheduleInfo
from webui.engine.samplers import SAMPLERS, SCHEDULES
from webui.hooks import hookimpl


@hookimpl
def register_samplers() -> Sequence[SamplerInfo]:
    return SAMPLERS


@hookimpl
def register_schedules() -> Sequence[ScheduleInfo]:
    return SCHEDULES


@hookimpl
def register_families() -> Sequence[FamilyInfo]:
    return (sd15.INFO,)
