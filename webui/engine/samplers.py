"""The tables of samplers and schedules: pure data under A1111's names and aliases. `solver` gives them their meaning.

A1111's older joined names (“DPM++ 2M Karras”) are none of them: `core.sampling.split` takes those apart.

An implementation is a class of diffusers, or of `webui.engine.repaired`, by name.
"""

from webui.core.parts import SamplerInfo, ScheduleInfo
from webui.core.sampling import AUTOMATIC

MULTISTEP = "DPMSolverMultistepScheduler"
SINGLESTEP = "DPMSolverSinglestepScheduler"
SDE = {"algorithm_type": "sde-dpmsolver++"}

SAMPLERS: tuple[SamplerInfo, ...] = (
    SamplerInfo(
        id="DPM++ 2M",
        aliases=("k_dpmpp_2m", "dpmpp_2m"),
        implementation=MULTISTEP,
        automatic="Karras",
    ),
    SamplerInfo(
        id="DPM++ SDE",
        aliases=("k_dpmpp_sde", "dpmpp_sde"),
        implementation=SINGLESTEP,
        options=SDE,
        second_order=True,
        automatic="Karras",
    ),
    SamplerInfo(
        id="DPM++ 2M SDE",
        aliases=("k_dpmpp_2m_sde", "dpmpp_2m_sde"),
        implementation=MULTISTEP,
        options=SDE,
        automatic="Exponential",
    ),
    SamplerInfo(
        id="DPM++ 2M SDE Heun",
        aliases=("k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun"),
        implementation=MULTISTEP,
        options=SDE | {"solver_type": "heun"},
        automatic="Exponential",
    ),
    SamplerInfo(  # A1111's "2S a" adds noise; this is the paper's own, which does not
        id="DPM++ 2S", aliases=("dpmpp_2s",), implementation=SINGLESTEP, second_order=True, automatic="Karras"
    ),
    SamplerInfo(id="DPM++ 3M", aliases=("dpmpp_3m",), implementation=MULTISTEP, options={"solver_order": 3}, automatic="Karras"),
    SamplerInfo(
        id="DPM++ 3M SDE",
        aliases=("k_dpmpp_3m_sde", "dpmpp_3m_sde"),
        implementation="ThirdOrderSdeScheduler",
        options=SDE | {"solver_order": 3},
        automatic="Exponential",
        discards=True,
    ),
    SamplerInfo(
        id="Euler a", aliases=("k_euler_a", "k_euler_ancestral", "euler_ancestral"), implementation="EulerAncestralDiscreteScheduler"
    ),
    SamplerInfo(id="Euler", aliases=("k_euler",), implementation="EulerDiscreteScheduler"),
    SamplerInfo(id="LMS", aliases=("k_lms",), implementation="LMSDiscreteScheduler"),
    SamplerInfo(id="Heun", aliases=("k_heun",), implementation="HeunDiscreteScheduler", second_order=True),
    SamplerInfo(
        id="DPM2",
        aliases=("k_dpm_2",),
        implementation="KDPM2DiscreteScheduler",
        second_order=True,
        automatic="Karras",
        discards=True,
    ),
    SamplerInfo(
        id="DPM2 a",
        aliases=("k_dpm_2_a",),
        implementation="KDPM2AncestralDiscreteScheduler",
        second_order=True,
        automatic="Karras",
        discards=True,
    ),
    SamplerInfo(  # DDIM with η = 0 is the first-order DPM-Solver (Lu et al. 2022, section 4.1), and so takes any schedule
        id="DDIM", implementation=MULTISTEP, options={"solver_order": 1}, automatic="DDIM"
    ),
    SamplerInfo(
        id="PLMS",
        implementation="PNDMScheduler",
        options={"skip_prk_steps": True, "set_alpha_to_one": True},
        schedules=("Automatic", "DDIM"),
        automatic="DDIM",
    ),
    SamplerInfo(id="UniPC", implementation="UniPCMultistepScheduler", options={"solver_order": 3}),
    SamplerInfo(id="DEIS", implementation="DEISMultistepScheduler", options={"solver_order": 3}),
    SamplerInfo(id="LCM", implementation="LCMScheduler", automatic="SGM Uniform"),
)

ZERO_SNR_SCHEDULE = "SGM Uniform"  # what Automatic means for a checkpoint with zero terminal SNR

# The shortest aliases are what A1111's API adds to a sampler: k_dpmpp_2m_ka.
SCHEDULES: tuple[ScheduleInfo, ...] = (
    ScheduleInfo(id=AUTOMATIC),
    ScheduleInfo(id="Uniform", options={"spacing": "uniform"}),
    ScheduleInfo(id="Karras", aliases=("ka",), options={"spacing": "karras"}),
    ScheduleInfo(id="Exponential", aliases=("exp",), options={"spacing": "exponential"}),
    ScheduleInfo(id="Polyexponential", options={"spacing": "exponential", "rho": 1.0}),
    ScheduleInfo(id="SGM Uniform", aliases=("SGMUniform", "sgm_uniform"), options={"spacing": "trailing"}),
    ScheduleInfo(id="KL Optimal", aliases=("kl_optimal",), options={"spacing": "kl_optimal"}),
    ScheduleInfo(id="Align Your Steps", aliases=("align_your_steps", "AYS"), options={"spacing": "align_your_steps"}),
    ScheduleInfo(id="Simple", options={"spacing": "simple"}),
    ScheduleInfo(id="Normal", options={"spacing": "uniform"}),
    ScheduleInfo(id="DDIM", aliases=("ddim_uniform",), options={"spacing": "leading"}),
    ScheduleInfo(id="Beta", options={"spacing": "beta"}),
)


def resolved(sampler: SamplerInfo, schedule: str, zero_snr: bool) -> str:
    """The schedule that runs: `schedule`, or what Automatic means for this sampler and checkpoint."""
    if schedule != AUTOMATIC:
        return schedule
    if zero_snr and sampler.takes(ZERO_SNR_SCHEDULE):
        return ZERO_SNR_SCHEDULE
    return sampler.automatic
