"""How weight files of each kind and family are told apart: tables of tensor names and shapes, and nothing else.

A new kind of file is a row here. Sources of the names: diffusers' `single_file_utils` and `lora_conversion_utils`, kohya's
sd-scripts, LyCORIS' modules, spandrel's registry (MIT), the reference T2I-Adapter, ControlNet, IP-Adapter and LLLite files.
"""

from typing import NamedTuple

from webui.core.records import Kind

Shape = tuple[int | None, ...]  # None matches any side


class Sign(NamedTuple):
    """A tensor by its name, and its shape where that matters.

    `name` is a regular expression that is searched in the tensor's name, in which each index above 0 is written `N`
    (`blocks.0.1.weight` is `blocks.0.N.weight`), so that one sign stands for all layers.
    """

    name: str
    shape: Shape | None = None


class KindRow(NamedTuple):
    """What a file is whose tensors show every one of `needs` and none of `bars`; the first row of a kind names the variant."""

    kind: Kind | None  # None: nothing that can be used here, said by name
    variant: str
    needs: tuple[Sign, ...]
    bars: tuple[Sign, ...] = ()
    family: str | None = None  # where the kind's variants are families of their own
    alone: bool = False  # it is the only tensor


class FamilyRow(NamedTuple):
    """A file with this sign is of one of these families. All rows that hold narrow the choice; nothing is left to a guess."""

    kinds: tuple[Kind, ...]
    families: tuple[str, ...]
    sign: Sign
    unless: Sign | None = None


class Claim(NamedTuple):
    """What a maker wrote into the metadata; it chooses among the families that the shapes allow, and never against them."""

    key: str
    value: str  # a regular expression, matched from the start without regard to case
    family: str


FAMILY_LABELS = {
    "sd15": "Stable Diffusion 1.x",
    "sd21": "Stable Diffusion 2.x",
    "sdxl": "SDXL",
    "sdxl-refiner": "the SDXL refiner",
    "sd3": "Stable Diffusion 3",
    "flux": "FLUX.1",
    "flux2": "FLUX.2",
    "chroma": "Chroma",
    "qwen-image": "Qwen-Image",
    "hunyuan-video": "HunyuanVideo",
    "wan": "Wan",
    "svd": "Stable Video Diffusion",
    "animatediff": "AnimateDiff",
    "auraflow": "AuraFlow",
    "lumina2": "Lumina 2",
    "z-image": "Z-Image",
    "x4-upscaler": "the x4 upscaler of Stable Diffusion 2",
}
HERE = ("sd15", "sd21", "sdxl", "sdxl-refiner", "sd3", "flux")  # the others are named, but not for this program
UNETS = ("sd15", "sd21", "sdxl", "sdxl-refiner")

KIND_LABELS: dict[Kind, str] = {
    "checkpoint": "a checkpoint",
    "lora": "a LoRA",
    "vae": "a VAE",
    "embedding": "an embedding",
    "control_network": "a control network",
    "upscaler": "an upscaler",
    "text_encoder": "a text encoder",
    "denoiser": "a unet or transformer without text encoder and VAE",
}

_WHOLE = Sign(r"^model\.diffusion_model\.")
_REST = Sign(r"^(cond_stage_model|conditioner|first_stage_model|text_encoders|vae)\.")
_CONTROL = Sign(r"^(control_model\.|controlnet_|lora_controlnet$)")
_TEMPORAL = Sign(r"time_stack|temporal_transformer|motion_modules")
_UNET = Sign(r"^(model\.diffusion_model\.)?input_blocks\.0\.0\.weight$", (None, None, 3, 3))
_DECODER = Sign(r"^(first_stage_model\.)?decoder\.conv_in\.weight$", (None, None, 3, 3))
_CODEBOOK = Sign(r"^quantize\.")
_UP = r"^(params(_ema)?\.)?"  # how some upscalers were saved

