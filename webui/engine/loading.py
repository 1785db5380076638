"""Weights from disk to the device: a diffusers folder or a single file, never from the network, never a pickle."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from webui.core.errors import EngineError, LoadFailed
from webui.core.records import ModelRecord
from webui.engine.attention import TiledAttention
from webui.engine.conditioning import Conditioner
from webui.engine.device import Device
from webui.engine.loras.merging import Loras
from webui.engine.pipeline import Pipeline
from webui.engine.schedules import noise_of
from webui.engine.shortage import is_shortage
from webui.library.vocabulary import clip_merges

_log = logging.getLogger(__name__)

TEXT_PREFIXES = ("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer.")
TOKENIZER_FILES = ("vocab.json", "merges.txt")
TOKENIZER_FOLDERS = ("clip", "CLIP", "text_encoders", "clip/tokenizer", "tokenizer")  # below the models folder
TINY_FOLDERS = ("VAE-approx", "vae_approx")


class Configs(NamedTuple):
    """A family's architecture where a file holds nothing but weights."""

    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    text_encoder: Mapping[str, Any]
    scheduler: Mapping[str, Any]


@contextmanager
def _explained(record: ModelRecord) -> Iterator[None]:
    """What goes wrong with a file, as a sentence with the file's name."""
    try:
        yield
    except EngineError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError, json.JSONDecodeError) as error:
        if is_shortage(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise LoadFailed(f"“{record.label}” could not be loaded from {record.path.name}: {reason[:300]}") from error


def from_folder(record: ModelRecord, device: Device) -> Pipeline:
    """A folder in diffusers' layout, with the tokenizer that it brings."""
    with _explained(record):
        unet = UNet2DConditionModel.from_pretrained(record.path, **_options(record, "unet", device))
        vae = AutoencoderKL.from_pretrained(record.path, **_options(record, "vae", device))
        text_encoder = CLIPTextModel.from_pretrained(record.path, **_options(record, "text_encoder", device))
        tokenizer = CLIPTokenizer.from_pretrained(record.path / "tokenizer", local_files_only=True)
        scheduler = json.loads((record.path / "scheduler" / "scheduler_config.json").read_text(encoding="utf-8"))
        return _assembled(record, device, (unet, vae, text_encoder), tokenizer, scheduler)


def _options(record: ModelRecord, component: str, device: Device) -> dict[str, Any]:
    """`from_pretrained`'s options: a variant such as fp16 where the folder has nothing else."""
    files = sorted((record.path / component).glob("*.safetensors"))
    if not files:
        raise LoadFailed(f"“{record.label}” has no {component}/*.safetensors. Files of another kind may run code and are not opened.")
    plain = [path for path in files if path.stem in ("diffusion_pytorch_model", "model") or "-of-" in path.stem]
    variant = None if plain else files[0].stem.partition(".")[2] or None
    return {"subfolder": component, "local_files_only": True, "use_safetensors": True, "dtype": device.dtype, "variant": variant}


def from_single_file(record: ModelRecord, device: Device, configs: Configs) -> Pipeline:
    """One .safetensors file with the keys of the original Stable Diffusion; the tokenizer is looked for on this machine."""
    if record.path.suffix.lower() not in (".safetensors", ".sft"):
        raise LoadFailed(f"{record.path.name} may run code when it is opened, so it is not. Convert it to .safetensors.")
    with _explained(record):
        weights = load_file(record.path)
        text_config = CLIPTextConfig(**configs.text_encoder)
        networks = (
            _filled(UNet2DConditionModel, configs.unet, convert_ldm_unet_checkpoint, weights, device),
            _filled(AutoencoderKL, configs.vae, convert_ldm_vae_checkpoint, weights, device),
            _text_encoder(text_config, weights, device),
        )
        tokenizer = _clip_tokenizer(record, text_config.vocab_size)
        return _assembled(record, device, networks, tokenizer, configs.scheduler)


def _filled(kind: Any, config: Mapping[str, Any], convert: Any, weights: dict[str, Tensor], device: Device) -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = kind.from_config(dict(config))
    converted = convert(dict(weights), network.config)
    return _assigned(network, converted, device)


def _text_encoder(config: CLIPTextConfig, weights: dict[str, Tensor], device: Device) -> nn.Module:
    prefix = next((prefix for prefix in TEXT_PREFIXES if any(key.startswith(prefix) for key in weights)), None)
    if prefix is None:
        raise LoadFailed("There is no text encoder in this file. Use the full checkpoint, not a pruned part of it.")
    found = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    found.pop("embeddings.position_ids", None)
    network = CLIPTextModel(config)
    return _assigned(network, found, device)


def _assigned(network: nn.Module, weights: dict[str, Tensor], device: Device) -> nn.Module:
    cast = {key: value.to(device.dtype) for key, value in weights.items() if value.is_floating_point()}
    missing, unexpected = network.load_state_dict(cast, strict=False, assign=True)
    if missing:
        raise LoadFailed(f"This file lacks {len(missing)} of the weights that its kind has, among them {missing[0]}. It is incomplete.")
    if unexpected:
        _log.info("%d weights of %s were not needed", len(unexpected), type(network).__name__)
    return network


def _clip_tokenizer(record: ModelRecord, size: int) -> Any:
    """CLIP's vocabulary from the models folder, or the one that comes with the program."""
    for folder in _tokenizer_places(record.path):
        if all((folder / name).is_file() for name in TOKENIZER_FILES):
            return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    merges = clip_merges()
    if merges is not None:
        return _tokenizer_of(merges)
    home = _models_folder(record.path) / TOKENIZER_FOLDERS[0]
    raise LoadFailed(
        f"“{record.label}” needs CLIP's vocabulary, which a single file does not hold. "
        f"Put vocab.json and merges.txt (from the tokenizer folder of any Stable Diffusion 1.5) into {home}."
    )


def _models_folder(path: Path) -> Path:
    """The folder above the kind's: models/checkpoints/sub/x.safetensors → models."""
    kinds = {"checkpoints", "stable-diffusion", "checkpoint"}
    return next((parent.parent for parent in path.parents if parent.name.lower() in kinds), path.parent)


def _tokenizer_places(path: Path) -> Iterator[Path]:
    yield path.with_suffix("") / "tokenizer"
    yield path.parent / "tokenizer"
    models = _models_folder(path)
    yield from (models / name for name in TOKENIZER_FOLDERS)


def _tokenizer_of(merges: Sequence[tuple[str, str]]) -> Any:
    """CLIP's vocabulary in the order in which it was made: bytes, bytes that end a word, merges, marks."""
    letters = list(_byte_letters())
    words = letters + [letter + "</w>" for letter in letters] + [first + second for first, second in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: number for number, word in enumerate(words)}, merges=list(merges), model_max_length=77)


