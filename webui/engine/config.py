"""`EngineConfig`: what an engine is built from; crosses into its process, so plain and picklable."""

import re
from dataclasses import dataclass
from pathlib import Path

from webui.core.errors import SetupError

DEVICES = re.compile(r"auto|cpu|mps|(cuda|rocm|hip|xpu)(:\d{1,2})?")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """`ram_budget` is in bytes; None measures the machine. `extensions_dir` None loads no extensions."""

    models_dir: Path
    device: str = "auto"
    ram_budget: int | None = None
    extensions_dir: Path | None = None
    embedded: Path | None = None  # a checkpoint that is found wherever `models_dir` is
    probed: tuple[str, ...] = ()  # what an earlier process of this start measured, so that a new one makes the same bits

    def __post_init__(self) -> None:
        if DEVICES.fullmatch(self.device) is None:
            raise SetupError(f"There is no device “{self.device}”. --device takes auto, cpu, cuda, cuda:1 …, rocm, xpu or mps.")