KIND_ROWS: tuple[KindRow, ...] = (
    KindRow("checkpoint", "single file", (_WHOLE, _REST), (Sign(r"^control_model\."),)),
    # a unet or transformer in a file of its own
    KindRow("denoiser", "unet", (_UNET, Sign(r"output_blocks\.0\.0\.")), (_REST, _CONTROL)),
    KindRow("denoiser", "diffusers unet", (Sign(r"^down_blocks\.0\."), Sign(r"^up_blocks\.0\."), Sign(r"^time_embedding\.")), (_CONTROL,)),
    KindRow(
        "denoiser",
        "transformer",
        (Sign(r"^(model\.diffusion_model\.)?double_blocks\.0\.img_attn\.norm\.key_norm\.scale$"),),
        (_REST, Sign(r"^(controlnet_blocks|input_hint_block)\."), Sign(r"lora_")),
    ),
    KindRow(
        "denoiser",
        "transformer",
        (Sign(r"^(model\.diffusion_model\.)?joint_blocks\.0\.context_block\.adaLN_modulation\.N\.bias$"),),
        (_REST, _CONTROL),
    ),
    KindRow(
        "denoiser",
        "diffusers transformer",
        (Sign(r"^transformer_blocks\.0\.attn\.add_k_proj\.weight$"), Sign(r"^(x_embedder|pos_embed\.proj|img_in)\.weight$")),
        (_CONTROL,),
    ),
    # LoRA and its relatives, by the endings of their tensors' names
    KindRow("lora", "LoKr", (Sign(r"\.lokr_w[12](_[ab])?$"),)),
    KindRow("lora", "LoHa", (Sign(r"\.hada_w1_a$"),)),
    KindRow("lora", "BOFT", (Sign(r"\.oft_blocks$", (None, None, None, None)),)),
    KindRow("lora", "OFT", (Sign(r"\.(oft_blocks|oft_diag|oft_R\.weight)$"),)),
    KindRow("lora", "IA3", (Sign(r"\.on_input$"),)),
    KindRow("lora", "GLoRA", (Sign(r"^(lora|lycoris)_.*\.a1\.weight$"), Sign(r"^(lora|lycoris)_.*\.b2\.weight$"))),
    KindRow("lora", "kohya", (Sign(r"\.lora_down\.weight$"),)),
    KindRow("lora", "peft", (Sign(r"\.lora_A\.(\w+\.)?weight$"),)),
    KindRow("lora", "diffusers", (Sign(r"([._]lora|lora_linear_layer|_lora\d)\.down\.weight$"),)),
    KindRow("lora", "full difference", (Sign(r"^(lora|lycoris|diffusion_model|transformer|unet|text_encoder).*\.(diff|w_norm)$"),)),
    # VAE
    KindRow("vae", "AutoencoderKL", (_DECODER, Sign(r"^(first_stage_model\.)?decoder\.up\.0\.block\.0\.")), (_WHOLE, _TEMPORAL, _CODEBOOK)),
    KindRow("vae", "diffusers AutoencoderKL", (_DECODER, Sign(r"^decoder\.up_blocks\.0\.")), (_WHOLE, _TEMPORAL, _CODEBOOK)),
    KindRow("vae", "tiny autoencoder", (Sign(r"^decoder\.layers\.(0|N)\.weight$", (64, None, 3, 3)),), (_CODEBOOK,)),
    KindRow("vae", "tiny autoencoder", (Sign(r"^N\.weight$", (64, None, 3, 3)), Sign(r"^N\.conv\.0\.weight$", (64, 64, 3, 3)))),
    # textual inversion
    KindRow("embedding", "textual inversion", (Sign(r"^emb_params$", (None, None)),)),
    KindRow("embedding", "textual inversion of two encoders", (Sign(r"^clip_l$", (None, 768)), Sign(r"^clip_g$", (None, 1280)))),
    KindRow(
        "embedding",
        "textual inversion of two encoders",
        (Sign(r"^text_encoders_0$", (None, None)), Sign(r"^text_encoders_N$", (None, None))),
    ),
    KindRow("embedding", "diffusers textual inversion", (Sign(r"^(<.+>|\*)$", (None, None)),), alone=True),
    KindRow("embedding", "diffusers textual inversion", (Sign(r"^(<.+>|\*)$", (None,)),), alone=True),
    # control networks
    KindRow("control_network", "Control-LoRA", (Sign(r"^lora_controlnet$"),)),
    KindRow(
        "control_network",
        "ControlNet",
        (Sign(r"^(control_model\.)?input_hint_block\.0\.weight$"), Sign(r"^(control_model\.)?zero_convs\.0\.0\.weight$")),
        (Sign(r"^lora_controlnet$"), _REST),
    ),
    KindRow(
        "control_network",
        "ControlNet union",
        (Sign(r"^controlnet_cond_embedding\.conv_in\.weight$"), Sign(r"^control_add_embedding\.")),
        (_TEMPORAL,),
    ),
    KindRow(
        "control_network",
        "diffusers ControlNet",
        (Sign(r"^controlnet_cond_embedding\.conv_in\.weight$"), Sign(r"^controlnet_down_blocks\.0\.")),
        (_TEMPORAL,),
    ),
    KindRow("control_network", "SparseCtrl", (Sign(r"^controlnet_cond_embedding\."), _TEMPORAL)),
    KindRow("control_network", "transformer ControlNet", (Sign(r"^controlnet_blocks\.0\.weight$"),)),
    KindRow("control_network", "ControlNet-LLLite", (Sign(r"^lllite_unet_"),)),
    KindRow(
        "control_network",
        "T2I-Adapter",
        (Sign(r"^(adapter\.)?conv_in\.weight$"), Sign(r"^(adapter\.)?body\.0\.(resnets\.0\.)?block1\.weight$")),
    ),
    KindRow(
        "control_network",
        "light T2I-Adapter",
        (Sign(r"^(adapter\.)?body\.0\.in_conv\.weight$"),),
        (Sign(r"^(adapter\.)?conv_in\.weight$"),),
    ),
    KindRow("control_network", "style T2I-Adapter", (Sign(r"^style_embedding$"), Sign(r"^proj$"))),
    KindRow("control_network", "IP-Adapter", (Sign(r"^ip_adapter\.N\.to_k_ip\.weight$"),)),
    # upscalers: each architecture is a family of its own
    KindRow(
        "upscaler",
        "ESRGAN",
        (Sign(_UP + r"model\.0\.weight$"), Sign(_UP + r"model\.N\.sub\.0\.RDB1\.conv1(x1)?\.")),
        (Sign(r"f_HR_conv1"),),
        "esrgan",
    ),
    KindRow(
        "upscaler",
        "ESRGAN",
        (
            Sign(_UP + r"conv_first\.weight$"),
            Sign(_UP + r"(body|RRDB_trunk)\.0\.(rdb1|RDB1)\.conv1\.weight$"),
            Sign(_UP + r"conv_last\.weight$"),
        ),
        (Sign(r"am_list\."),),
        "esrgan",
    ),
    KindRow(
        "upscaler",
        "Real-ESRGAN compact",
        (Sign(_UP + r"body\.0\.weight$", (None, 3, 3, 3)), Sign(_UP + r"body\.N\.weight$", (None,))),
        (),
        "compact",
    ),
    KindRow("upscaler", "SPSR", (Sign(r"f_HR_conv1\.0\.weight$"), Sign(_UP + r"model\.0\.weight$")), (), "spsr"),
    KindRow(
        "upscaler", "SRFormer", (Sign(r"layers\.0\.residual_group\.blocks\.0\.attn\.aligned_relative_position_index$"),), (), "srformer"
    ),
    KindRow(
        "upscaler",
        "HAT",
        (Sign(r"layers\.0\.residual_group\.blocks\.0\.conv_block\.cab\.0\.weight$"), Sign(_UP + r"conv_first\.weight$")),
        (),
        "hat",
    ),
    KindRow(
        "upscaler",
        "Swin2SR",
        (Sign(r"layers\.0\.residual_group\.blocks\.0\.attn\.cpb_mlp\.0\."), Sign(_UP + r"conv_first\.weight$")),
        (),
        "swin2sr",
    ),
    KindRow(
        "upscaler",
        "SwinIR",
        (Sign(r"layers\.0\.residual_group\.blocks\.0\.attn\.relative_position_bias_table$"), Sign(_UP + r"conv_first\.weight$")),
        (Sign(r"\.conv_block\.cab\."), Sign(r"cpb_mlp"), Sign(r"aligned_relative_position_index")),
        "swinir",
    ),
    KindRow("upscaler", "DAT", (Sign(r"layers\.0\.blocks\.0\.attn\.attns\.0\."), Sign(_UP + r"conv_first\.weight$")), (), "dat"),
    KindRow("upscaler", "SCUNet", (Sign(_UP + r"m_head\.0\.weight$"), Sign(_UP + r"m_tail\.0\.weight$")), (), "scunet"),
    KindRow(
        "upscaler",
        "OmniSR",
        (Sign(r"residual_layer\.0\.residual_layer\.0\.layer\.0\.fn\.0\.weight$"), Sign(_UP + r"input\.weight$")),
        (),
        "omnisr",
    ),
    KindRow("upscaler", "SPAN", (Sign(_UP + r"conv_cat\.weight$"), Sign(r"block_N\.c1_r\.sk\.weight$")), (), "span"),
    KindRow("upscaler", "Real-CUGAN", (Sign(r"unet1\.conv1\.conv\.0\.weight$"), Sign(r"unet2\.conv_bottom\.weight$")), (), "cugan"),
    KindRow("upscaler", "SAFMN", (Sign(_UP + r"to_feat\.weight$"), Sign(r"feats\.0\.safm\.")), (), "safmn"),
    # text encoders
    KindRow(
        "text_encoder",
        "CLIP",
        (
            Sign(r"^(text_model\.)?embeddings\.token_embedding\.weight$"),
            Sign(r"^(text_model\.)?encoder\.layers\.0\.self_attn\.q_proj\.weight$"),
        ),
        (Sign(r"^vision_model\."),),
    ),
    KindRow("text_encoder", "T5", (Sign(r"^encoder\.block\.0\.layer\.0\.SelfAttention\.q\.weight$"),)),
    # known, but of no use here
    KindRow(None, "a face restorer", (Sign(r"^(params_ema\.)?stylegan_decoder\."),)),
    KindRow(None, "a face restorer", (Sign(r"^(params_ema\.)?quantize\.embedding\.weight$"),)),
    KindRow(None, "a CLIP vision encoder", (Sign(r"^vision_model\.encoder\."),)),
    KindRow(
        None,
        "an AnimateDiff motion module",
        (Sign(r"^(down_blocks|up_blocks)\.0\.motion_modules\."),),
        (Sign(r"lora"), Sign(r"^controlnet_")),
    ),
)