def _byte_letters() -> Iterator[str]:
    """A printable letter for each byte, as GPT-2's byte-pair encoding has them: the printable ones first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    yield from map(chr, printable)
    yield from (chr(256 + number) for number in range(256 - len(printable)))


def _assembled(
    record: ModelRecord, device: Device, networks: tuple[Any, Any, Any], tokenizer: Any, scheduler: Mapping[str, Any]
) -> Pipeline:
    unet, vae, text_encoder = networks
    if device.tiled:
        unet.set_attn_processor(TiledAttention())
        vae.set_attn_processor(TiledAttention())
    for network in (unet, vae):
        network.to(device.name, memory_format=device.memory_format)
    text_encoder.to(device.name)
    conditioner = Conditioner(text_encoder, tokenizer, device.name)
    loras = Loras({"unet": unet, "text_encoder": text_encoder}, record.label)
    pipeline = Pipeline(record, device, unet, vae, text_encoder, conditioner, noise_of(scheduler), float(vae.config.scaling_factor), loras)
    pipeline.tiny_vae = _tiny_vae(record, device, int(vae.config.latent_channels))
    for network in pipeline.networks:
        network.eval().requires_grad_(False)
    return pipeline


def _tiny_vae(record: ModelRecord, device: Device, channels: int) -> Any:
    """An AutoencoderTiny for previews from models/VAE-approx, where a folder in diffusers' layout fits."""
    models = _models_folder(record.path)
    for config in sorted(config for name in TINY_FOLDERS for config in (models / name).glob("*/config.json")):
        facts = json.loads(config.read_text(encoding="utf-8"))
        if facts.get("_class_name") == "AutoencoderTiny" and facts.get("latent_channels", 4) == channels:
            tiny = AutoencoderTiny.from_pretrained(config.parent, local_files_only=True, use_safetensors=True, dtype=device.dtype)
            return tiny.to(device.name, memory_format=device.memory_format)
    return None
