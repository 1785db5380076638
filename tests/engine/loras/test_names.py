"""Every layout's name of every module leads to it, and no name to two."""

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

from tests.engine import ldm, tiny
from webui.engine.families import sd15
from webui.engine.loras.names import TEXT_ENCODER, UNET, table


def weighted(network):
    return [name for name, module in network.named_modules() if getattr(module, "weight", None) is not None]


@pytest.fixture(scope="module")
def full():
    """The real architecture, without memory."""
    with torch.device("meta"):
        return UNet2DConditionModel(**sd15.UNET)


@pytest.mark.parametrize(
    ("called", "module"),
    [
        (
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
            "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
        ),
        ("lora_unet_mid_block_attentions_0_proj_in", "mid_block.attentions.0.proj_in"),
        ("lora_unet_conv_in", "conv_in"),
        ("lora_unet_time_embedding_linear_1", "time_embedding.linear_1"),
        ("lora_unet_up_blocks_1_upsamplers_0_conv", "up_blocks.1.upsamplers.0.conv"),
        (
            "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0",
            "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0",
        ),
        (
            "unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_out_lora",
            "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
        ),
        ("mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_k_lora", "mid_block.attentions.0.transformer_blocks.0.attn1.to_k"),
        (
            "base_model.model.down_blocks.2.attentions.1.transformer_blocks.0.ff.net.0.proj",
            "down_blocks.2.attentions.1.transformer_blocks.0.ff.net.0.proj",
        ),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v", "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v"),
        ("lora_unet_middle_block_2_in_layers_2", "mid_block.resnets.1.conv1"),
        ("diffusion_model.output_blocks.5.2.conv", "up_blocks.1.upsamplers.0.conv"),
        ("lora_unet_input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"),
    ],
)
def test_a_unets_modules_are_found(full, called, module):
    assert module in weighted(full)
    assert table(weighted(full), UNET)[called] == module


@pytest.mark.parametrize(
    ("called", "module"),
    [
        ("lora_te_text_model_encoder_layers_0_self_attn_q_proj", "encoder.layers.0.self_attn.q_proj"),
        ("lora_te_text_model_encoder_layers_2_mlp_fc1", "encoder.layers.2.mlp.fc1"),
        ("text_encoder.text_model.encoder.layers.1.self_attn.out_proj", "encoder.layers.1.self_attn.out_proj"),
        ("text_encoder.encoder.layers.1.self_attn.out_proj", "encoder.layers.1.self_attn.out_proj"),
        ("text_encoder.text_model.encoder.layers.1.self_attn.to_out_lora", "encoder.layers.1.self_attn.out_proj"),
    ],
)
def test_a_text_encoders_modules_are_found(called, module):
    encoder = tiny.networks()[2]
    assert table(weighted(encoder), TEXT_ENCODER)[called] == module


@pytest.mark.parametrize("architecture", [tiny.UNET, sd15.UNET], ids=["tiny", "full"])
def test_the_original_names_are_those_that_diffusers_reads(architecture):
    """Each module under its original name goes through diffusers' own conversion and comes back where the table says."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**architecture)
    weights = {name: torch.tensor(float(number)) for number, name in enumerate(unet.state_dict())}
    originals = ldm.unet(weights, unet.config)
    back = convert_ldm_unet_checkpoint(originals, unet.config)
    names = table(weighted(unet), UNET)
    for original, value in originals.items():
        called, _, parameter = original.removeprefix("model.").rpartition(".")
        assert back[f"{names[called]}.{parameter}"] == value
        assert names["lora_unet_" + called.removeprefix("diffusion_model.").replace(".", "_")] == names[called]
