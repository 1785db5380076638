"""diffusers schedulers with something put right; found by name before diffusers' own."""

from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor


class ThirdOrderSdeScheduler(DPMSolverMultistepScheduler):  # type: ignore[misc]  # diffusers is untyped
    """SDE-DPM-Solver++ of order 3.

    diffusers 0.42 has −½ where φ₃ needs +½ (its term then does not vanish as the step does), so a whole α·D₂ is missing.
    φ₃ after k-diffusion's `sample_dpmpp_3m_sde`: ((e^−2h − 1)/2h + 1)/2h − ½, entering with a minus sign.
    """

    def multistep_dpm_solver_third_order_update(self, model_output_list: list[Tensor], *args: Any, **kwargs: Any) -> Tensor:
        flawed: Tensor = super().multistep_dpm_solver_third_order_update(model_output_list, *args, **kwargs)
        here = int(self.step_index)
        scales = [self._sigma_to_alpha_sigma_t(self.sigmas[index]) for index in range(here - 2, here + 2)]
        older, old, now, goal = (torch.log(alpha) - torch.log(sigma) for alpha, sigma in scales)
        h = goal - now
        r0, r1 = (now - old) / h, (old - older) / h
        m0, m1, m2 = model_output_list[-1], model_output_list[-2], model_output_list[-3]
        curvature = ((m0 - m1) / r0 - (m1 - m2) / r1) / (r0 + r1)
        repaired: Tensor = flawed + scales[-1][0] * curvature
        return repaired


class _QuickTimesteps:
    """The timestep of σ by one interpolation: diffusers' own takes a second in all, for the 1000 levels that it makes first."""

    def _sigma_to_t(self, sigma: Any, log_sigmas: Any) -> Any:
        known = np.asarray(log_sigmas)
        return np.interp(np.log(max(float(sigma), 1e-10)), known, np.arange(len(known)))


class HeunDiscreteScheduler(_QuickTimesteps, diffusers.HeunDiscreteScheduler):  # type: ignore[misc]  # diffusers is untyped
    pass


class KDPM2DiscreteScheduler(_QuickTimesteps, diffusers.KDPM2DiscreteScheduler):  # type: ignore[misc]  # diffusers is untyped
    pass


class KDPM2AncestralDiscreteScheduler(_QuickTimesteps, diffusers.KDPM2AncestralDiscreteScheduler):  # type: ignore[misc]  # diffusers is untyped
    pass
