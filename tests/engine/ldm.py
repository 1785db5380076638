"""Diffusers' weights under the original Stable Diffusion's names: what a single file holds. For test checkpoints only."""

import re
from typing import Any

from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def unet(weights: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    per = config.layers_per_block + 1
    renamed = {}
    for key, value in weights.items():
        name = key
        for ours, theirs in ENDS.items():
            name = re.sub(rf"^{ours}\.", f"{theirs}.", name)
        if match := re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name):
            name = _block(match, per, config)
        if match := re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name):
            kind, number, rest = match.groups()
            name = f"middle_block.{1 if kind == 'attentions' else 2 * int(number)}.{_inner(kind, rest)}"
        renamed[f"model.diffusion_model.{name}"] = value
    return renamed


def _block(match: re.Match[str], per: int, config: Any) -> str:
    way, block, kind, number, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    side = "input" if way == "down" else "output"
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * per}.0.{rest.replace('conv.', 'op.')}"
    first = 1 + block * per if way == "down" else block * per
    if kind == "upsamplers":
        has_attention = "CrossAttn" in config.up_block_types[block]
        return f"output_blocks.{first + per - 1}.{2 if has_attention else 1}.{rest}"
    return f"{side}_blocks.{first + number}.{1 if kind == 'attentions' else 0}.{_inner(kind, rest)}"


def _inner(kind: str, rest: str) -> str:
    if kind == "attentions":
        return rest
    layer, _, end = rest.partition(".")
    return f"{RESNET[layer]}.{end}"


def vae(weights: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    renamed = {}
    for key, value in weights.items():
        name = key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        name = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", name)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda found: f"up.{blocks - 1 - int(found[1])}.block.{found[2]}", name)
        name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda found: f"up.{blocks - 1 - int(found[1])}.upsample", name)
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
        name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
        for ours, theirs in (("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            name = name.replace(f"attn_1.{ours}", f"attn_1.{theirs}")
        if "attn_1" in name and value.ndim == 2:
            value = value[:, :, None, None]  # 1 × 1 convolutions there
        renamed[f"first_stage_model.{name}"] = value
    return renamed


def text_encoder(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"cond_stage_model.transformer.text_model.{key}": value for key, value in weights.items()}
