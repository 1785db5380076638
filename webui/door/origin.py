"""Where a request comes from and under which name it asks: pure checks on headers, no state."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.types import Scope

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD"})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?")
# Any of these says that the peer is a proxy, and that the person behind it sits elsewhere.
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "cf-connecting-ip")


def host_name(headers: Headers) -> str | None:
    """The name in the one Host header: lower case, without port, brackets and a final dot; None when there is no such name."""
    values = headers.getlist("host")
    found = _HOST.fullmatch(values[0].lower()) if len(values) == 1 else None
    if found is None:
        return None
    return found[1] or found[2].rstrip(".") or None


def host_allowed(name: str | None, scope: Scope, names: Iterable[str]) -> bool:
    """Whether the page may be opened under `name`: this machine's own names, or the very address the connection came to.

    A page of another site that has its own name point here (DNS rebinding) asks under that name, and is refused.
    """
    if name is None:
        return False
    server = scope.get("server")
    reached = address(server[0]) if server else None
    return name in LOOPBACK_NAMES or name in names or (reached is not None and address(name) == reached)


def foreign(scope: Scope, headers: Headers) -> bool:
    """Whether a page of another origin is behind this request; a program that is no browser sends neither header.

    Browsers say `Origin` with every cross-origin call that could be read and with every POST; over plain http on a LAN they do not
    say `Sec-Fetch-Site`, so both are asked. A link from elsewhere may be followed, but nothing of ours may be embedded. The policy is
    https://web.dev/articles/fetch-metadata.
    """
    origins = headers.getlist("origin")
    if origins and (len(origins) > 1 or not _same_origin(origins[0], headers.get("host", ""))):
        return True
    site = headers.get("sec-fetch-site", "none")
    if site in ("same-origin", "none"):
        return False
    followed = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (scope["type"] == "http" and scope["method"] in SAFE_METHODS and followed)


def _same_origin(origin: str, host: str) -> bool:
    """Ports count: another program on this machine is another origin. The scheme does not: a proxy may speak https for us."""
    scheme, _, rest = origin.lower().partition("://")
    return scheme in ("http", "https") and rest == host.lower()


def at_this_machine(scope: Scope, headers: Headers) -> bool:
    """Whether the person sits at this machine: a loopback peer that asks for a loopback name and is no proxy.

    nginx by default says nothing of whom it speaks for, asks under our loopback address, and speaks HTTP/1.0, which no browser does.
    """
    client = scope.get("client")
    peer = address(client[0]) if client else None
    direct = scope.get("http_version") != "1.0" and not any(name in headers for name in _FORWARDED)
    return direct and peer is not None and peer.is_loopback and host_name(headers) in LOOPBACK_NAMES


def address(text: str) -> IPv4Address | IPv6Address | None:
    """The address in `text`, an IPv4 one also where it is written as IPv6; None for a name."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def neighbour(peer: str) -> str:
    """Who counts as one: an IPv4 address, or an IPv6 /64, of which one machine has all."""
    found = address(peer)
    return str(int(found) >> 64) if isinstance(found, IPv6Address) else str(found or peer)
