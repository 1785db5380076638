"""Tiny random checkpoints of Stable Diffusion 1's architecture, built when a test needs one, in both layouts."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from tests.engine import ldm
from tests.engine.loras import made

EPSILON = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
ZERO_SNR = EPSILON | {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}

UNET = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
    "block_out_channels": [32, 64],
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 32,
    "norm_num_groups": 8,
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [8, 8, 16, 16],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "scaling_factor": 0.18215,
}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.-'!?:()[]_"
WORDS = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "ca", "cat</w>", "do", "dog</w>", "<|startoftext|>", "<|endoftext|>"]
MERGES = ["#version: 0.2", "c a", "ca t</w>", "d o", "do g</w>"]
TEXT_ENCODER = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
    "bos_token_id": len(WORDS) - 2,
    "eos_token_id": len(WORDS) - 1,
}


def networks(seed: int = 0) -> tuple[Any, Any, Any]:
    torch.manual_seed(seed)
    unet, vae, text_encoder = UNet2DConditionModel(**UNET), AutoencoderKL(**VAE), CLIPTextModel(CLIPTextConfig(**TEXT_ENCODER))
    with torch.no_grad():
        for parameter in text_encoder.parameters():  # as transformers makes them, all prompts are nearly alike
            parameter.mul_(5)
    return unet, vae, text_encoder


def write_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(WORDS)}), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(MERGES), encoding="utf-8")
    marks = {"bos_token": WORDS[-2], "eos_token": WORDS[-1], "unk_token": WORDS[-1], "pad_token": WORDS[-1]}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77} | marks
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def write_folder(folder: Path, scheduler: dict[str, Any] = EPSILON, seed: int = 0) -> Path:
    unet, vae, text_encoder = networks(seed)
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    text_encoder.save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler | {"_class_name": "DDIMScheduler"}), encoding="utf-8")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def write_file(path: Path, seed: int = 0) -> Path:
    """The same weights as `write_folder`'s, under the names of the original Stable Diffusion."""
    unet, vae, text_encoder = networks(seed)
    weights = ldm.unet(unet.state_dict(), unet.config) | ldm.vae(vae.state_dict(), len(VAE["block_out_channels"]))
    weights |= ldm.text_encoder(text_encoder.state_dict())
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
    return path


EXTENSION = '''
"""Tiny Stable Diffusion in a single file, for tests."""
from webui.core.geometry import Size
from webui.core.parts import FamilyInfo, HeaderSignature, SamplerInfo
from webui.core.records import CheckpointDefaults
from webui.hooks import hookimpl
from tests.engine import tiny

INFO = FamilyInfo(
    id="tiny", label="Tiny", native=Size(64, 64), tasks=("text_to_image",), pipeline_classes=(),
    signature=(HeaderSignature(key="model.diffusion_model.input_blocks.0.0.weight", shape=(32, 4, 3, 3)),),
    defaults=CheckpointDefaults(width=64, height=64),
)

@hookimpl
def register_families():
    return [INFO]

@hookimpl
def register_samplers():
    return [SamplerInfo(id="Euler by an extension", implementation="EulerDiscreteScheduler")]

def load(record, device):
    from webui.engine import loading
    return loading.from_single_file(record, device, loading.Configs(tiny.UNET, tiny.VAE, tiny.TEXT_ENCODER, tiny.EPSILON))
'''


def write_extras(models: Path) -> None:
    """The LoRA ink for both networks, the embedding inked (two vectors), and the VAE other in both layouts, all for tiny."""
    for name in ("loras", "embeddings", "vae"):
        (models / name).mkdir(parents=True)
    unet, _, text_encoder = networks()
    query, words = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q", "encoder.layers.1.mlp.fc1"
    tensors = made.keys(made.flat("lora_unet_", query), unet.get_submodule(query).weight)
    tensors |= made.keys(made.flat("lora_unet_", "conv_in"), unet.conv_in.weight)
    tensors |= made.keys(made.flat("lora_te_text_model_", words), text_encoder.get_submodule(words).weight)
    made.write(models / "loras" / "ink.safetensors", tensors)
    made.write(models / "embeddings" / "inked.safetensors", {"emb_params": made.noise(2, 32)})
    vae = networks(seed=1)[1]
    made.write(models / "vae" / "other.safetensors", vae.state_dict())
    original = {key.removeprefix("first_stage_model."): value for key, value in ldm.vae(vae.state_dict(), 4).items()}
    made.write(models / "vae" / "other-original.safetensors", original)


def write_models(folder: Path) -> Path:
    """models/ with tiny, tiny-zero (zero terminal SNR) and single (a single file), and extensions/ that knows the last."""
    checkpoints = folder / "models" / "checkpoints"
    write_folder(checkpoints / "tiny")
    write_folder(checkpoints / "tiny-zero", ZERO_SNR)
    write_file(checkpoints / "single.safetensors")
    write_tokenizer(folder / "models" / "clip")
    write_extras(folder / "models")
    (folder / "extensions" / "tiny_family").mkdir(parents=True)
    (folder / "extensions" / "tiny_family" / "__init__.py").write_text(EXTENSION, encoding="utf-8")
    return folder
