"""The page's first bytes: our styles and scripts stand in the HTML that Gradio sends, so that the first paint is already ours."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CARDS = re.compile(rb"<meta\s+(?:property|name)=\"(?:og|twitter):[^>]*>\s*")  # Gradio's advertisement, with addresses of other hosts
_PLACE = re.compile(rb"<meta\s+charset=\"utf-8\"\s*/?>")


class Front:
    """Around Gradio's app; touches nothing but the HTML of the page itself."""

    def __init__(self, app: ASGIApp, head: str) -> None:
        self._app = app
        self._head = head.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Rewriter(self._head, send))


class _Rewriter:
    """Holds back a response of HTML until it is whole; passes on every other one as it comes."""

    def __init__(self, head: bytes, send: Send) -> None:
        self._head = head
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._finish(self._start)

    async def _finish(self, start: Message) -> None:
        body = with_head(self._body, self._head)
        headers = MutableHeaders(raw=list(start["headers"]))
        headers["content-length"] = str(len(body))
        headers["cache-control"] = "no-cache"
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


def _is_page(start: Message) -> bool:
    kind = dict(start["headers"]).get(b"content-type", b"")
    return bool(start["status"] == 200 and kind.startswith(b"text/html"))


def with_head(page: bytes, head: bytes) -> bytes:
    """Our head right after the declaration of the charset, and none of Gradio's cards for other sites."""
    return _PLACE.sub(lambda found: found.group(0) + head, _CARDS.sub(b"", page), count=1)
