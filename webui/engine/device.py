"""Which device and precision to run on: by flags, then by timing, since flags alone promise too much."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from webui.core.errors import SetupError
from webui.engine.attention import tiled

ROUNDS = 5
FEW_THREADS = 4
SHORT = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
BY_NAME = {short: dtype for dtype, short in SHORT.items()}


@dataclass(frozen=True, slots=True)
class Device:
    """Where pictures are made, and in what precision."""

    name: str  # torch's: "cpu", "cuda:0", "mps"
    dtype: torch.dtype
    hardware: str
    tiled: bool = False  # attention in tiles, which wins on some CPUs

    @property
    def precision(self) -> str:
        return SHORT[self.dtype]

    @property
    def label(self) -> str:
        return f"{self.hardware}, {self.precision}"

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.contiguous_format if self.name.startswith("mps") else torch.channels_last

    @property
    def probed(self) -> tuple[str, ...]:
        """What `choose` takes to come to the same choice without measuring."""
        return (self.name, self.precision, "tiled" if self.tiled else "sdpa")


def choose(asked: str, probed: tuple[str, ...] = ()) -> Device:
    """The device that `--device` names, or the fastest there is. Raises `SetupError` where there is none such."""
    name = _resolve(asked)
    if probed and probed[0] == name:
        return Device(name, BY_NAME[probed[1]], _hardware(name), probed[2] == "tiled")
    if name == "cpu":
        dtype = torch.bfloat16 if _bf16_pays() else torch.float32
        return Device(name, dtype, _hardware(name), dtype == torch.bfloat16 and _tiles_pay())
    if name == "mps":
        return Device(name, torch.float16, _hardware(name))
    # Volta and Turing have fp16 tensor cores but emulate bf16; from Ampere on fp16 is no faster, and bf16 never overflows
    bf16 = name.startswith("cuda") and torch.cuda.get_device_capability(name)[0] >= 8
    return Device(name, torch.bfloat16 if bf16 else torch.float16, _hardware(name))


def _resolve(asked: str) -> str:
    kind, _, number = asked.partition(":")
    kind = {"rocm": "cuda", "hip": "cuda"}.get(kind, kind)
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind == "cpu":
        return kind
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise SetupError("There is no Apple GPU that this torch can use. Start with --device cpu.")
        return kind
    backend = torch.xpu if kind == "xpu" else torch.cuda
    count = backend.device_count() if backend.is_available() else 0
    if count == 0:
        raise SetupError(
            f"--device {asked}: this torch ({torch.__version__}) sees no such GPU. Start with --device cpu, or without --device."
        )
    if int(number or 0) >= count:
        raise SetupError(f"--device {asked}: there are {count} GPUs here, {kind}:0 to {kind}:{count - 1}.")
    return f"{kind}:{number or 0}"


def _hardware(name: str) -> str:
    if name.startswith("cuda"):
        return torch.cuda.get_device_name(name)
    if name.startswith("xpu"):
        return torch.xpu.get_device_name(name)
    if name == "mps":
        return "Apple GPU"
    return _cpu_name()


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].replace("(R)", "").replace("(TM)", "").split()[:5])
    return platform.processor() or platform.machine()


def _bf16_pays() -> bool:
    """Whether a convolution and a product in bf16 are faster than in fp32; without the instructions they are far slower."""
    instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()

    def work(dtype: torch.dtype) -> Callable[[], Tensor]:
        image = torch.ones(1, 64, 32, 32, dtype=dtype).to(memory_format=torch.channels_last)
        kernel = torch.ones(64, 64, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
        rows = torch.ones(256, 512, dtype=dtype)
        weights = torch.ones(512, 512, dtype=dtype)
        return lambda: torch.nn.functional.conv2d(image, kernel, padding=1).sum() + (rows @ weights).sum()

    ratio = shortest(work(torch.bfloat16)) / shortest(work(torch.float32))
    return ratio < (1.2 if instructions else 0.7)


def _tiles_pay() -> bool:
    """Whether attention in tiles is faster than torch's own, on Stable Diffusion's 1024 tokens of size 80."""
    q, k, v = (torch.ones(1, 2, 1024, 80, dtype=torch.bfloat16) for _ in range(3))
    return shortest(lambda: tiled(q, k, v)) < 0.9 * shortest(lambda: scaled_dot_product_attention(q, k, v))


def shortest(work: Callable[[], object]) -> float:
    """Seconds of the shortest of some runs, after one that does not count.

    With few cores on one of them, in seconds of this thread: other programs' load would decide otherwise. With many, by
    the clock and on all, since how well the work spreads is what matters there.
    """
    threads = torch.get_num_threads()
    clock = time.thread_time if threads <= FEW_THREADS else time.perf_counter
    torch.set_num_threads(1 if threads <= FEW_THREADS else threads)
    times = []
    try:
        with torch.inference_mode():
            work()
            for _ in range(ROUNDS):
                begin = clock()
                work()
                times.append(clock() - begin)
    finally:
        torch.set_num_threads(threads)
    return min(times)
