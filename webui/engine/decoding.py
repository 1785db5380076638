"""From a clean latent to a picture; a decode that overflows is done once more in fp32."""

import logging

import torch
from PIL import Image
from torch import Tensor

from webui.core.errors import NoPicture
from webui.engine.latents import to_images
from webui.engine.pipeline import Pipeline

_log = logging.getLogger(__name__)


def decode(pipeline: Pipeline, latents: Tensor) -> tuple[Image.Image, dict[str, str]]:
    """One picture (latents of shape 1, channels, height, width), and the fact of a retry if there was one.

    Raises `NoPicture` when even fp32 gives no numbers: the latents themselves have none.
    """
    dtype = pipeline.device.dtype
    pixels = _decoded(pipeline, latents, dtype)
    facts: dict[str, str] = {}
    if not torch.isfinite(pixels).all() and dtype != torch.float32:
        _log.warning("The autoencoder of %s overflowed in %s; decoding in fp32", pipeline.record.label, pipeline.device.precision)
        facts["Retry"] = f"decoded in fp32, since {pipeline.device.precision} overflowed"
        pipeline.vae.to(torch.float32)
        try:
            pixels = _decoded(pipeline, latents, torch.float32)
        finally:
            pipeline.vae.to(dtype)
    if not torch.isfinite(pixels).all():
        raise NoPicture(
            f"“{pipeline.record.label}” came out as no picture at all (not a number). "
            "Its weights may be damaged, or these settings too extreme: try another sampler or a lower guidance."
        )
    return to_images(pixels)[0], facts


@torch.inference_mode()
def _decoded(pipeline: Pipeline, latents: Tensor, dtype: torch.dtype) -> Tensor:
    scaled = (latents.float() / pipeline.scaling).to(dtype, memory_format=pipeline.device.memory_format)
    pixels: Tensor = pipeline.vae.decode(scaled, return_dict=False)[0]
    return pixels
