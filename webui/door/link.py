"""The LAN link: the addresses under which colleagues find this machine, and a QR code that lets one in. Drawn here, asked of nobody."""

import io
import secrets
import socket

import psutil
import segno

from webui.database import Database
from webui.door.origin import LOOPBACK_NAMES, address
from webui.door.passcode import Codes, Passcode, Throttle, scrypt
from webui.door.people import People

_VIRTUAL = ("docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "flannel", "lxc")
_FLAG = "link_passcode"


class Link:
    """All that lets a colleague in. Exists only where the page can be reached from other machines."""

    def __init__(self, database: Database, given: str | None, bind: str, port: int) -> None:
        self.passcode = Passcode(given)
        self.people = People(database)
        self.codes = Codes()
        self.throttle = Throttle()
        self._bind = bind
        self._port = port
        if given is not None:
            self._forget_another_passcode(database, given)

    def _forget_another_passcode(self, database: Database, given: str) -> None:
        """A host who gives a new passcode wants those out who came in by the old one; a made one is new at each start, and does not."""
        rows = database.read("SELECT value FROM flags WHERE name = ?", (_FLAG,))
        salt, _, known = rows[0]["value"].partition(":") if rows else ("", "", "")
        if known and secrets.compare_digest(scrypt(given, bytes.fromhex(salt)).hex(), known):
            return
        self.people.end_all()
        fresh = secrets.token_bytes(16)
        with database.write() as db:
            db.execute("INSERT OR REPLACE INTO flags VALUES (?, ?)", (_FLAG, f"{fresh.hex()}:{scrypt(given, fresh).hex()}"))

    def urls(self) -> list[str]:
        """Where colleagues find the page, the likeliest first; none where only a proxy, whose address it knows, leads here."""
        if self._bind in LOOPBACK_NAMES:
            return []
        hosts = addresses() if self._bind in ("0.0.0.0", "::") else [self._bind]
        return [f"http://{f'[{host}]' if ':' in host else host}:{self._port}" for host in hosts]

    def invitation(self) -> str | None:
        """A URL that lets one person in, once. The code is in the fragment, which browsers send to nobody; None without a network."""
        urls = self.urls()
        return f"{urls[0]}/login#{self.codes.new()}" if urls else None


def addresses() -> list[str]:
    """This machine's IPv4 addresses on networks: the one that reaches out first, those of virtual machines and containers last."""
    outward = _outward()
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found: list[tuple[bool, bool, str]] = []
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            known = address(entry.address) if entry.family == socket.AF_INET else None
            if name in up and known is not None and not (known.is_loopback or known.is_link_local):
                found.append((entry.address != outward, name.startswith(_VIRTUAL), entry.address))
    return [text for *_, text in sorted(found)]


def _outward() -> str | None:
    """The address from which this machine would speak to another network; a UDP `connect` only looks up the route and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
        except OSError:
            return None
        return str(probe.getsockname()[0])


def qr_svg(url: str) -> str:
    """A QR code as an inline SVG: dark on white with its quiet zone, in both themes, as scanners want it."""
    out = io.BytesIO()
    code = segno.make(url, error="m", micro=False)
    code.save(out, kind="svg", border=4, dark="#000", light="#fff", xmldecl=False, omitsize=True)
    return out.getvalue().decode()


def qr_lines(url: str) -> list[str]:
    """A QR code as lines of half blocks, two modules a character, black on white by ANSI colours whatever the terminal's are."""
    modules = [list(row) for row in segno.make(url, error="l", micro=False).matrix_iter(border=2)]
    if len(modules) % 2:
        modules.append([0] * len(modules[0]))
    blocks = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}
    pairs = zip(modules[::2], modules[1::2], strict=True)
    return [f"\x1b[38;5;16;48;5;231m{''.join(blocks[cell] for cell in zip(top, bottom, strict=True))}\x1b[0m" for top, bottom in pairs]