_DENOISERS: tuple[Kind, ...] = ("checkpoint", "denoiser", "control_network")
_LORA: tuple[Kind, ...] = ("lora",)
_VAE: tuple[Kind, ...] = ("vae",)
_EMBEDDING: tuple[Kind, ...] = ("embedding",)
_CONTROLS: tuple[Kind, ...] = ("control_network",)
_ENCODER: tuple[Kind, ...] = ("text_encoder",)

FAMILY_ROWS: tuple[FamilyRow, ...] = (
    # the width of the text that a unet's cross-attention takes
    *(
        FamilyRow(_DENOISERS, (family,), Sign(r"attn2\.to_k\.(weight|down)$", (None, width)), _TEMPORAL)
        for width, family in ((768, "sd15"), (1024, "sd21"), (2048, "sdxl"), (1280, "sdxl-refiner"))
    ),
    FamilyRow(_DENOISERS, ("svd",), Sign(r"time_stack"), _CONTROL),
    FamilyRow(_DENOISERS, ("x4-upscaler",), Sign(r"^(model\.diffusion_model\.)?input_blocks\.0\.0\.weight$", (None, 7, 3, 3))),
    FamilyRow(
        _DENOISERS,
        ("sdxl", "sdxl-refiner"),
        Sign(r"^(model\.diffusion_model\.|control_model\.)?(label_emb\.0\.0|add_embedding\.linear_N)\."),
    ),
    FamilyRow(_DENOISERS, ("sd3",), Sign(r"^(model\.diffusion_model\.)?joint_blocks\.0\.")),
    FamilyRow(
        _DENOISERS,
        ("flux",),
        Sign(r"^(model\.diffusion_model\.)?double_blocks\.0\.img_attn\."),
        Sign(r"distilled_guidance_layer|double_stream_modulation_img|individual_token_refiner"),
    ),
    FamilyRow(_DENOISERS, ("chroma",), Sign(r"distilled_guidance_layer")),
    FamilyRow(_DENOISERS, ("flux2",), Sign(r"(double_stream_modulation_img|single_stream_modulation)\.")),
    FamilyRow(_DENOISERS, ("hunyuan-video",), Sign(r"individual_token_refiner")),
    FamilyRow(_DENOISERS, ("auraflow",), Sign(r"^(model\.diffusion_model\.)?double_layers\.0\.attn\.w2q\.weight$")),
    FamilyRow(_DENOISERS, ("lumina2", "z-image"), Sign(r"^(model\.diffusion_model\.)?cap_embedder\.0\.weight$")),
    FamilyRow(_DENOISERS, ("sd3",), Sign(r"^transformer_blocks\.0\.attn\.to_q\.weight$", (1536, 1536))),
    FamilyRow(_DENOISERS, ("sd3",), Sign(r"^transformer_blocks\.0\.attn\.to_q\.weight$", (2432, 2432))),
    FamilyRow(_DENOISERS, ("flux",), Sign(r"^x_embedder\.weight$", (3072, None))),
    FamilyRow(_DENOISERS, ("qwen-image",), Sign(r"^img_in\.weight$", (3072, None)), Sign(r"double_blocks")),
    # control networks that have no cross-attention of a width
    FamilyRow(_CONTROLS, ("sd15", "sd21"), Sign(r"^(adapter\.)?conv_in\.weight$", (None, 192, 3, 3))),
    FamilyRow(_CONTROLS, ("sd15", "sd21"), Sign(r"^(adapter\.)?conv_in\.weight$", (None, 64, 3, 3))),
    FamilyRow(_CONTROLS, ("sdxl",), Sign(r"^(adapter\.)?conv_in\.weight$", (None, 768, 3, 3))),
    FamilyRow(_CONTROLS, ("sdxl",), Sign(r"^(adapter\.)?conv_in\.weight$", (None, 256, 3, 3))),
    FamilyRow(
        _CONTROLS,
        ("sd15", "sd21"),
        Sign(r"^(adapter\.)?body\.0\.in_conv\.weight$", (None, 192, 1, 1)),
        Sign(r"^(adapter\.)?conv_in\.weight$"),
    ),
    FamilyRow(_CONTROLS, ("sd15",), Sign(r"^proj$", (1024, 768))),
    FamilyRow(_CONTROLS, ("sd15",), Sign(r"^ip_adapter\.N\.to_k_ip\.weight$", (None, 768))),
    FamilyRow(_CONTROLS, ("sdxl",), Sign(r"^ip_adapter\.N\.to_k_ip\.weight$", (None, 2048))),
    FamilyRow(_CONTROLS, ("sd15", "sd21", "sdxl"), Sign(r"^lllite_unet_")),
    FamilyRow(_CONTROLS, ("sdxl",), Sign(r"^lllite_unet_.*_transformer_blocks_N_")),
    FamilyRow(_CONTROLS, ("animatediff",), _TEMPORAL),
    # a LoRA's modules: names with "_" for ".", and shapes (out, in) of the layer that each changes
    FamilyRow(_LORA, ("sd15",), Sign(r"attn2(_processor)?_to_[kv]$", (None, 768))),
    FamilyRow(_LORA, ("sd21",), Sign(r"attn2(_processor)?_to_[kv]$", (None, 1024))),
    FamilyRow(_LORA, ("sdxl",), Sign(r"attn2(_processor)?_to_[kv]$", (None, 2048))),
    FamilyRow(_LORA, ("sdxl-refiner",), Sign(r"attn2(_processor)?_to_[kv]$", (None, 1280))),
    *(  # the refiner's layers have other widths
        FamilyRow(_LORA, ("sd15", "sd21", "sdxl"), Sign(r"attn1(_processor)?_to_[qkv]$", (None, width))) for width in (320, 640, 1280)
    ),
    FamilyRow(_LORA, UNETS, Sign(r"(^|_)(down|up|input|output|mid|middle)_blocks?_")),
    FamilyRow(_LORA, ("sdxl", "sdxl-refiner"), Sign(r"(down|up|input|output)_blocks_.*_transformer_blocks_N_")),
    FamilyRow(_LORA, ("animatediff",), Sign(r"motion_modules|temporal_transformer")),
    FamilyRow(_LORA, ("svd",), Sign(r"time_stack|temporal_transformer_blocks")),
    FamilyRow(_LORA, ("sd15", "sd21"), Sign(r"^lora_te_text_model_")),
    FamilyRow(_LORA, ("sd15",), Sign(r"^lora_te_text_model_.*_self_attn_[qkv]_proj$", (None, 768))),
    FamilyRow(_LORA, ("sd21",), Sign(r"^(lora_te|text_encoder)_text_model_.*_self_attn_[qkv]_proj$", (None, 1024))),
    FamilyRow(_LORA, ("sd15", "sdxl", "sd3", "flux"), Sign(r"^text_encoder_text_model_.*_self_attn_[qkv]_proj$", (None, 768))),
    FamilyRow(_LORA, ("sdxl", "sd3", "flux"), Sign(r"^lora_te1_text_model_")),
    FamilyRow(_LORA, ("sdxl", "sd3"), Sign(r"^(lora_te2|text_encoder_N)_text_model_")),
    FamilyRow(_LORA, ("sd3", "flux"), Sign(r"^(lora_te[123]|text_encoder_N)_encoder_block_")),
    FamilyRow(_LORA, ("sd3",), Sign(r"(^|_)joint_blocks_(0|N)_")),
    FamilyRow(_LORA, ("sd3",), Sign(r"(^|transformer_)transformer_blocks_(0|N)_attn_(to_[qkv]|add_[qkv]_proj)$", (None, 1536))),
    FamilyRow(_LORA, ("sd3",), Sign(r"(^|transformer_)transformer_blocks_(0|N)_attn_(to_[qkv]|add_[qkv]_proj)$", (None, 2432))),
    FamilyRow(
        _LORA,
        ("flux", "qwen-image", "hunyuan-video"),
        Sign(r"(^|transformer_)transformer_blocks_(0|N)_attn_(to_[qkv]|add_[qkv]_proj)$", (None, 3072)),
    ),
    FamilyRow(_LORA, ("flux",), Sign(r"(^|_)single_transformer_blocks_(0|N)_attn_to_[qkv]$", (None, 3072)), Sign(r"token_refiner")),
    FamilyRow(_LORA, ("flux", "hunyuan-video"), Sign(r"(^|_)single_transformer_blocks_(0|N)_")),
    FamilyRow(_LORA, ("qwen-image",), Sign(r"transformer_blocks_(0|N)_(img|txt)_(mlp|mod)_")),
    FamilyRow(_LORA, ("flux", "hunyuan-video"), Sign(r"(^|_)double_blocks_(0|N)_(img|txt)_attn_(proj|qkv)$", (None, 3072))),
    FamilyRow(_LORA, ("flux2",), Sign(r"(^|_)double_blocks_(0|N)_(img|txt)_attn_(proj|qkv)$", (None, 6144))),
    FamilyRow(_LORA, ("flux",), Sign(r"(^|_)double_blocks_(0|N)_(img|txt)_mlp_(0|N)$", (None, 3072))),
    FamilyRow(_LORA, ("flux", "hunyuan-video"), Sign(r"(^|_)single_blocks_(0|N)_(linear1|linear2|modulation_lin)$")),
    FamilyRow(_LORA, ("flux",), Sign(r"(^|_)double_blocks_(0|N)_processor_(qkv|proj)(_lora\d)?$")),
    FamilyRow(_LORA, ("hunyuan-video",), Sign(r"double_blocks_(0|N)_(img|txt)_mlp_fc[12]$|token_refiner")),
    FamilyRow(_LORA, ("wan",), Sign(r"(^|_)blocks_(0|N)_(self|cross)_attn_[qkvo]$")),
    # latent channels, and the width of the layer behind them
    *(
        FamilyRow(_VAE, families, Sign(name, (width, channels, 3, 3)))
        for channels, families in ((4, ("sd15", "sd21", "sdxl")), (16, ("sd3", "flux")), (32, ("flux2",)))
        for name, width in ((_DECODER.name, 512), (r"^decoder\.layers\.(0|N)\.weight$", 64), (r"^N\.weight$", 64))
    ),
    # the width of an encoder's words
    FamilyRow(_EMBEDDING, ("sd15",), Sign(r"^(emb_params|<.+>|\*)$", (None, 768))),
    FamilyRow(_EMBEDDING, ("sd15",), Sign(r"^(<.+>|\*)$", (768,))),
    FamilyRow(_EMBEDDING, ("sd21",), Sign(r"^(emb_params|<.+>|\*)$", (None, 1024))),
    FamilyRow(_EMBEDDING, ("sd21",), Sign(r"^(<.+>|\*)$", (1024,))),
    FamilyRow(_EMBEDDING, ("sdxl",), Sign(r"^(clip_g|text_encoders_N)$", (None, 1280)), Sign(r"^t5xxl$")),
    FamilyRow(_EMBEDDING, ("sd3",), Sign(r"^t5xxl$", (None, 4096))),
    FamilyRow(_EMBEDDING, ("sd3", "flux"), Sign(r"^text_encoders_N$", (None, 4096))),
    FamilyRow(_ENCODER, ("sd15", "sdxl", "sd3", "flux"), Sign(r"embeddings\.token_embedding\.weight$", (None, 768))),
    FamilyRow(_ENCODER, ("sd21",), Sign(r"embeddings\.token_embedding\.weight$", (None, 1024))),
    FamilyRow(_ENCODER, ("sdxl", "sd3"), Sign(r"embeddings\.token_embedding\.weight$", (None, 1280))),
    FamilyRow(_ENCODER, ("sd3", "flux"), Sign(r"SelfAttention\.q\.weight$", (4096, 4096))),
)

CLAIMS: tuple[Claim, ...] = (
    Claim("modelspec.architecture", r"stable-diffusion-v1", "sd15"),
    Claim("modelspec.architecture", r"stable-diffusion-v2", "sd21"),
    Claim("modelspec.architecture", r"stable-diffusion-xl-v1-refiner", "sdxl-refiner"),
    Claim("modelspec.architecture", r"stable-diffusion-xl(?!-v1-refiner)", "sdxl"),
    Claim("modelspec.architecture", r"stable-diffusion-(v?3)|sd3", "sd3"),
    Claim("modelspec.architecture", r"flux[-.]?1", "flux"),
    Claim("ss_base_model_version", r"sd_v?1", "sd15"),
    Claim("ss_base_model_version", r"sd_v?2", "sd21"),
    Claim("ss_base_model_version", r"sdxl", "sdxl"),
    Claim("ss_base_model_version", r"sd3", "sd3"),
    Claim("ss_base_model_version", r"flux", "flux"),
    Claim("ss_v2", r"true$", "sd21"),
)
