"""Reads a pickle's opcodes and runs none. A hint, not a wall: the wall is `torch.load(weights_only=True)` in a process of its own.

What is let through is what torch's own restricted unpickler understands (`torch/_weights_only_unpickler.py`) and no more, so that
a trick by which the two could read a file differently ends here.
"""

import pickletools
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

MAX_PICKLE = 64_000_000  # bytes; the largest checkpoints' take some megabytes, as their tensors lie elsewhere
MAX_SHOWN = 120  # characters of a global's name

OPCODES = frozenset({
    "PROTO", "GLOBAL", "NEWOBJ", "REDUCE", "BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "MARK", "TUPLE", "TUPLE1",
    "TUPLE2", "TUPLE3", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "BININT",
    "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINPERSID", "BINGET", "LONG_BINGET", "BINPUT",
    "LONG_BINPUT", "LONG1", "STOP",
})  # fmt: skip
STORAGES = (
    "Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool", "Untyped", "ComplexFloat",
    "ComplexDouble",
)  # fmt: skip
DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64", "float8_e4m3fn",
    "float8_e5m2",
)  # fmt: skip
ALLOWED = frozenset(
    [
        "collections.OrderedDict",
        "collections.Counter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch.nn.parameter.Parameter",
        "torch.Size",
        "torch.device",
        "torch.serialization._get_layout",
        "torch.storage.UntypedStorage",
        *(f"torch.{storage}Storage" for storage in STORAGES),
        *(f"torch.{dtype}" for dtype in DTYPES),
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
        "numpy.dtype",
        "numpy.ndarray",
        "builtins.set",  # an empty one hangs on every torch.nn module
        "_codecs.encode",  # how protocol 2 writes the bytes of numpy's numbers
    ]
)
STAND_INS = frozenset(  # never imported: an empty class of ours takes their place, and what hangs on it is looked at as data
    [
        "torch.nn.modules.container.ParameterDict",  # embeddings as the first trainers saved them
        "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",  # a key in the first Stable Diffusion checkpoints
    ]
)
_STRINGS = frozenset({"BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINUNICODE8", "SHORT_BINSTRING", "BINSTRING", "STRING"})


class Unfit(Exception):
    """A file that is not converted; the text goes on after the file's name. `name` is the forbidden global, if that is why."""

    def __init__(self, sentence: str, name: str = "") -> None:
        super().__init__(sentence)
        self.name = name


class Seen(NamedTuple):
    """One pickle, read to its end."""

    globals: tuple[str, ...]  # in the order of their first use
    last: object  # the argument of the opcode before the last: a plain number's value


class Bounded:
    """The next bytes of a file, up to a bound: a length that lies costs nothing."""

    def __init__(self, file: BinaryIO, most: int = MAX_PICKLE) -> None:
        self._file, self._left = file, most

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise Unfit(f"holds a pickle of more than {MAX_PICKLE // 1_000_000} MB, which no weights have. It is not opened.")

    def read(self, size: int) -> bytes:
        self._take(size)
        return self._file.read(size)

    def readline(self) -> bytes:
        made = self._file.readline(min(self._left, 10_000) + 1)
        self._take(len(made))
        return made

    def tell(self) -> int:
        return self._file.tell()


def read_pickle(file: BinaryIO) -> Seen:
    """One pickle from where the file stands to its STOP. Raises `Unfit`."""
    found: dict[str, None] = {}
    last: object = None
    foreign = ""  # what it would call says more than an instruction that only newer pickles have
    try:
        for name, argument, what in _operations(file):
            if what is not None and what not in ALLOWED and what not in STAND_INS:
                raise Unfit(
                    f"would call {what[:MAX_SHOWN]} when it is opened, which weights never need. It is not opened.", what[:MAX_SHOWN]
                )
            if what is not None:
                found[what] = None
            foreign = foreign or ("" if name in OPCODES else name)
            last = argument if name != "STOP" else last
    except Unfit as unfit:
        if unfit.name or not foreign:
            raise
    if foreign:
        raise Unfit(f"uses the pickle instruction {foreign}, which PyTorch's weight files do not have. It is not opened.")
    return Seen(tuple(found), last)


def _operations(file: BinaryIO) -> Iterator[tuple[str, object, str | None]]:
    """(opcode, its argument, the global it names). Text that an opcode takes from the stack is followed as far as a name needs."""
    texts: list[str] = ["?", "?"]  # the last ones put onto the stack
    memo: dict[int, str] = {}
    try:
        for operation, argument, _ in pickletools.genops(Bounded(file)):  # type: ignore[arg-type]  # it needs read, readline and tell
            name = operation.name
            what: str | None = None
            if name in ("GLOBAL", "INST"):
                what = _modern(*str(argument).partition(" ")[::2])
            elif name == "STACK_GLOBAL":
                what = f"{texts[-2]}.{texts[-1]}"
            elif name.startswith("EXT"):
                what = f"extension {argument}"
            elif name in _STRINGS:
                texts.append(argument if isinstance(argument, str) else "?")
            elif name in ("MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"):
                memo[argument if isinstance(argument, int) else len(memo)] = texts[-1]
            elif name in ("BINGET", "LONG_BINGET", "GET"):
                texts.append(memo.get(argument, "?") if isinstance(argument, int) else "?")
            del texts[:-8]
            yield name, argument, _shown(what)
    except (ValueError, EOFError, OverflowError, struct.error, IndexError) as error:
        raise Unfit("is damaged or cut off: its pickle does not end as one does. Copy or download it again.") from error


def _modern(module: str, name: str) -> str:
    """Protocol 2 writes the names of Python 2; torch's unpickler reads them so, too."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def _shown(name: str | None) -> str | None:
    """A name that an enemy chose, as one printable line."""
    if name is None:
        return None
    return "".join(letter if letter.isprintable() and letter.isascii() else "?" for letter in name)
