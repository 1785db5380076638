"""The process that opens a pickled weight file: reads it from standard input, writes safetensors to standard output, and ends.

Started by `convert` as `python -m webui.quarantine.child`. It is given two open files and nothing else, so it needs no other.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from webui.quarantine.limits import Limits, bound, cut_network, forbid
from webui.quarantine.opcodes import STAND_INS

DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32", "int64": "I64",
    "uint64": "U64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
}  # fmt: skip
NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")  # numpy's
WRAPPERS = ("state_dict", "params_ema", "params", "model_state_dict", "model", "adapter")  # the first that holds tensors
MAX_HEADER = 100_000_000  # bytes; the reference implementation's own limit
MAX_NAMED = 20  # of what was left out
REPORT = "report: "  # begins the last line on standard error


class Unusable(Exception):
    """What was opened is not weights; the text goes on after the file's name."""


class StandIn:
    """In the place of a class that is named in a file and never imported; what was hung on it is data."""


def main() -> None:
    limits = Limits(*json.loads(sys.argv[1]))
    source, result = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no part of the result
    alone = cut_network()
    import torch  # after the network is gone, which must be before threads start

    torch.set_num_threads(1)
    bounded = bound(limits)
    _allow(torch)
    forbid()
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
        tensors, left_out = _tensors(torch, loaded)
        count = _write(result, torch, tensors)
        report: dict[str, Any] = {"tensors": count, "left_out": left_out}
    except Unusable as unusable:
        report = {"problem": str(unusable)}
    except MemoryError:
        report = {"problem": "needs more memory to open than weights of its size do. It is not converted."}
    except Exception as error:  # noqa: BLE001  # the edge of a process: told on the other side
        report = {
            "problem": f"cannot be opened: {str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__}"
        }
    report |= {"network": alone, "bounds": bounded}
    os.write(2, f"\n{REPORT}{json.dumps(report)}\n".encode())


def _allow(torch: Any) -> None:
    """numpy's plain numbers beside what torch lets through, and stand-ins for what is only named."""
    import numpy as np

    core = importlib.import_module("numpy._core.multiarray")
    allowed: list[Any] = [
        (getattr(core, name), f"numpy.{place}.multiarray.{name}") for place in ("core", "_core") for name in ("scalar", "_reconstruct")
    ]
    allowed += [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in NUMBERS)]
    allowed += [(type(name.rpartition(".")[2], (StandIn,), {}), name) for name in STAND_INS]
    torch.serialization.add_safe_globals(allowed)


def _tensors(torch: Any, loaded: object) -> tuple[dict[str, Any], list[str]]:
    """The tensors by name, and the names of what is none: a trainer's counters, for example."""
    if not isinstance(loaded, Mapping):
        raise Unusable(f"holds no table of tensors, but a {type(loaded).__name__}. It is not converted.")
    if "string_to_param" in loaded:  # textual inversion, as A1111 and its predecessors saved it
        inner = loaded["string_to_param"]
        found = [value for value in _values(inner) if isinstance(value, torch.Tensor)]
        if len(found) != 1:
            raise Unusable(f"is an embedding of {len(found)} words at once. Only those of one word can be converted.")
        return {"emb_params": found[0]}, [str(key)[:100] for key in loaded if key != "string_to_param"][:MAX_NAMED]
    for wrapper in WRAPPERS:
        inner = loaded.get(wrapper)
        if isinstance(inner, Mapping) and any(isinstance(value, torch.Tensor) for value in inner.values()):
            tensors, left_out = _tensors(torch, inner)
            return tensors, [*(str(key)[:100] for key in loaded if key != wrapper), *left_out][:MAX_NAMED]
    tensors = {key: value for key, value in loaded.items() if isinstance(key, str) and isinstance(value, torch.Tensor)}
    if not tensors:
        raise Unusable("holds no tensors by name. It is not converted.")
    return tensors, [str(key)[:100] for key in loaded if key not in tensors][:MAX_NAMED]


def _values(inner: object) -> Iterator[Any]:
    if isinstance(inner, Mapping):
        yield from inner.values()
    elif isinstance(inner, StandIn):
        state = vars(inner)
        yield from (state.get("_parameters") or state).values()


def _write(result: BinaryIO, torch: Any, tensors: Mapping[str, Any]) -> int:
    """The tensors' bytes as they are, behind a safetensors header; the widest types first, as the format's own writer has them."""
    ordered = sorted(tensors.items(), key=lambda row: (-row[1].element_size(), row[0]))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in ordered:
        dtype = DTYPES.get(str(tensor.dtype).removeprefix("torch."))
        if dtype is None or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or name == "__metadata__":
            raise Unusable(f"holds “{name[:80]}” in a form that safetensors does not have. It is not converted.")
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=True).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise Unusable("holds more names than a safetensors file can. It is not converted.")
    result.write(len(text).to_bytes(8, "little") + text)
    for _, tensor in ordered:
        plain = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        result.write(memoryview(plain.view(torch.uint8).numpy()))
    result.flush()
    return len(ordered)


if __name__ == "__main__":
    main()
