import numpy as np
import pytest

from webui.engine.samplers import SCHEDULES
from webui.engine.schedules import ENDLESS, SPACINGS, levels, noise_of

SD1 = noise_of({})
ZERO = noise_of({"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"})

# A1111 1.10's, scaled-linear β .00085 → .012; KL Optimal's own last value is σmin, a residue of noise, which ends at 0 here
VECTORS = {
    "Uniform": (14.6146, 7.8399, 4.6092, 2.9183, 1.9502, 1.3449, 0.9324, 0.6250, 0.3687, 0.0292, 0),
    "Normal": (14.6146, 7.8399, 4.6092, 2.9183, 1.9502, 1.3449, 0.9324, 0.6250, 0.3687, 0.0292, 0),
    "Karras": (14.6146, 9.1029, 5.4784, 3.1686, 1.7494, 0.9141, 0.4469, 0.2014, 0.0819, 0.0292, 0),
    "Exponential": (14.6146, 7.3249, 3.6712, 1.8400, 0.9222, 0.4622, 0.2317, 0.1161, 0.0582, 0.0292, 0),
    "Polyexponential": (14.6146, 7.3249, 3.6712, 1.8400, 0.9222, 0.4622, 0.2317, 0.1161, 0.0582, 0.0292, 0),
    "SGM Uniform": (14.6146, 8.3072, 5.0924, 3.3251, 2.2797, 1.6156, 1.1629, 0.8319, 0.5712, 0.3437, 0),
    "KL Optimal": (14.6146, 4.5650, 2.6329, 1.7864, 1.2948, 0.9616, 0.7116, 0.5094, 0.3356, 0.1783, 0),
    "Align Your Steps": (14.615, 6.1135, 3.5651, 2.3939, 1.6500, 1.1358, 0.7425, 0.4450, 0.1692, 0.0290, 0),
    "Simple": (14.6146, 8.3028, 5.0878, 3.3211, 2.2765, 1.6129, 1.1606, 0.8299, 0.5693, 0.3417, 0),
    "DDIM": (8.3907, 5.1344, 3.3478, 2.2929, 1.6237, 1.1682, 0.8357, 0.5741, 0.3462, 0.0413, 0),
    "Beta": (14.6146, 13.9278, 12.4910, 10.5976, 8.4424, 6.2014, 4.0462, 2.1528, 0.7160, 0.0292, 0),
}
SHORT = {
    "Karras": (14.6146, 3.1686, 0.4469, 0.0292, 0),
    "SGM Uniform": (14.6146, 4.0861, 1.6156, 0.6951, 0),
    "Simple": (14.6146, 4.0817, 1.6129, 0.6932, 0),
    "Exponential": (14.6146, 1.8400, 0.2317, 0.0292, 0),
}
OPTIONS = {row.id: row.options for row in SCHEDULES if row.options}


@pytest.mark.parametrize("schedule", OPTIONS)
def test_ten_steps_are_those_of_a1111(schedule):
    assert levels(OPTIONS[schedule], SD1, 10) == pytest.approx(VECTORS[schedule], abs=6e-5)


@pytest.mark.parametrize("schedule", SHORT)
def test_four_steps_are_those_of_a1111(schedule):
    assert levels(OPTIONS[schedule], SD1, 4) == pytest.approx(SHORT[schedule], abs=6e-5)


@pytest.mark.parametrize("schedule", OPTIONS)
def test_a_discarded_level_is_the_last_above_zero_of_one_step_more(schedule):
    for steps in (1, 2, 9):
        more = levels(OPTIONS[schedule], SD1, steps + 1)
        path = levels(OPTIONS[schedule], SD1, steps, discards=True)
        assert path.tolist() == [*more[:-2], 0]
    assert levels(OPTIONS[schedule], SD1, 9, discards=True) == pytest.approx((*VECTORS[schedule][:-2], 0), abs=6e-5)


@pytest.mark.parametrize("noise", [SD1, ZERO], ids=["SD 1", "zero SNR"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_levels_fall_to_zero_whatever_the_number_of_steps(spacing, noise):
    for steps in range(1, 151):
        path = levels({"spacing": spacing}, noise, steps)
        assert len(path) == steps + 1
        assert path[-1] == 0
        assert (np.diff(path) < 0).all(), (steps, path)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_zero_snr_begins_at_noise_alone_and_spends_its_steps_below(spacing):
    path = levels({"spacing": spacing}, ZERO, 20)
    assert path[0] == ZERO.largest > ENDLESS
    assert path[1] <= 51
    assert sum(sigma < 1 for sigma in path) >= 3


def test_noise_of_stable_diffusion_1():
    assert SD1.smallest == pytest.approx(0.029167, abs=1e-6)
    assert SD1.largest == pytest.approx(14.614641, abs=1e-6)
    assert ZERO.largest == pytest.approx(4096, rel=1e-3)


def test_noise_agrees_with_diffusers():
    import torch
    from diffusers import DDIMScheduler

    for config in ({"rescale_betas_zero_snr": True}, {}, {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}):
        full = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"} | config
        theirs = DDIMScheduler(**full).alphas_cumprod[:-1].double()
        ours = 1 / (1 + noise_of(full).sigmas[:-1] ** 2)
        assert torch.allclose(theirs, torch.from_numpy(ours), atol=1e-5)


def test_timesteps_and_levels_are_each_others_inverse():
    for noise in (SD1, ZERO):
        timesteps = np.linspace(0, 999, 77)
        assert noise.timestep(noise.sigma(timesteps)) == pytest.approx(timesteps, abs=1e-6)
        assert noise.timestep(1e-9) == 0


def test_betas_give_the_noise_back():
    for noise in (SD1, ZERO):
        assert noise_of({"trained_betas": noise.betas()}).sigmas == pytest.approx(noise.sigmas, rel=1e-4)
