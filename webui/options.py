"""The command line's rows. Stdlib only, and importable by path: `launch.py` prints them before anything is installed."""

from typing import NamedTuple


class Option(NamedTuple):
    """One option. `field` is the name in `Settings`; `aliases` are A1111's spellings where the meaning is the same."""

    field: str
    flag: str
    help: str
    metavar: str | None = None  # None: a switch
    aliases: tuple[str, ...] = ()
    value: object = True  # what a switch stores
    choices: tuple[str, ...] = ()


OPTIONS = (
    Option("listen", "--listen", "open a link for the local network (behind a passcode)"),
    Option("host", "--host", "address to bind to", "ADDRESS", ("--server-name",)),
    Option("port", "--port", "port; without it 7860, or the next free one", "NUMBER"),
    Option("passcode", "--passcode", "passcode of the LAN link; without it one is made and printed", "TEXT"),
    Option("allow_host", "--allow-host", "more names to open the page under (behind a proxy, and a passcode), split by commas", "NAMES"),
    Option("browser", "--no-browser", "do not open the browser", value=False),
    Option("browser", "--browser", "open the browser (default)", aliases=("--autolaunch",)),
    Option("theme", "--theme", "colours of the page: system, light or dark", "NAME", choices=("system", "light", "dark")),
    Option("device", "--device", "device to run on: auto, cpu, cuda, cuda:1, mps …", "NAME"),
    Option("device", "--cpu", "same as --device cpu", aliases=("--always-cpu",), value="cpu"),
    Option("models_dir", "--models-dir", "folder of weight files", "FOLDER"),
    Option("outputs_dir", "--outputs-dir", "folder of pictures, the database and logs", "FOLDER"),
    Option("data_dir", "--data-dir", "folder that holds models/, outputs/ and extensions/", "FOLDER"),
    Option("extensions_dir", "--extensions-dir", "folder of extensions", "FOLDER"),
    Option("extensions", "--no-extensions", "start without extensions", aliases=("--disable-all-extensions",), value=False),
    Option("fake_engine", "--fake-engine", "flat colours instead of diffusion, for tests and work on the page"),
    Option("ram_budget", "--ram-budget", "cap on the memory that checkpoints may take, in GB", "NUMBER"),
)
