"""What the name of a sampler asks for, and which schedule goes with it."""

from webui.core.parts import SamplerInfo, ScheduleInfo
from webui.core.registry import Registry

AUTOMATIC = "Automatic"


def split(name: str, samplers: Registry[SamplerInfo], schedules: Registry[ScheduleInfo]) -> tuple[str, str | None]:
    """A sampler's name without the schedule that A1111's older joined names end in, and that schedule's id.

    “DPM++ 2M SDE Karras” is DPM++ 2M SDE with Karras, and `k_dpmpp_2m_sde_exp` the same with Exponential. A name that is
    known as a whole, or not even in part, comes back as it is, with None.
    """
    if name not in samplers:
        for schedule in schedules:
            for ending in (schedule.id, *schedule.aliases):
                rest = name[: -len(ending) - 1].rstrip()
                if name.lower().endswith((f" {ending.lower()}", f"_{ending.lower()}")) and rest in samplers:
                    return rest, schedule.id
    return name, None


def fitting(sampler: SamplerInfo, schedule: str) -> str:
    """`schedule` where the sampler takes it, else Automatic; the first that it takes where it has no Automatic."""
    if sampler.takes(schedule):
        return schedule
    return AUTOMATIC if sampler.takes(AUTOMATIC) else (sampler.schedules or (schedule,))[0]
