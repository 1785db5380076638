"""VAEs from files of their own, in place of the one in the checkpoint."""

import dataclasses
import logging
import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from webui.core.errors import LoadFailed, Unsupported
from webui.engine.attention import TiledAttention
from webui.engine.pipeline import Pipeline
from webui.library.header import read_header
from webui.shelves import WeightFile

_log = logging.getLogger(__name__)
KEPT = 2  # in memory, 0.2 GB each
PREFIXES = ("first_stage_model.", "vae.")
OLDER = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}  # diffusers before 0.15
DIFFUSERS = "decoder.mid_block.resnets.0.conv1.weight"  # a key that only diffusers' layout has


class Vaes:
    """Loads a file once for a device and precision. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def given(self, pipeline: Pipeline, file: WeightFile | None) -> Pipeline:
        """The pipeline with the VAE of `file`; the very same one where that is None. Everything else is shared.

        Raises `Unsupported` where it is for another family, `LoadFailed` for a broken file.
        """
        if file is None:
            return pipeline
        key = (file.path, file.stamp, pipeline.device.name, pipeline.device.precision)
        with self._lock:
            if key not in self._kept:
                while len(self._kept) >= KEPT:
                    self._kept.popitem(last=False)
                self._kept[key] = load(pipeline, file)
            self._kept.move_to_end(key)
            return dataclasses.replace(pipeline, vae=self._kept[key])

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()


def load(pipeline: Pipeline, file: WeightFile) -> Any:
    """An autoencoder with the architecture of the pipeline's own, in either layout of names."""
    _check(pipeline, file)
    try:
        weights = load_file(file.path)
    except (OSError, SafetensorError) as error:
        raise LoadFailed(f"The VAE “{file.name}” cannot be read: {str(error)[:200]}. Copy or download it again.") from error
    plain = {_plain(key): value for key, value in weights.items()}
    config = pipeline.vae.config
    converted: dict[str, Tensor] = plain if DIFFUSERS in plain else convert_ldm_vae_checkpoint(plain, config)
    with torch.device("meta"):
        vae = AutoencoderKL.from_config(config)
    shapes = {key: value.shape for key, value in vae.state_dict().items()}
    converted = {key: value.to(pipeline.device.dtype) for key, value in converted.items() if key in shapes}
    wrong = [key for key, shape in shapes.items() if key not in converted or converted[key].shape != shape]
    if wrong:
        raise Unsupported(_foreign(pipeline, file, f"{len(wrong)} of its weights are missing or of another size, such as {wrong[0]}"))
    vae.load_state_dict(converted, assign=True)
    if pipeline.device.tiled:
        vae.set_attn_processor(TiledAttention())
    vae.to(pipeline.device.name, memory_format=pipeline.device.memory_format)
    _log.info("VAE %s loaded", file.name)
    return vae.eval().requires_grad_(False)


def _check(pipeline: Pipeline, file: WeightFile) -> None:
    """From the header alone: a latent of another size is another family's."""
    tensors = {_plain(key): value for key, value in read_header(file.path).tensors.items()}
    entry = tensors.get("decoder.conv_in.weight")
    if entry is None:
        raise Unsupported(_foreign(pipeline, file, "it has no decoder"))
    channels = int(pipeline.vae.config.latent_channels)
    if entry.shape[1:2] != (channels,):
        raise Unsupported(_foreign(pipeline, file, f"its latents have {entry.shape[1]} channels, not {channels}"))


def _plain(key: str) -> str:
    for prefix in PREFIXES:
        if key.startswith(prefix):
            key = key.removeprefix(prefix)
    for older, newer in OLDER.items():
        key = key.replace(older, newer)
    return key


def _foreign(pipeline: Pipeline, file: WeightFile, why: str) -> str:
    return f"The VAE “{file.name}” does not fit “{pipeline.record.label}”: {why}. Choose another, or None for the checkpoint's own."
