"""Stable Diffusion 1.x, as a diffusers folder or as one file of weights."""

from typing import TYPE_CHECKING

from webui.core.geometry import Size
from webui.core.parts import FamilyInfo, HeaderSignature
from webui.core.records import CheckpointDefaults, ModelRecord

if TYPE_CHECKING:
    from webui.engine.device import Device
    from webui.engine.pipeline import Pipeline

INFO = FamilyInfo(
    id="sd15",
    label="Stable Diffusion 1.x",
    native=Size(512, 512),
    tasks=("text_to_image",),
    pipeline_classes=("StableDiffusionPipeline",),
    signature=(
        HeaderSignature(key="model.diffusion_model.input_blocks.0.0.weight", shape=(320, 4, 3, 3)),
        HeaderSignature(key="model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight", shape=(320, 768)),
    ),
    defaults=CheckpointDefaults(width=512, height=512, steps=20, guidance=7.0, sampler="DPM++ 2M", schedule="Karras"),
)

SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
UNET = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
}
VAE = {
    "sample_size": 512,
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "scaling_factor": 0.18215,
}
TEXT_ENCODER = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "projection_dim": 768,
}


def load(record: ModelRecord, device: "Device") -> "Pipeline":
    """Raises `LoadFailed` naming the file and what to do."""
    from webui.engine import loading  # torch comes with it, and the page's process reads INFO without

    if record.layout == "diffusers":
        return loading.from_folder(record, device)
    return loading.from_single_file(record, device, loading.Configs(UNET, VAE, TEXT_ENCODER, SCHEDULER))
