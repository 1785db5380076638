"""The embedded starter checkpoint: scenes, training, evaluation. Uses torch, diffusers, transformers; nothing above it in the program."""

from typing import Final

from webui.engine.torchvision_shim import install

_KEPT: Final = install()  # before any module here imports diffusers or transformers; kept for the life of the process
