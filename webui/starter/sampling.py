"""A short sampling loop for evaluation: DDIM with guidance, on the checkpoint's own schedule."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from webui.starter.checkpoint import Parts
from webui.starter.data import Bytes, Size
from webui.starter.tokens import encode


@torch.inference_mode()
def paint(parts: Parts, prompts: Sequence[str], seeds: Sequence[int], size: Size, steps: int, guidance: float) -> Bytes:
    """Pictures for prompts, n × h × w × 3; each depends on its own seed alone."""
    shape = (4, size[1] // 8, size[0] // 8)
    codes = torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    tokens = torch.tensor(encode(parts.tokenizer, [*prompts, *[""] * len(prompts)]))
    words = parts.encoder(tokens).last_hidden_state.to(parts.unet.dtype)
    parts.scheduler.set_timesteps(steps)
    for time in parts.scheduler.timesteps:
        both = torch.cat([codes, codes]).to(parts.unet.dtype).contiguous(memory_format=torch.channels_last)
        asked, free = parts.unet(both, time, words).sample.float().chunk(2)
        codes = parts.scheduler.step(free + guidance * (asked - free), time, codes).prev_sample
    return decode(parts, codes)


@torch.inference_mode()
def decode(parts: Parts, codes: Tensor) -> Bytes:
    """Scaled codes to bytes, n × h × w × 3."""
    scale = float(parts.vae.config.scaling_factor)
    pictures = [parts.vae.decode((code[None] / scale).to(parts.vae.dtype)).sample for code in codes]
    shown = torch.cat(pictures).float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    found: Bytes = np.ascontiguousarray(shown.permute(0, 2, 3, 1).numpy())
    return found
