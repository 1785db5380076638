"""Lets diffusers and transformers load where torchvision's compiled half does not fit the installed torch."""

import importlib.util
from pathlib import Path

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")


def install() -> torch.library.Library | None:
    """Declare torchvision's two operators where it would not find them; call before anything imports it.

    A CPU torch beside a torchvision built for CUDA dies with "operator torchvision::nms does not exist". Returns the
    library that holds the schemas: they vanish with it, so the caller keeps it. None where nothing was needed.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.submodule_search_locations is None or hasattr(torch.ops.torchvision, "nms"):
        return None
    if any(_loads(Path(folder)) for folder in spec.submodule_search_locations):
        return None
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # torch leaves it untyped
    for name in _OPERATORS:
        library.define(name + _SCHEMA)  # type: ignore[no-untyped-call]  # the same
    return library


def _loads(folder: Path) -> bool:
    """Whether a compiled half of torchvision lies in `folder` and loads with this torch."""
    for path in sorted([*folder.glob("_C*.so"), *folder.glob("_C*.pyd"), *folder.glob("_C*.dylib")]):
        try:
            torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]  # the same
        except OSError:
            continue
        return hasattr(torch.ops.torchvision, "nms")
    return False
