"""Attention in tiles for CPUs: per head, rows of queries against all keys, so that scores stay in the cache."""

from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

TILE = 256  # rows of queries: 256 to 768 are alike on a quiet machine, and the small ones keep their lead on a busy one
LEAST = 128  # keys: below it, as against a prompt's 77, the loop costs more than it saves


def tiled(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q·kᵀ/√d)·v in the precision given. Shapes: batch, heads, tokens, size of a head."""
    result = torch.empty_like(query)
    scaled = query * query.shape[-1] ** -0.5
    for item in range(query.shape[0]):
        for head in range(query.shape[1]):
            keys, values = key[item, head].t(), value[item, head]
            for rows, out in zip(torch.split(scaled[item, head], TILE), torch.split(result[item, head], TILE), strict=True):
                torch.mm(torch.softmax(torch.mm(rows, keys), -1), values, out=out)
    return result


class TiledAttention:
    """A diffusers attention processor for networks of Stable Diffusion's kind, in place of `AttnProcessor2_0`."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        residual, shape = hidden_states, hidden_states.shape
        if attn.spatial_norm is not None:
            hidden_states = attn.spatial_norm(hidden_states, temb)
        if len(shape) == 4:
            hidden_states = hidden_states.flatten(2).transpose(1, 2)
        if attn.group_norm is not None:
            hidden_states = attn.group_norm(hidden_states.transpose(1, 2)).transpose(1, 2)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and attn.norm_cross:
            context = attn.norm_encoder_hidden_states(context)
        query, key, value = (
            part.view(*part.shape[:2], attn.heads, -1).transpose(1, 2).contiguous()
            for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        if attention_mask is None and key.shape[2] >= LEAST:
            mixed = tiled(query, key, value)
        else:
            mask = None if attention_mask is None else attention_mask.view(len(query), attn.heads, *attention_mask.shape[1:])
            mixed = scaled_dot_product_attention(query, key, value, mask)
        out: Tensor = attn.to_out[1](attn.to_out[0](mixed.transpose(1, 2).flatten(2)))
        if len(shape) == 4:
            out = out.transpose(1, 2).reshape(shape)
        if attn.residual_connection:
            out = out + residual
        return out / float(attn.rescale_output_factor)
