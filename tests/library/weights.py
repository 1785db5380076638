"""Tiny weight files of the shapes that real ones have."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webui.core.geometry import Size
from webui.core.parts import FamilyInfo, HeaderSignature
from webui.core.records import CheckpointDefaults

KEY = "model.diffusion_model.input_blocks.0.0.weight"
FAMILY = FamilyInfo(
    id="sd15",
    label="SD 1.x",
    native=Size(512, 512),
    tasks=("text_to_image",),
    pipeline_classes=("StableDiffusionPipeline",),
    signature=(HeaderSignature(key=KEY, shape=(None, 4, 3, 3)), HeaderSignature(key="first_stage_model.x")),
    defaults=CheckpointDefaults(steps=25),
)
SIGNS = {KEY: (8, 4, 3, 3), "first_stage_model.x": (2,)}


def header_bytes(header: Mapping[str, Any]) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def single_file(
    path: Path,
    shapes: Mapping[str, tuple[int, ...]] = SIGNS,
    seed: int = 0,
    *,
    body: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """A safetensors file of bytes (U8) with these shapes; without a body there is a hole in its place, which takes no room."""
    header: dict[str, Any] = {"__metadata__": {"made": str(seed)} if metadata is None else dict(metadata)}
    end = 0
    for name, shape in shapes.items():
        size = 1
        for side in shape:
            size *= side
        header[name] = {"dtype": "U8", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    path.parent.mkdir(parents=True, exist_ok=True)
    head = header_bytes(header)
    with path.open("wb") as file:
        file.write(head + bytes([seed % 256]) * (end if body else 0))
        file.truncate(len(head) + end)
    return path


def diffusers_folder(
    path: Path, class_name: str = "StableDiffusionPipeline", networks: tuple[str, ...] = ("unet", "vae", "text_encoder")
) -> Path:
    index = {"_class_name": class_name, "tokenizer": ["transformers", "CLIPTokenizer"], "safety_checker": [None, None]}
    path.mkdir(parents=True, exist_ok=True)
    for network in networks:
        index[network] = ["diffusers", "Network"]
        single_file(path / network / "model.safetensors", {"weight": (3,)})
    (path / "model_index.json").write_text(json.dumps(index))
    return path
