"""Out of memory: said with numbers, and what held the memory let go of."""

import errno
import gc
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from webui.core.errors import OutOfMemory
from webui.core.request import GenerationRequest
from webui.engine import memory
from webui.engine.device import Device

WORDS = (  # torch's; a plain RuntimeError everywhere but on a GPU with CUDA
    "can't allocate memory: you tried to allocate",  # a CPU, on Linux and macOS
    "not enough memory: you tried to allocate",  # a CPU, on Windows
    "MPS backend out of memory",
)


@contextmanager
def explained(request: GenerationRequest, device: Device, let_go: Callable[[], None]) -> Iterator[None]:
    """Raises `OutOfMemory` in place of the several ways in which torch and Python say so, after `let_go` freed what it can."""
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_shortage(error):
            raise
        said = str(error).splitlines()[0] if str(error) else "no memory left"
        traceback.clear_frames(error.__traceback__)  # its frames hold the tensors
        error.__traceback__ = None
    else:
        return
    let_go()
    gc.collect()
    if device.name.startswith("cuda"):
        torch.cuda.empty_cache()
    free, total = room(device)
    several = request.batch_size > 1
    raise OutOfMemory(
        f"{device.hardware} ran out of memory at {request.width} × {request.height} px"
        f"{f', {request.batch_size} at once' if several else ''}: {memory.gb(free)} of {memory.gb(total)} are free now. "
        f"Choose a smaller size{', or fewer at once' if several else ''}. ({said})"
    )


def is_shortage(error: BaseException) -> bool:
    """Whether it says that memory ran out: torch's, Python's or, when a file is mapped, the system's own error."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in WORDS)


def room(device: Device) -> tuple[int, int]:
    """Bytes free and in all, on the device that computes."""
    if device.name.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device.name)
        return int(free), int(total)
    total = memory.total()
    return max(0, min(memory.available(), total - memory.used())), total
