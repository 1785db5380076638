"""Weight files of every kind and layout, as tensor names and shapes; real shapes, as the bodies are holes that take no room."""

from collections.abc import Mapping
from typing import NamedTuple

Shapes = Mapping[str, tuple[int, ...]]
SD_BLOCK = "down_blocks_0_attentions_0_transformer_blocks_0"
SD_DOTS = "down_blocks.0.attentions.0.transformer_blocks.0"
SGM_BLOCK = "input_blocks_4_1_transformer_blocks_1"
UNET = "model.diffusion_model."


class Animal(NamedTuple):
    """A file, and what is to be said of it. `metadata` is what a trainer wrote."""

    shapes: Shapes
    kind: str | None
    variant: str
    fits: tuple[str, ...]
    metadata: Mapping[str, str] = {}


def lora(module: str, into: int, out: int = 320, rank: int = 8) -> Shapes:
    return {f"{module}.alpha": (), f"{module}.lora_down.weight": (rank, into), f"{module}.lora_up.weight": (out, rank)}


def kohya(width: int, block: str = SD_BLOCK) -> Shapes:
    return {**lora(f"lora_unet_{block}_attn2_to_k", width), **lora(f"lora_unet_{block}_attn1_to_q", 320)}


def peft(module: str, into: int, out: int = 320, rank: int = 4) -> Shapes:
    return {f"{module}.lora_A.weight": (rank, into), f"{module}.lora_B.weight": (out, rank)}


def checkpoint(width: int, channels: int = 4, extra: Shapes | None = None) -> Shapes:
    return {
        f"{UNET}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{UNET}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, width),
        f"{UNET}output_blocks.0.0.in_layers.0.weight": (320,),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
        "first_stage_model.decoder.up.0.block.0.conv1.weight": (128, 128, 3, 3),
        **(extra or {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (49408, 768)}),
    }


def unet(width: int, prefix: str = "") -> Shapes:
    return {key.replace(UNET, prefix): shape for key, shape in checkpoint(width).items() if key.startswith(UNET)}


def control(width: int, prefix: str = "control_model.") -> Shapes:
    return {
        f"{prefix}input_blocks.0.0.weight": (320, 4, 3, 3),
        f"{prefix}input_hint_block.0.weight": (16, 3, 3, 3),
        f"{prefix}zero_convs.0.0.weight": (320, 320, 1, 1),
        f"{prefix}input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, width),
    }


def diffusers_control(width: int) -> Shapes:
    return {
        "conv_in.weight": (320, 4, 3, 3),
        "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
        "controlnet_down_blocks.0.weight": (320, 320, 1, 1),
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, width),
        "time_embedding.linear_1.weight": (1280, 320),
    }


def vae(channels: int, up: str = "up.0.block.0") -> Shapes:
    return {
        "decoder.conv_in.weight": (512, channels, 3, 3),
        f"decoder.{up}.conv1.weight": (128, 256, 3, 3),
        "encoder.conv_in.weight": (128, 3, 3, 3),
        "encoder.down.0.block.0.norm1.weight": (128,),
    }


def swinir(**more: tuple[int, ...]) -> Shapes:
    block = "layers.0.residual_group.blocks.0."
    return {
        "conv_first.weight": (180, 3, 3, 3),
        f"{block}norm1.weight": (180,),
        f"{block}mlp.fc1.bias": (360,),
        **{block + name.replace("__", "."): shape for name, shape in more.items()},
    }


