"""A checkpoint of Stable Diffusion 1.5's size with random weights, for measuring speed where no real one can be had."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

NAME = "random-sd15"


class Sizes(NamedTuple):
    """What the three networks are made with."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]


# The figures of runwayml/stable-diffusion-v1-5's config.json files; Rombach et al., arXiv 2112.10752.
SD15 = Sizes(
    unet={
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    vae={
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 512,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "scaling_factor": 0.18215,
    },
    text={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "vocab_size": 49408},
)
SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "steps_offset": 1}


def build(models: Path, tokenizer: Path, sizes: Sizes = SD15) -> Path:
    """Write it in bf16 (2.1 GB at SD 1.5's size) below `models`, with the tokenizer of another checkpoint."""
    folder = models / "checkpoints" / NAME
    torch.manual_seed(0)
    UNet2DConditionModel(**sizes.unet).to(torch.bfloat16).save_pretrained(folder / "unet")
    AutoencoderKL(**sizes.vae).to(torch.bfloat16).save_pretrained(folder / "vae")
    CLIPTextModel(CLIPTextConfig(**sizes.text)).to(torch.bfloat16).save_pretrained(folder / "text_encoder")
    DPMSolverMultistepScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    shutil.copytree(tokenizer, folder / "tokenizer")
    parts = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }
    index = {"_class_name": "StableDiffusionPipeline", "requires_safety_checker": False} | parts
    (folder / "model_index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")
    return folder
