import subprocess
import sys

import diffusers
import pytest

from webui.core.registry import Registry
from webui.engine import builtin, repaired
from webui.engine.samplers import SAMPLERS, SCHEDULES, resolved

A1111 = ["k_euler", "k_euler_a", "k_euler_ancestral", "k_lms", "k_heun", "k_dpm_2", "k_dpm_2_a", "k_dpmpp_2m", "k_dpmpp_sde"]
A1111 += ["k_dpmpp_2m_sde", "k_dpmpp_3m_sde", "k_dpmpp_2m_ka", "k_dpmpp_2m_sde_exp", "k_dpm_2_ka", "euler", "ddim", "plms", "unipc", "lcm"]
LABELS = ["automatic", "uniform", "karras", "exponential", "polyexponential", "sgm_uniform", "SGMUniform", "kl_optimal"]


def test_rows_have_names_of_their_own_and_a1111s_aliases():
    samplers, schedules = Registry("sampler", SAMPLERS), Registry("schedule", SCHEDULES)
    assert all(name in samplers for name in A1111)
    assert all(name in schedules for name in [*LABELS, "align_your_steps", "simple", "normal", "ddim", "beta"])


@pytest.mark.parametrize("row", SAMPLERS, ids=lambda row: row.id)
def test_rows_name_classes_and_schedules_that_exist(row):
    schedules = Registry("schedule", SCHEDULES)
    assert hasattr(diffusers, row.implementation) or hasattr(repaired, row.implementation)
    assert schedules.find(row.automatic).options
    assert all(name in schedules for name in row.schedules or ())


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