FLUX = {
    "img_in.weight": (3072, 64),
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "double_blocks.0.img_attn.proj.weight": (3072, 3072),
    "guidance_in.in_layer.bias": (3072,),
}
SD3 = {"joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,), "pos_embed": (1, 36864, 1536)}
K = f"lora_unet_{SD_BLOCK}_attn2_to_k"
TE = "text_model_encoder_layers_0_self_attn_q_proj"
TE_DOTS = "text_model.encoder.layers.0.self_attn.q_proj"
ANY_SD = ("sd15", "sd21", "sdxl")

ZOO: dict[str, Animal] = {
    # checkpoints, of which only the kind is told here: their family is who can load them
    "checkpoint sd15": Animal(checkpoint(768), "checkpoint", "single file", ("sd15",)),
    "checkpoint sd21": Animal(checkpoint(1024), "checkpoint", "single file", ("sd21",)),
    "checkpoint sdxl": Animal(
        checkpoint(2048, extra={"conditioner.embedders.1.model.ln_final.weight": (1280,), f"{UNET}label_emb.0.0.weight": (1280, 2816)}),
        "checkpoint",
        "single file",
        ("sdxl",),
    ),
    "checkpoint flux": Animal(
        {UNET + key: shape for key, shape in FLUX.items()} | {"vae.decoder.conv_in.weight": (512, 16, 3, 3)},
        "checkpoint",
        "single file",
        ("flux",),
    ),
    "checkpoint sd3": Animal(
        {UNET + key: shape for key, shape in SD3.items()} | {"text_encoders.clip_l.x": (1,)}, "checkpoint", "single file", ("sd3",)
    ),
    # denoisers
    "unet": Animal(unet(768), "denoiser", "unet", ("sd15",)),
    "unet with its prefix": Animal(unet(2048, UNET), "denoiser", "unet", ("sdxl",)),
    "diffusers unet": Animal(
        {
            "conv_in.weight": (320, 4, 3, 3),
            "time_embedding.linear_1.weight": (1280, 320),
            "up_blocks.0.resnets.0.conv1.weight": (8, 8, 3, 3),
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 1024),
        },
        "denoiser",
        "diffusers unet",
        ("sd21",),
    ),
    "flux": Animal(FLUX, "denoiser", "transformer", ("flux",)),
    "sd3": Animal(SD3, "denoiser", "transformer", ("sd3",)),
    "diffusers flux": Animal(
        {
            "transformer_blocks.0.attn.add_k_proj.weight": (3072, 3072),
            "x_embedder.weight": (3072, 64),
            "single_transformer_blocks.0.attn.to_q.weight": (3072, 3072),
        },
        "denoiser",
        "diffusers transformer",
        ("flux",),
    ),
    "chroma": Animal(FLUX | {"distilled_guidance_layer.in_proj.bias": (5120,)}, "denoiser", "transformer", ()),
    # LoRA, kohya's layout
    "kohya sd15": Animal(kohya(768), "lora", "kohya", ("sd15",)),
    "kohya sd21": Animal(kohya(1024), "lora", "kohya", ("sd21",)),
    "kohya sdxl": Animal(kohya(2048, SGM_BLOCK), "lora", "kohya", ("sdxl",)),
    "kohya sdxl without cross-attention": Animal(lora(f"lora_unet_{SGM_BLOCK}_attn1_to_q", 640), "lora", "kohya", ("sdxl",)),
    "kohya sdxl in diffusers' names": Animal(kohya(2048, "down_blocks_1_attentions_0_transformer_blocks_1"), "lora", "kohya", ("sdxl",)),
    "kohya flux": Animal(
        {**lora("lora_unet_double_blocks_0_img_attn_proj", 3072), **lora("lora_unet_double_blocks_0_img_mlp_0", 3072)},
        "lora",
        "kohya",
        ("flux",),
    ),
    "kohya sd3": Animal(lora("lora_unet_joint_blocks_0_x_block_attn_qkv", 1536), "lora", "kohya", ("sd3",)),
    "kohya text encoder": Animal(lora(f"lora_te_{TE}", 768, 768), "lora", "kohya", ("sd15",)),
    "kohya text encoder sd21": Animal(lora(f"lora_te_{TE}", 1024, 1024), "lora", "kohya", ("sd21",)),
    "kohya two text encoders": Animal(
        {**lora(f"lora_te1_{TE}", 768, 768), **lora(f"lora_te2_{TE}", 1280, 1280)}, "lora", "kohya", ("sdxl", "sd3")
    ),
    "kohya two text encoders with a word on it": Animal(
        {**lora(f"lora_te1_{TE}", 768, 768), **lora(f"lora_te2_{TE}", 1280, 1280)},
        "lora",
        "kohya",
        ("sdxl",),
        {"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"},
    ),
    "kohya locon": Animal(
        {
            **kohya(768),
            f"{K}x.lora_down.weight": (4, 320, 3, 3),
            f"{K}x.lora_mid.weight": (4, 4, 3, 3),
            f"{K}x.lora_up.weight": (320, 4, 1, 1),
        },
        "lora",
        "kohya",
        ("sd15",),
    ),
    "dora": Animal({**kohya(768), f"{K}.dora_scale": (1, 768)}, "lora", "kohya", ("sd15",)),
    "dylora": Animal(kohya(768), "lora", "DyLoRA", ("sd15",), {"ss_network_module": "networks.dylora"}),
    "dylora of lycoris": Animal(kohya(768), "lora", "DyLoRA", ("sd15",), {"ss_network_args": '{"algo": "dylora"}'}),
    # LoRA, diffusers' layouts
    "peft sd15": Animal(
        {**peft(f"unet.{SD_DOTS}.attn2.to_k", 768), **peft(f"text_encoder.{TE_DOTS}", 768, 768)}, "lora", "peft", ("sd15",)
    ),
    "peft plain": Animal(peft(f"base_model.model.{SD_DOTS}.attn2.to_k", 1024), "lora", "peft", ("sd21",)),
    "peft sdxl": Animal(
        {**peft(f"unet.{SD_DOTS}.attn2.to_k", 2048), **peft(f"text_encoder_2.{TE_DOTS}", 1280, 1280)}, "lora", "peft", ("sdxl",)
    ),
    "peft flux": Animal(
        {
            **peft("transformer.single_transformer_blocks.0.attn.to_q", 3072),
            **peft("transformer.transformer_blocks.0.attn.add_k_proj", 3072),
        },
        "lora",
        "peft",
        ("flux",),
    ),
    "peft sd3": Animal(peft("transformer.transformer_blocks.0.attn.add_k_proj", 1536), "lora", "peft", ("sd3",)),
    "peft flux in its own names": Animal(peft("diffusion_model.double_blocks.0.img_mlp.0", 3072), "lora", "peft", ("flux",)),
    "peft dora": Animal(
        {**peft(f"unet.{SD_DOTS}.attn2.to_k", 768), f"unet.{SD_DOTS}.attn2.to_k.lora_magnitude_vector": (320,)}, "lora", "peft", ("sd15",)
    ),
    "diffusers, oldest": Animal(
        {f"{SD_DOTS}.attn2.processor.to_k_lora.down.weight": (4, 768), f"{SD_DOTS}.attn2.processor.to_k_lora.up.weight": (320, 4)},
        "lora",
        "diffusers",
        ("sd15",),
    ),
    "diffusers, old": Animal(
        {f"unet.{SD_DOTS}.attn2.to_k.lora.down.weight": (4, 768), f"unet.{SD_DOTS}.attn2.to_k.lora.up.weight": (320, 4)},
        "lora",
        "diffusers",
        ("sd15",),
    ),
    "diffusers text encoder alone": Animal(
        {
            f"text_encoder.{TE_DOTS}.lora_linear_layer.down.weight": (4, 768),
            f"text_encoder.{TE_DOTS}.lora_linear_layer.up.weight": (768, 4),
        },
        "lora",
        "diffusers",
        ("sd15", "sdxl", "sd3", "flux"),
    ),
    "xlabs flux": Animal(
        {"double_blocks.0.processor.qkv_lora1.down.weight": (16, 3072), "double_blocks.0.processor.qkv_lora1.up.weight": (9216, 16)},
        "lora",
        "diffusers",
        ("flux",),
    ),
    # LyCORIS
    "loha": Animal(
        {f"{K}.hada_w1_a": (320, 8), f"{K}.hada_w1_b": (8, 768), f"{K}.hada_w2_a": (320, 8), f"{K}.hada_w2_b": (8, 768), f"{K}.alpha": ()},
        "lora",
        "LoHa",
        ("sd15",),
    ),
    "loha with a core": Animal(
        {
            f"{K}.hada_t1": (8, 8, 3, 3),
            f"{K}.hada_w1_a": (8, 320),
            f"{K}.hada_w1_b": (8, 2048),
            f"{K}.hada_w2_a": (8, 320),
            f"{K}.hada_w2_b": (8, 2048),
        },
        "lora",
        "LoHa",
        ("sdxl",),
    ),
    "lokr": Animal(
        {f"{K}.lokr_w1": (16, 16), f"{K}.lokr_w2_a": (20, 4), f"{K}.lokr_w2_b": (4, 48), f"{K}.alpha": ()}, "lora", "LoKr", ("sd15",)
    ),
    "lokr, both small": Animal({f"{K}.lokr_w1_a": (16, 2), f"{K}.lokr_w1_b": (2, 32), f"{K}.lokr_w2": (20, 64)}, "lora", "LoKr", ("sdxl",)),
    "ia3": Animal({f"{K}.weight": (320,), f"{K}.on_input": ()}, "lora", "IA3", ("sd15", "sd21", "sdxl", "sdxl-refiner")),
    "ia3 with a word on it": Animal(
        {f"{K}.weight": (320,), f"{K}.on_input": ()}, "lora", "IA3", ("sd15",), {"ss_base_model_version": "sd_v1"}
    ),
    "oft": Animal(
        {f"{K.replace('lora', 'oft')}.oft_blocks": (4, 80, 80), f"{K.replace('lora', 'oft')}.alpha": ()},
        "lora",
        "OFT",
        ("sd15", "sd21", "sdxl", "sdxl-refiner"),
    ),
    "boft of sdxl": Animal({f"lora_unet_{SGM_BLOCK}_attn1_to_q.oft_blocks": (2, 4, 80, 80)}, "lora", "BOFT", ("sdxl", "sdxl-refiner")),
    "glora": Animal(
        {f"{K}.a1.weight": (768, 4), f"{K}.a2.weight": (4, 768), f"{K}.b1.weight": (320, 4), f"{K}.b2.weight": (4, 768)},
        "lora",
        "GLoRA",
        ("sd15",),
    ),
    "full": Animal(
        {f"{K}.diff": (320, 768), f"{K}.diff_b": (320,), "lora_unet_down_blocks_0_norm.w_norm": (320,)},
        "lora",
        "full difference",
        ("sd15",),
    ),
    # LoRAs of families that are not here
    "wan": Animal(peft("diffusion_model.blocks.0.self_attn.q", 5120), "lora", "peft", ()),
    "hunyuan": Animal(
        {**lora("lora_unet_double_blocks_0_img_attn_proj", 3072), **lora("lora_unet_double_blocks_0_img_mlp_fc1", 3072)},
        "lora",
        "kohya",
        (),
    ),
    "flux or hunyuan": Animal(lora("lora_unet_double_blocks_0_img_attn_proj", 3072), "lora", "kohya", ()),
    "flux or hunyuan with a word on it": Animal(
        lora("lora_unet_double_blocks_0_img_attn_proj", 3072), "lora", "kohya", ("flux",), {"modelspec.architecture": "flux-1-dev/lora"}
    ),
    "motion lora": Animal(
        {
            "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora.down.weight": (
                4,
                320,
            )
        },
        "lora",
        "diffusers",
        (),
    ),
    "two families in one": Animal({**kohya(768), **lora(f"lora_unet_{SGM_BLOCK}_attn2_to_v", 2048)}, "lora", "kohya", ()),
    # VAE
    "vae": Animal(vae(4), "vae", "AutoencoderKL", ANY_SD),
    "vae of sdxl": Animal(vae(4), "vae", "AutoencoderKL", ("sdxl",), {"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"}),
    "diffusers vae": Animal(vae(4, "up_blocks.0.resnets.0"), "vae", "diffusers AutoencoderKL", ANY_SD),
    "vae cut from a checkpoint": Animal(
        {f"first_stage_model.{key}": shape for key, shape in vae(4).items()}, "vae", "AutoencoderKL", ANY_SD
    ),
    "small vae": Animal(vae(4) | {"decoder.conv_in.weight": (96, 4, 3, 3)}, "vae", "AutoencoderKL", ()),
    "vae of flux": Animal(vae(16), "vae", "AutoencoderKL", ("sd3", "flux")),
    "tiny vae": Animal(
        {"encoder.layers.0.weight": (64, 3, 3, 3), "decoder.layers.1.weight": (64, 4, 3, 3)}, "vae", "tiny autoencoder", ANY_SD
    ),
    "taesd decoder": Animal({"1.weight": (64, 16, 3, 3), "3.conv.0.weight": (64, 64, 3, 3)}, "vae", "tiny autoencoder", ("sd3", "flux")),
    # embeddings
    "embedding": Animal({"emb_params": (5, 768)}, "embedding", "textual inversion", ("sd15",)),
    "embedding sd21": Animal({"emb_params": (5, 1024)}, "embedding", "textual inversion", ("sd21",)),
    "embedding of no width": Animal({"emb_params": (5, 512)}, "embedding", "textual inversion", ()),
    "embedding sdxl": Animal({"clip_l": (3, 768), "clip_g": (3, 1280)}, "embedding", "textual inversion of two encoders", ("sdxl",)),
    "embedding of a diffusers trainer": Animal({"<cat-toy>": (768,)}, "embedding", "diffusers textual inversion", ("sd15",)),
    "pivotal tuning": Animal(
        {"text_encoders_0": (2, 768), "text_encoders_1": (2, 1280)}, "embedding", "textual inversion of two encoders", ("sdxl",)
    ),
    # control networks
    "controlnet": Animal(control(768), "control_network", "ControlNet", ("sd15",)),
    "controlnet, pruned": Animal(control(1024, ""), "control_network", "ControlNet", ("sd21",)),
    "controlnet sdxl": Animal(
        control(2048) | {"control_model.label_emb.0.0.weight": (1280, 2816)}, "control_network", "ControlNet", ("sdxl",)
    ),
    "diffusers controlnet": Animal(diffusers_control(768), "control_network", "diffusers ControlNet", ("sd15",)),
    "diffusers controlnet sdxl": Animal(
        diffusers_control(2048) | {"add_embedding.linear_1.weight": (1280, 2816)}, "control_network", "diffusers ControlNet", ("sdxl",)
    ),
    "union": Animal(
        diffusers_control(2048) | {"control_add_embedding.linear_1.weight": (1280, 2048)}, "control_network", "ControlNet union", ("sdxl",)
    ),
    "control lora": Animal(
        {
            "lora_controlnet": (0,),
            "input_hint_block.0.weight": (16, 3, 3, 3),
            "zero_convs.0.0.weight": (320, 320, 1, 1),
            "label_emb.0.0.down": (128, 2816),
            "input_blocks.4.1.transformer_blocks.0.attn2.to_k.down": (128, 2048),
        },
        "control_network",
        "Control-LoRA",
        ("sdxl",),
    ),
    "t2i adapter": Animal(
        {"conv_in.weight": (320, 192, 3, 3), "body.0.block1.weight": (320, 320, 3, 3)}, "control_network", "T2I-Adapter", ("sd15", "sd21")
    ),
    "t2i adapter sdxl": Animal(
        {"adapter.conv_in.weight": (320, 768, 3, 3), "adapter.body.0.resnets.0.block1.weight": (320, 320, 3, 3)},
        "control_network",
        "T2I-Adapter",
        ("sdxl",),
    ),
    "light t2i adapter": Animal(
        {"body.0.in_conv.weight": (160, 192, 1, 1), "body.0.body.0.block1.weight": (160, 160, 3, 3)},
        "control_network",
        "light T2I-Adapter",
        ("sd15", "sd21"),
    ),
    "style adapter": Animal({"style_embedding": (1, 8, 1024), "proj": (1024, 768)}, "control_network", "style T2I-Adapter", ("sd15",)),
    "ip-adapter": Animal(
        {"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)}, "control_network", "IP-Adapter", ("sd15",)
    ),
    "ip-adapter sdxl": Animal(
        {"image_proj.proj.weight": (8192, 1280), "ip_adapter.1.to_k_ip.weight": (640, 2048)}, "control_network", "IP-Adapter", ("sdxl",)
    ),
    "lllite": Animal({f"lllite_unet_{SGM_BLOCK}_attn1_to_q.down.0.weight": (64, 640)}, "control_network", "ControlNet-LLLite", ("sdxl",)),
    "flux controlnet": Animal(
        {
            "controlnet_blocks.0.weight": (3072, 3072),
            "x_embedder.weight": (3072, 64),
            "transformer_blocks.0.attn.to_q.weight": (3072, 3072),
        },
        "control_network",
        "transformer ControlNet",
        ("flux",),
    ),
    "sd3 controlnet": Animal(
        {"controlnet_blocks.0.weight": (1536, 1536), "transformer_blocks.0.attn.to_q.weight": (1536, 1536)},
        "control_network",
        "transformer ControlNet",
        ("sd3",),
    ),
    "sparsectrl": Animal(
        {
            "controlnet_cond_embedding.conv_in.weight": (16, 4, 3, 3),
            "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,),
        },
        "control_network",
        "SparseCtrl",
        (),
    ),
    # upscalers
    "esrgan, old": Animal(
        {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}, "upscaler", "ESRGAN", ("esrgan",)
    ),
    "esrgan plus": Animal(
        {"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1x1.weight": (32, 64, 1, 1)}, "upscaler", "ESRGAN", ("esrgan",)
    ),
    "esrgan, new": Animal(
        {
            "conv_first.weight": (64, 3, 3, 3),
            "body.0.rdb1.conv1.weight": (32, 64, 3, 3),
            "conv_body.weight": (64, 64, 3, 3),
            "conv_last.weight": (3, 64, 3, 3),
        },
        "upscaler",
        "ESRGAN",
        ("esrgan",),
    ),
    "bsrgan": Animal(
        {"conv_first.weight": (64, 3, 3, 3), "RRDB_trunk.0.RDB1.conv1.weight": (32, 64, 3, 3), "conv_last.weight": (3, 64, 3, 3)},
        "upscaler",
        "ESRGAN",
        ("esrgan",),
    ),
    "esrgan as it was trained": Animal(
        {f"params_ema.{name}": (3, 3, 3, 3) for name in ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_last.weight")},
        "upscaler",
        "ESRGAN",
        ("esrgan",),
    ),
    "compact": Animal({"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,)}, "upscaler", "Real-ESRGAN compact", ("compact",)),
    "spsr": Animal(
        {"f_HR_conv1.0.weight": (64, 64, 3, 3), "model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (8, 8, 3, 3)},
        "upscaler",
        "SPSR",
        ("spsr",),
    ),
    "swinir": Animal(swinir(attn__relative_position_bias_table=(225, 6)), "upscaler", "SwinIR", ("swinir",)),
    "swin2sr": Animal(swinir(attn__cpb_mlp__0__weight=(512, 2)), "upscaler", "Swin2SR", ("swin2sr",)),
    "hat": Animal(
        swinir(attn__relative_position_bias_table=(225, 6), conv_block__cab__0__weight=(60, 180, 3, 3)), "upscaler", "HAT", ("hat",)
    ),
    "srformer": Animal(
        swinir(attn__aligned_relative_position_index=(1, 1), attn__relative_position_bias_table=(9, 6)),
        "upscaler",
        "SRFormer",
        ("srformer",),
    ),
    "dat": Animal(
        {"conv_first.weight": (180, 3, 3, 3), "layers.0.blocks.0.attn.attns.0.pos.pos_proj.weight": (4, 2)}, "upscaler", "DAT", ("dat",)
    ),
    "scunet": Animal({"m_head.0.weight": (64, 3, 3, 3), "m_tail.0.weight": (3, 64, 3, 3)}, "upscaler", "SCUNet", ("scunet",)),
    "omnisr": Animal(
        {"residual_layer.0.residual_layer.0.layer.0.fn.0.weight": (64, 64), "input.weight": (64, 3, 3, 3)},
        "upscaler",
        "OmniSR",
        ("omnisr",),
    ),
    "span": Animal({"conv_cat.weight": (48, 192, 1, 1), "block_1.c1_r.sk.weight": (48, 48, 1, 1)}, "upscaler", "SPAN", ("span",)),
    "cugan": Animal(
        {"unet1.conv1.conv.0.weight": (32, 3, 3, 3), "unet2.conv_bottom.weight": (3, 64, 3, 3)}, "upscaler", "Real-CUGAN", ("cugan",)
    ),
    "safmn": Animal({"to_feat.weight": (36, 3, 3, 3), "feats.0.safm.mfr.0.weight": (9, 1, 3, 3)}, "upscaler", "SAFMN", ("safmn",)),
    # text encoders
    "clip": Animal(
        {"text_model.embeddings.token_embedding.weight": (49408, 768), "text_model.encoder.layers.0.self_attn.q_proj.weight": (768, 768)},
        "text_encoder",
        "CLIP",
        ("sd15", "sdxl", "sd3", "flux"),
    ),
    "t5": Animal({"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096)}, "text_encoder", "T5", ("sd3", "flux")),
    # nothing for this program
    "gfpgan": Animal({"stylegan_decoder.style_mlp.1.weight": (512, 512), "toRGB.0.weight": (3, 512, 1, 1)}, None, "", ()),
    "codeformer": Animal({"encoder.blocks.0.weight": (64, 3, 3, 3), "quantize.embedding.weight": (1024, 256)}, None, "", ()),
    "restoreformer": Animal(vae(4) | {"quantize.embedding.weight": (1024, 256)}, None, "", ()),
    "clip vision": Animal({"vision_model.encoder.layers.0.self_attn.q_proj.weight": (1024, 1024)}, None, "", ()),
    "motion module": Animal({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,)}, None, "", ()),
    "something else": Animal({"wte.weight": (50257, 768), "h.0.attn.c_attn.weight": (768, 2304)}, None, "", ()),
    "a lora and a vae": Animal({**kohya(768), **vae(4)}, None, "", ()),
    "nothing": Animal({}, None, "", ()),
}
