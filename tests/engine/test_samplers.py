import subprocess
import sys

import diffusers
import pytest

from webui.core.registry import Registry
from webui.core.sampling import fitting, split
from webui.engine import builtin, repaired
from webui.engine.samplers import SAMPLERS, SCHEDULES, resolved

A1111 = ["k_euler", "k_euler_a", "k_euler_ancestral", "k_lms", "k_heun", "k_dpm_2", "k_dpm_2_a", "k_dpmpp_2m", "k_dpmpp_sde"]
A1111 += ["k_dpmpp_2m_sde", "k_dpmpp_2m_sde_heun", "k_dpmpp_3m_sde", "euler", "ddim", "plms", "unipc", "lcm"]
JOINED = {
    "DPM++ 2M Karras": ("DPM++ 2M", "Karras"),
    "DPM++ SDE Karras": ("DPM++ SDE", "Karras"),
    "DPM++ 2M SDE Karras": ("DPM++ 2M SDE", "Karras"),
    "DPM++ 2M SDE Exponential": ("DPM++ 2M SDE", "Exponential"),
    "DPM++ 2M SDE Heun Karras": ("DPM++ 2M SDE Heun", "Karras"),
    "DPM++ 2M SDE Heun Exponential": ("DPM++ 2M SDE Heun", "Exponential"),
    "DPM++ 3M SDE Karras": ("DPM++ 3M SDE", "Karras"),
    "DPM++ 3M SDE Exponential": ("DPM++ 3M SDE", "Exponential"),
    "LMS Karras": ("LMS", "Karras"),
    "DPM2 Karras": ("DPM2", "Karras"),
    "dpm2 a karras": ("DPM2 a", "Karras"),
    "Euler SGM Uniform": ("Euler", "SGM Uniform"),
    "k_dpmpp_2m_ka": ("DPM++ 2M", "Karras"),
    "k_dpmpp_sde_ka": ("DPM++ SDE", "Karras"),
    "k_dpmpp_2m_sde_ka": ("DPM++ 2M SDE", "Karras"),
    "k_dpmpp_2m_sde_exp": ("DPM++ 2M SDE", "Exponential"),
    "k_dpmpp_2m_sde_heun_ka": ("DPM++ 2M SDE Heun", "Karras"),
    "k_dpmpp_2m_sde_heun_exp": ("DPM++ 2M SDE Heun", "Exponential"),
    "k_dpmpp_3m_sde_ka": ("DPM++ 3M SDE", "Karras"),
    "k_dpmpp_3m_sde_exp": ("DPM++ 3M SDE", "Exponential"),
    "k_lms_ka": ("LMS", "Karras"),
    "k_dpm_2_ka": ("DPM2", "Karras"),
    "k_dpm_2_a_ka": ("DPM2 a", "Karras"),
}
LABELS = ["automatic", "uniform", "karras", "exponential", "polyexponential", "sgm_uniform", "SGMUniform", "kl_optimal"]


def test_rows_have_names_of_their_own_and_a1111s_aliases():
    samplers, schedules = Registry("sampler", SAMPLERS), Registry("schedule", SCHEDULES)
    assert all(name in samplers for name in A1111)
    assert all(name in schedules for name in [*LABELS, "align_your_steps", "simple", "normal", "ddim", "beta"])


@pytest.mark.parametrize(("name", "meant"), JOINED.items())
def test_a1111s_joined_names_keep_their_schedule(name, meant):
    samplers, schedules = Registry("sampler", SAMPLERS), Registry("schedule", SCHEDULES)
    assert name not in samplers, "an alias would lose it"
    sampler, schedule = split(name, samplers, schedules)
    assert (samplers.find(sampler).id, schedule) == meant


@pytest.mark.parametrize("name", [*A1111, "DPM++ 2M SDE", "Euler a", "DDIM", "Magic Karras", "Karras", "_ka", ""])
def test_names_that_join_nothing_stay_as_they_are(name):
    assert split(name, Registry("sampler", SAMPLERS), Registry("schedule", SCHEDULES)) == (name, None)


def test_a_schedule_that_does_not_fit_becomes_automatic():
    rows = {row.id: row for row in SAMPLERS}
    assert fitting(rows["PLMS"], "Uniform") == "Automatic"
    assert fitting(rows["PLMS"], "DDIM") == "DDIM"
    assert fitting(rows["Euler"], "Uniform") == "Uniform"
    assert fitting(rows["PLMS"].model_copy(update={"schedules": ("DDIM",)}), "Uniform") == "DDIM"


def test_a1111s_three_samplers_leave_the_last_level_out():
    """And work with every schedule, as there."""
    assert [row.id for row in SAMPLERS if row.discards] == ["DPM++ 3M SDE", "DPM2", "DPM2 a"]
    assert [row.id for row in SAMPLERS if row.schedules is not None] == ["PLMS"]


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.id)
def test_rows_name_classes_and_schedules_that_exist(row):
    schedules = Registry("schedule", SCHEDULES)
    assert hasattr(diffusers, row.implementation) or hasattr(repaired, row.implementation)
    assert schedules.find(row.automatic).options
    assert all(name in schedules for name in row.schedules or ())
    assert row.takes(row.automatic), "what ran is what a picture says, and is asked for again"


def test_automatic_is_the_samplers_own_schedule_but_trailing_for_zero_snr():
    rows = {row.id: row for row in SAMPLERS}
    assert resolved(rows["DPM++ 2M"], "Automatic", zero_snr=False) == "Karras"
    assert resolved(rows["DPM++ 2M SDE"], "Automatic", zero_snr=False) == "Exponential"
    assert resolved(rows["Euler"], "Automatic", zero_snr=False) == "Uniform"
    assert resolved(rows["Euler"], "Automatic", zero_snr=True) == "SGM Uniform"
    assert resolved(rows["PLMS"], "Automatic", zero_snr=True) == "DDIM"
    assert resolved(rows["Euler"], "Beta", zero_snr=True) == "Beta"


def test_built_ins_register_through_hooks():
    assert builtin.register_samplers() == SAMPLERS
    assert builtin.register_schedules() == SCHEDULES
    assert [family.id for family in builtin.register_families()] == ["sd15"]


def test_tables_and_process_need_no_torch():
    code = (
        "import sys, webui.engine.builtin, webui.engine.process, webui.engine.fake, webui.engine.manager, webui.engine.factory;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
