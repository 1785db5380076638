"""Speaks ASGI to an app, header by header, as no well-behaved client would."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

HERE = ("127.0.0.1", 50000)
COLLEAGUE = ("192.168.1.7", 50000)
SERVER = ("192.168.1.5", 7860)
Pairs = Iterable[tuple[str, str]]


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def text(self) -> str:
        return self.body.decode()


def scope_of(method: str, path: str, headers: Pairs, client: Any, server: Any) -> dict[str, Any]:
    plain, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": client,
        "server": server,
        "state": {},
    }


async def converse(app: ASGIApp, scope: dict[str, Any], body: Iterable[bytes] = (b"",)) -> Answer:
    parts = list(body)
    sent: list[Any] = []

    async def receive() -> Any:
        if parts:
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if scope["type"] == "websocket":
        return Answer(sent[0].get("code", 0) if sent else 0, [], sent[0]["type"].encode() if sent else b"")
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def call(
    app: ASGIApp,
    method: str = "GET",
    path: str = "/",
    headers: Pairs = (),
    *,
    host: str | None = "127.0.0.1:7860",
    client: Any = HERE,
    server: Any = ("127.0.0.1", 7860),
    body: Iterable[bytes] = (b"",),
    version: str = "1.1",
) -> Answer:
    pairs = ([("host", host)] if host is not None else []) + list(headers)
    return asyncio.run(converse(app, scope_of(method, path, pairs, client, server) | {"http_version": version}, body))


def form(**fields: str) -> list[bytes]:
    from urllib.parse import urlencode

    return [urlencode(fields).encode()]
