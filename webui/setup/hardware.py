"""The machine, and the build of PyTorch for it."""

import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from webui.setup.home import Stop, read_text

CHOICES = ("auto", "cpu", "cuda", "rocm")


class Gpu(NamedTuple):
    name: str
    driver: float  # major.minor
    capability: float | None  # compute capability, as in 8.6


class Machine(NamedTuple):
    system: str  # Linux, Darwin, Windows
    arch: str
    nvidia: Gpu | None = None
    rocm: bool = False


class Build(NamedTuple):
    name: str  # cpu, cuda, rocm
    label: str
    folder: str | None  # of torch's own index; None: pip's index has this build
    room: float  # GB that .venv and the downloads take
    why: str


def look(root: Path = Path("/")) -> Machine:
    """What can be told without torch. `root` is where the file system starts."""
    nodes = [read_text(node).strip() for node in root.glob("sys/class/kfd/kfd/topology/nodes/*/gpu_id")]
    rocm = (root / "dev/kfd").exists() and (any(node not in ("", "0") for node in nodes) or (root / "opt/rocm").exists())
    return Machine(platform.system(), platform.machine().lower(), _nvidia(root), rocm)


def _nvidia(root: Path) -> Gpu | None:
    said = _ask("nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader").splitlines()
    cells = [cell.strip() for cell in said[0].split(",")] if said else []
    if len(cells) == 3 and cells[1][:1].isdigit():
        capabilities = [_number(line.rpartition(",")[2]) for line in said]
        return Gpu(cells[0], _number(cells[1]) or 0, min((each for each in capabilities if each), default=None))
    driver = re.search(r"Module\s+(?:for \S+\s+)?(\d+\.\d+)", read_text(root / "proc/driver/nvidia/version"))
    return Gpu("NVIDIA GPU", float(driver[1]), None) if driver else None


def _ask(*command: str) -> str:
    """What a small program prints; nothing where it is missing, fails or hangs."""
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", timeout=15, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _number(text: str) -> float | None:
    found = re.match(r"\s*(\d+(?:\.\d+)?)", text)
    return float(found[1]) if found else None


def choose_build(asked: str, machine: Machine) -> Build:
    """The build of torch 2.13 for a machine: cu126, cu130, rocm7.2 or cpu (torch's RELEASE.md, compatibility matrix)."""
    if machine.system == "Darwin" and machine.arch != "arm64":
        raise Stop("PyTorch no longer comes for Intel Macs. On Apple Silicon: this Python runs under Rosetta; install the arm64 one.")
    if sys.maxsize < 2**32:
        raise Stop("This Python is a 32-bit one, and PyTorch needs a 64-bit one: install that from python.org.")
    if asked == "rocm" and machine.system != "Linux" or asked == "cuda" and machine.system == "Darwin":
        raise Stop(f"There is no {asked} build of PyTorch for {machine.system}. Leave --torch out, or say --torch cpu.")
    if machine.system == "Darwin":
        return Build("cpu", "PyTorch with Metal", None, 3, "this is an Apple Silicon Mac")
    gpu, why = machine.nvidia, "--torch asks for it"
    cpu = Build("cpu", "PyTorch for the CPU", "cpu", 3, "no NVIDIA, AMD or Apple GPU found" if asked == "auto" else why)
    if asked == "cuda" or asked == "auto" and gpu:
        if gpu and asked == "auto":
            why = f"{gpu.name} found, with driver {gpu.driver:g}"
            if gpu.driver < 525 or (gpu.capability or 5) < 5:  # CUDA 12's oldest driver, and its oldest GPU (Maxwell)
                return cpu._replace(why=why + ", too old for PyTorch (it needs driver 525 and a GPU from 2014 or later)")
        legacy = gpu is not None and (gpu.driver < 580 or (gpu.capability or 7.5) < 7.5)  # CUDA 13: driver 580, Turing
        return Build("cuda", f"PyTorch for CUDA {'12.6' if legacy else '13.0'}", "cu126" if legacy else "cu130", 12, why)
    if asked == "rocm" or asked == "auto" and machine.rocm and machine.system == "Linux":
        why = why if asked == "rocm" else "an AMD GPU with its compute driver found"
        return Build("rocm", "PyTorch for ROCm 7.2", "rocm7.2", 25, why)
    return cpu
