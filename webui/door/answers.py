"""What the door answers itself: the login page, refusals as JSON, redirects. And the security headers of every answer."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

from starlette.types import Send

_PAGE = (Path(__file__).parent / "login.html").read_text(encoding="utf-8")
Headers = Iterable[tuple[bytes, bytes]]

# Gradio runs inline scripts and builds functions from text: its page needs the two 'unsafe' words. Nothing is fetched from another host.
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:;"
    " connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# `same-origin` and not `no-referrer`, under which browsers say `Origin: null` when our own forms are sent.
SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    (b"content-security-policy", PAGE_POLICY.encode()),
)


def secured(headers: Headers) -> list[tuple[bytes, bytes]]:
    """An answer's headers with ours added where it has none of that name, and without any that would let another origin read it."""
    kept = [(name, value) for name, value in headers if not name.lower().startswith(b"access-control-")]
    present = {name.lower() for name, _ in kept}
    return kept + [pair for pair in SECURITY_HEADERS if pair[0] not in present]


def _inline_hashes(tag: str) -> str:
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", _PAGE, flags=re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found)


LOGIN_POLICY = (
    f"default-src 'none'; script-src {_inline_hashes('script')}; style-src {_inline_hashes('style')}; img-src data:;"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


async def send_body(send: Send, status: int, kind: str, body: bytes, headers: Headers = ()) -> None:
    """One whole answer that no cache keeps."""
    base = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": secured([*base, *headers])})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, status: int, message: str, headers: Headers = ()) -> None:
    """A refusal in the API's shape."""
    body = json.dumps({"error": {"message": message, "field": None, "kind": "Refused"}}, ensure_ascii=False).encode()
    await send_body(send, status, "application/json", body, headers)


async def send_redirect(send: Send, location: str, headers: Headers = ()) -> None:
    """See other: a GET follows. `location` is a path of ours."""
    await send_body(send, 303, "text/plain", b"", [(b"location", location.encode("ascii", "ignore")), *headers])


async def send_login(send: Send, status: int, *, path: str = "/", name: str = "", error: str = "", headers: Headers = ()) -> None:
    """The login page; `path` is where the person wanted to go."""
    values = {"next": path, "name": name[:40], "error": error}
    page = re.sub(r"\{(next|name|error)\}", lambda found: html.escape(values[found[1]]), _PAGE)
    policy = [(b"content-security-policy", LOGIN_POLICY.encode()), *headers]
    await send_body(send, status, "text/html; charset=utf-8", page.encode("utf-8", "replace"), policy)
