"""`Settings`: what a start is configured with. Frozen; read at composition, never during a run."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, ValidationError

from webui.core.errors import SetupError
from webui.core.request import Frozen, describe
from webui.options import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PORT = 7860
EMBEDDED = ROOT / "models" / "checkpoints" / "starter-landscapes"  # comes with the program, wherever the other weights are
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Settings(Frozen):
    """Every field is a row of `webui.options.OPTIONS`. Folders left open are placed below `data_dir`."""

    listen: bool = False
    host: str | None = None  # None: 127.0.0.1, or 0.0.0.0 with listen
    port: int | None = Field(None, ge=1, le=65535)
    passcode: Annotated[str, StringConstraints(strip_whitespace=True, min_length=4, max_length=200)] | None = Field(None, repr=False)
    allow_host: str | None = None  # "studio.example, gesso.home"
    browser: bool = True
    theme: Literal["system", "light", "dark"] = "system"
    device: str = "auto"
    models_dir: Path | None = None
    outputs_dir: Path | None = None
    data_dir: Path = ROOT
    extensions_dir: Path | None = None
    extensions: bool = True
    fake_engine: bool = False
    ram_budget: float | None = Field(None, gt=0, description="GB")

    @property
    def models(self) -> Path:
        return (self.models_dir or self.data_dir / "models").absolute()

    @property
    def outputs(self) -> Path:
        return (self.outputs_dir or self.data_dir / "outputs").absolute()

    @property
    def extensions_folder(self) -> Path:
        return (self.extensions_dir or self.data_dir / "extensions").absolute()

    @property
    def database(self) -> Path:
        return self.outputs / "gesso.sqlite3"

    @property
    def bind(self) -> str:
        return self.host or ("0.0.0.0" if self.listen else "127.0.0.1")

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """The further names of `--allow-host`: of a whole address that was given, its host."""
        names = [name.strip() for name in (self.allow_host or "").lower().split(",")]
        return tuple(urlsplit(name if "://" in name else f"//{name}").hostname or name for name in names if name)

    @property
    def shared(self) -> bool:
        """Whether anyone but this machine can reach the page, by a proxy's name too, so that a passcode guards it."""
        return self.bind not in LOOPBACK or bool(self.allowed_hosts)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SetupError(message)


def parser() -> argparse.ArgumentParser:
    """The command line as argparse sees it, drawn from `OPTIONS`."""
    made = _Parser(prog="launch.py", allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for option in OPTIONS:
        names = (option.flag, *option.aliases)
        if option.metavar is None:
            made.add_argument(*names, dest=option.field, help=option.help, action="store_const", const=option.value)
        else:
            made.add_argument(*names, dest=option.field, help=option.help, metavar=option.metavar, choices=option.choices or None)
    return made


def from_command_line(arguments: Sequence[str]) -> Settings:
    """Raises `SetupError` with the nearest known option, or the option's allowed range."""
    known, unknown = parser().parse_known_args(arguments)
    if unknown:
        flags = [name for option in OPTIONS for name in (option.flag, *option.aliases)]
        near = difflib.get_close_matches(unknown[0].split("=")[0], flags, n=1)
        hint = f" Did you mean {near[0]}?" if near else " `--help` lists them all."
        raise SetupError(f"There is no option {unknown[0]}.{hint}")
    try:
        return Settings.model_validate(vars(known))
    except ValidationError as error:
        complaint = describe(error)
        if complaint.field == "passcode":  # which is not repeated on the screen
            raise SetupError("A passcode has 4 to 200 characters.") from None
        raise SetupError(str(complaint)) from error
