#!/usr/bin/env python3
"""Sets Gesso up in `.venv` and starts it. Stdlib only, and it parses on Python 3.6, so that an old Python can say what is needed."""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Gesso needs Python 3.11 or newer; this is Python %d.%d (%s).\n"
        "Install one (python.org, or your package manager) and start with it, for example: python3.12 launch.py"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

import difflib
import errno
import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from webui.options import OPTIONS, Option
from webui.setup.hardware import CHOICES
from webui.setup.home import Home, Stop, Want, clean_environment, ready

ROOT = Path(__file__).resolve().parent
WINDOWS = os.name == "nt"

HELP = """\
usage: python launch.py [options]                            set up if needed, start Gesso and open the browser
       python launch.py test [--all] [pytest's options]      set up with the test tools and run the tests
       python launch.py bench [options]                      measure

set-up:
{setup}
options:
{options}
The environment variable COMMANDLINE_ARGS is read as options that stand before these."""

SETUP_HELP = (
    ("--torch NAME", "build of PyTorch: auto, cpu, cuda or rocm; remembered (default: by the hardware found)"),
    ("--reinstall", "make .venv again from nothing"),
    ("--skip-install", "start with what is installed"),
    ("-h, --help", "show this; needs no set-up"),
)


class Command(NamedTuple):
    action: str = "run"  # or test, bench, help
    arguments: tuple[str, ...] = ()  # passed on
    torch: str | None = None  # None: as it is, or by the hardware
    skip: bool = False
    reinstall: bool = False
    port: int | None = None
    host: str = "127.0.0.1"


def help_text(options: Sequence[Option]) -> str:
    rows = []
    for option in options:
        names = ", ".join((option.flag, *option.aliases)) + (f" {option.metavar}" if option.metavar else "")
        rows.append((names, option.help))
    width = max(len(name) for name, _ in (*rows, *SETUP_HELP)) + 2
    setup, program = ("".join(f"  {name:<{width}}{what}\n" for name, what in block) for block in (SETUP_HELP, rows))
    return HELP.format(setup=setup, options=program)


def read_command(argv: Sequence[str], options: Sequence[Option], environment: Mapping[str, str]) -> Command:
    """The command line, with what COMMANDLINE_ARGS holds in front of it where the program is started."""
    command = parse(argv, options)
    try:
        words = environment_options(environment) if command.action == "run" else []
        if words and parse(words, options).action != "run":
            raise Stop("it holds options of the program, no command.")
    except Stop as stop:
        raise Stop(f"COMMANDLINE_ARGS={environment['COMMANDLINE_ARGS']}: {stop}") from stop
    return parse([*words, *argv], options) if words else command


def environment_options(environment: Mapping[str, str]) -> list[str]:
    """A1111's variable. A backslash is part of a path on Windows, so quotes are all that is undone there."""
    try:
        words = shlex.split(environment.get("COMMANDLINE_ARGS", ""), posix=not WINDOWS)
    except ValueError as error:
        raise Stop(f"a quote is left open ({error}).") from error
    return [word.replace('"', "") for word in words] if WINDOWS else words


def parse(argv: Sequence[str], options: Sequence[Option]) -> Command:
    """Splits what is ours from what is passed on; a word that nobody knows ends here, before a long install."""
    command, rest = Command(), list(argv)
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.partition("=")
        if word in ("-h", "--help"):
            return Command("help")
        if name == "--torch":
            command = command._replace(torch=_torch(value if has_value else rest.pop(0) if rest else ""))
        elif word == "--skip-install":
            command = command._replace(skip=True)
        elif word == "--reinstall":
            command = command._replace(reinstall=True)
        elif command.action != "run":
            passed = "--run-long" if (command.action, word) == ("test", "--all") else word
            command = command._replace(arguments=(*command.arguments, passed))
        elif word in ("test", "bench"):
            command = Command(word, (), command.torch, command.skip, command.reinstall)
        else:
            command = _known(command, _option(name, options), name, [value] if has_value else [], rest)
    return command


def _torch(value: str) -> str:
    if value not in CHOICES:
        raise Stop(f"--torch takes {', '.join(CHOICES)}; not {value!r}.")
    return value


