"""The walk from noise to a clean latent: one guided network call after another."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from webui.core.errors import Cancelled
from webui.engine.pipeline import Pipeline
from webui.engine.solver import Solver


class Moment(NamedTuple):
    """After a step: its 1-based number, what the finished latents look like from here, and the latents."""

    step: int
    clean: Tensor
    latents: Tensor


class Guide:
    """The network under classifier-free guidance; asks it once for both prompts, or for one where the scale is 1."""

    def __init__(self, pipeline: Pipeline, prompts: tuple[Tensor, Tensor], scale: float, pictures: int) -> None:
        wanted, unwanted = prompts
        self._unet = pipeline.unet
        self._device = pipeline.device
        self._scale = scale
        both = [wanted] if scale == 1 else [unwanted, wanted]
        self._prompts = torch.cat([prompt.expand(pictures, -1, -1) for prompt in both])

    def __call__(self, latents: Tensor, timestep: float) -> Tensor:
        """The network's prediction in fp32, for latents of variance 1."""
        copies = 1 if self._scale == 1 else 2
        batch = torch.cat([latents] * copies).to(self._device.dtype, memory_format=self._device.memory_format)
        when = torch.tensor(timestep, dtype=torch.float32, device=latents.device)
        output: Tensor = self._unet(batch, when, encoder_hidden_states=self._prompts, return_dict=False)[0].float()
        if copies == 1:
            return output
        without, towards = output.chunk(2)
        return without + self._scale * (towards - without)


@torch.inference_mode()
def denoise(
    solver: Solver,
    guide: Guide,
    noise: Tensor,
    sources: Sequence[torch.Generator],
    cancelled: Callable[[], bool],
) -> Iterator[Moment]:
    """Raises `Cancelled` before the next network call."""
    latents = solver.begin(noise)
    for call in solver.calls:
        if cancelled():
            raise Cancelled
        output = guide(solver.input(latents, call), call.timestep)
        clean = solver.estimate(latents, output, call)
        latents = solver.advance(latents, output, call, sources)
        if call.ends:
            yield Moment(call.step, clean, latents)
    if cancelled():
        raise Cancelled
