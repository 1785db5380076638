"""`Exchange`: one HTTP request and its answer, watched on the way: body size, security headers, the end of session and program."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.door.answers import secured, send_error

MIB = 2**20
LOOK = 2.0  # seconds between looks whether a stream's person is still let in
_GONE: Message = {"type": "http.disconnect"}


class Exchange:
    """`receive` and `send` are handed to the app in place of the server's."""

    def __init__(self, receive: Receive, send: Send, limit: int, closing: asyncio.Event, welcome: Callable[[], bool] | None = None) -> None:
        """`welcome` says whether the person is still let in; None for one who always is."""
        self._receive = receive
        self._send = send
        self._limit = limit
        self._closing = closing
        self._welcome = welcome
        self._gone: asyncio.Future[Message] | None = None  # what the server says when the client goes
        self._cut = False  # the app was told that the client went, though it is there
        self._came = 0  # bytes of the body so far
        self._whole = False
        self._answered = False
        self._complete = False
        self.too_large = False

    def declares_too_much(self, headers: Headers) -> bool:
        """Whether the announced length is over the limit, so that nothing of it need be read."""
        declared = headers.get("content-length", "")
        return declared.isdecimal() and (len(declared) > 15 or int(declared) > self._limit)

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Let the app answer; where the body turned out too large, answer 413 whatever it says."""
        try:
            await app(scope, self.receive, self.send)
        except ClientDisconnect:
            if not self.too_large:
                raise
        finally:
            if self._gone is not None:
                self._gone.cancel()
        if self.too_large and not self._answered:
            await self.refuse()
        elif self._cut and self._answered and not self._complete:
            await self._send({"type": "http.response.body", "body": b""})  # a stream that was cut short ends in good order

    async def refuse(self) -> None:
        size = f"{self._limit // MIB} MiB" if self._limit >= MIB else f"{self._limit // 1024} KiB"
        await send_error(self._send, 413, f"This is larger than {size}, which is the most that is taken here.", [(b"connection", b"close")])

    async def whole_body(self) -> bytes:
        """All of a small body; check `too_large` after."""
        parts = []
        while not self._whole:
            message = await self.receive()
            if message["type"] != "http.request":
                break
            parts.append(message.get("body", b""))
        return b"".join(parts)

    async def receive(self) -> Message:
        if self._whole:
            return await self._until_gone()
        message = await self._receive()
        if message["type"] == "http.request":
            self._came += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._came > self._limit:
                self.too_large = self._whole = True
                return _GONE
        return message

    async def _until_gone(self) -> Message:
        """Wait for the client to go, or for its session or the program to end: to a stream all are the same."""
        if self._gone is None:  # kept between calls, each of which may be given up after the first look
            self._gone = asyncio.ensure_future(self._receive())
        ending = asyncio.ensure_future(self._closing.wait())
        either: set[asyncio.Future[Any]] = {self._gone, ending}
        try:
            while not self._over():
                await asyncio.wait(either, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
        return self._gone.result() if self._gone.done() else _GONE

    def _over(self) -> bool:
        if self._gone is not None and self._gone.done():
            return True
        self._cut = self.too_large or self._closing.is_set() or (self._welcome is not None and not self._welcome())
        return self._cut

    async def send(self, message: Message) -> None:
        if self.too_large and not self._answered:
            return  # the app answers a request that it thinks broken off; ours comes in its place
        if message["type"] == "http.response.start":
            self._answered = True
            message = {**message, "headers": secured(message.get("headers", ()))}
        else:
            self._complete = not message.get("more_body", False)
        await self._send(message)
