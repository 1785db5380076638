"""Shows a file in the file manager of the machine that Gesso runs on."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

from webui.core.errors import Unsupported


def command(file: Path, platform: str) -> list[str]:
    """The file manager's arguments: the file selected where that can be asked for, else its folder."""
    if platform == "win32":
        return ["explorer", f"/select,{file}"]
    if platform == "darwin":
        return ["open", "-R", str(file)]
    return ["xdg-open", str(file.parent)]


def reveal(file: Path) -> None:
    """Returns at once. Raises `Unsupported`, with the path, where there is no file manager."""
    arguments = command(file, sys.platform)
    program = shutil.which(arguments[0])
    if program is None:
        raise Unsupported(f"There is no file manager to show the picture with. It is {file}.")
    started = subprocess.Popen(
        [program, *arguments[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    threading.Thread(target=started.wait, name="reveal", daemon=True).start()  # else it stays behind as a zombie
