"""`Pipeline`: the components of a checkpoint in memory, ready to run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from webui.core.records import ModelRecord
from webui.engine.conditioning import Conditioner
from webui.engine.device import Device
from webui.engine.loras.merging import Loras
from webui.engine.schedules import Noise


@dataclass(slots=True, eq=False, weakref_slot=True)
class Pipeline:
    """A latent is 8 × 8 px; the autoencoder's own latents are `scaling` times smaller than those that are denoised."""

    record: ModelRecord
    device: Device
    unet: Any
    vae: Any
    text_encoder: Any
    conditioner: Conditioner
    noise: Noise
    scaling: float
    loras: Loras  # what is merged into the networks' weights
    tiny_vae: Any = None  # an AutoencoderTiny for previews, where one is installed

    @property
    def channels(self) -> int:
        """Of a latent."""
        return int(self.unet.config.in_channels)

    @property
    def networks(self) -> Iterable[nn.Module]:
        return [network for network in (self.unet, self.vae, self.text_encoder, self.tiny_vae) if network is not None]

    @property
    def bytes(self) -> int:
        """What the weights take, and the originals of those that LoRAs are merged into."""
        return self.loras.bytes + sum(
            tensor.numel() * tensor.element_size()
            for network in self.networks
            for tensors in (network.parameters(), network.buffers())
            for tensor in tensors
        )
