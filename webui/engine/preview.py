"""What a half-made picture looks like: a linear map from latents to RGB, or a tiny autoencoder where one is installed."""

import io

import torch
from PIL import Image
from torch import Tensor

from webui.core.records import LatentRgb
from webui.engine.latents import to_images
from webui.engine.pipeline import Pipeline

MAX_BYTES = 6000
QUALITIES = (80, 60, 40, 20)
TINY_SIDE = 256  # px, the longer side of a tiny autoencoder's preview

# Fitted on Stable Diffusion 1's latents by many; these are the factors as ComfyUI and others publish them, from −1 … 1 to 0 … 1
STANDARD = LatentRgb(
    weights=((0.1756, 0.1184, 0.0903), (0.1428, 0.1064, 0.1209), (-0.0869, 0.0846, 0.0886), (-0.1142, -0.1225, -0.2397)),
    bias=(0.5, 0.5, 0.5),
)


@torch.inference_mode()
def preview(pipeline: Pipeline, clean: Tensor) -> bytes:
    """A WebP of one picture's x₀ (channels, height, width), at most about `MAX_BYTES`."""
    if pipeline.tiny_vae is not None:
        decoded = pipeline.tiny_vae.decode(clean[None].to(pipeline.device.dtype)).sample
        image = to_images(decoded)[0]
        image.thumbnail((TINY_SIDE, TINY_SIDE))
    else:
        image = linear(clean, pipeline.record.latent_rgb or STANDARD)
    return webp(image)


def linear(clean: Tensor, rgb: LatentRgb) -> Image.Image:
    """One px for each latent."""
    weights = torch.tensor(rgb.weights, device=clean.device)
    bias = torch.tensor(rgb.bias, device=clean.device)
    colours = torch.einsum("chw,cr->hwr", clean.float(), weights) + bias
    return Image.fromarray((colours.nan_to_num(0.5).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())


def webp(image: Image.Image) -> bytes:
    """As good as fits into `MAX_BYTES`."""
    data = b""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=quality, method=1)
        data = buffer.getvalue()
        if len(data) <= MAX_BYTES:
            break
    return data