def _option(name: str, options: Sequence[Option]) -> Option:
    names = {each: option for option in options for each in (option.flag, *option.aliases)}
    if name in names:
        return names[name]
    near = difflib.get_close_matches(name, [*names, "--torch", "--reinstall", "--skip-install", "--help", "test", "bench"], n=1)
    what = "option" if name.startswith("-") else "command"
    raise Stop(f"There is no {what} {name}. " + (f"Did you mean {near[0]}?" if near else "python launch.py --help lists them all."))


def _known(command: Command, option: Option, name: str, given: list[str], rest: list[str]) -> Command:
    """`command` with one of the program's options and its value, taken from `given` or else from `rest`."""
    if option.metavar is None:
        if given:
            raise Stop(f"{name} takes no value.")
        host = "0.0.0.0" if option.field == "listen" and command.host == "127.0.0.1" else command.host
        return command._replace(arguments=(*command.arguments, name), host=host)
    if not given and (not rest or rest[0].startswith("--")):
        raise Stop(f"{name} needs a value: {name} {option.metavar} ({option.help}).")
    value = given[0] if given else rest.pop(0)
    if option.choices and value not in option.choices:
        raise Stop(f"{name} takes {', '.join(option.choices)}; not {value!r}.")
    command = command._replace(arguments=(*command.arguments, f"{name}={value}"))
    if option.field == "host":
        return command._replace(host=value)
    if option.field == "port":
        if not value.isdecimal() or not 1 <= int(value) <= 65535:
            raise Stop(f"{name} takes a number from 1 to 65535, not {value!r}.")
        return command._replace(port=int(value))
    return command


def check_port(host: str, port: int) -> None:
    problem = _port_problem(host, port)
    if problem == errno.EADDRINUSE:
        free = next((each for each in range(port + 1, min(port + 100, 65536)) if _port_problem(host, each) is None), None)
        way_out = f"Port {free} is free: python launch.py --port {free}" if free else "Choose another with --port."
        raise Stop(f"Port {port} is in use by another program, or by a Gesso that runs already. {way_out}")
    if problem in (errno.EACCES, errno.EPERM):
        raise Stop(f"This account may not open port {port}. Ports from 1024 up are open to everyone: python launch.py --port 7860")
    if problem is not None:
        raise Stop(f"Cannot listen on {host}, port {port}: {os.strerror(problem)}. Check the address that --host names.")


def _port_problem(host: str, port: int) -> int | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if not WINDOWS:  # there it would let two programs share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror:
            return errno.EADDRNOTAVAIL
        except OSError as error:
            return errno.EADDRINUSE if error.errno == getattr(errno, "WSAEADDRINUSE", None) else error.errno
    return None


def run(command: Command, home: Home) -> int:
    """Hands over to the program: the same process where the system can do that, so that Ctrl+C and `kill` reach it directly."""
    python = home.python if home.python.exists() else Path(sys.executable)
    module = {"run": "webui", "test": "pytest", "bench": "webui.bench"}[command.action]
    # -P: a folder named webui (A1111's, say) in the current folder must not stand in for ours.
    words = [str(python), "-P", "-m", module, *command.arguments]
    environment = clean_environment() | {"PYTHONPATH": str(home.root)}
    if command.action == "test":
        os.chdir(home.root)
    sys.stdout.flush()
    if not WINDOWS:
        os.execve(python, words, environment)
    return wait_for(subprocess.Popen(words, env=environment))


def wait_for(child: "subprocess.Popen[bytes]") -> int:
    """Windows sends Ctrl+C to the child as well: it ends in its own way, and this process stays out of that."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return child.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def main(argv: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")  # an old console lacks letters, not reasons
    try:
        command = read_command(argv, OPTIONS, os.environ)
        if command.action == "help":
            print(help_text(OPTIONS), flush=True)
            return 0
        if command.port is not None:
            check_port(command.host, command.port)
        home = Home(ROOT)
        want = Want(("test",) if command.action == "test" else (), command.torch, command.reinstall)
        if not command.skip and not ready(home, want):
            from webui.setup.steps import set_up  # only the first start pays for loading it

            set_up(home, want, sys.stdout)
        return run(command, home)
    except Stop as stop:
        print(stop, file=sys.stderr)
        return 1
    except BrokenPipeError:  # as with `--help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nStopped. Start again to go on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
