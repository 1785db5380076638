"""`Exchange`: one HTTP request and its answer, watched on the way: body size, security headers, the end of session and program."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.door.answers import secured, send_error

MIB = 2**20
LOOK = 2.0  # seconds between looks whether a stream's person is still let in
_GONE: Message = {"type": "http.disconnect"}


class Closing:
    """The end of the program, told to all who wait for it, each on the event loop that it runs on."""

    def __init__(self) -> None:
        self._over = False
        self._waiting: set[asyncio.Event] = set()

    def set(self) -> None:
        self._over = True
        for event in self._waiting:
            event.set()

    @contextmanager
    def heard(self) -> Iterator[asyncio.Event]:
        """Something to wait for, that is set when the program ends, or did."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            if self._over:
                event.set()
            yield event
        finally:
            self._waiting.discard(event)


class Exchange:
    """`receive` and `send` are handed to the app in place of the server's."""

    def __init__(
        self, receive: Receive, send: Send, limit: int, closing: Closing, welcome: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        """`welcome` says whether the person is still let in; None for one who always is."""
        self._receive = receive
        self._send = send
        self._limit = limit
        self._closing = closing
        self._welcome = welcome
        self._gone: asyncio.Future[Message] | None = None  # what the server says when the client goes
        self._ended: asyncio.Future[None] | None = None  # done when its session or the program is over
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
            for watch in (self._gone, self._ended):
                if watch is not None:
                    watch.cancel()
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
        if self.too_large:
            return self._cut_off()
        if self._gone is None or self._ended is None:  # kept between calls, each of which may be given up at its first wait
            self._gone, self._ended = asyncio.ensure_future(self._receive()), asyncio.ensure_future(self._until_over())
        if not (self._gone.done() or self._ended.done()):
            either: set[asyncio.Future[Any]] = {self._gone, self._ended}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self._gone.done():
            return self._gone.result()
        self._ended.result()  # raises what the look raised
        return self._cut_off()

    async def _until_over(self) -> None:
        """A look every now and then, for the session may end elsewhere."""
        with self._closing.heard() as closing:
            while not closing.is_set() and (self._welcome is None or await self._welcome()):
                with suppress(TimeoutError):  # time for the next look
                    await asyncio.wait_for(closing.wait(), None if self._welcome is None else LOOK)

    def _cut_off(self) -> Message:
        self._cut = True
        return _GONE

    async def send(self, message: Message) -> None:
        if self.too_large and not self._answered:
            return  # the app answers a request that it thinks broken off; ours comes in its place
        if message["type"] == "http.response.start":
            self._answered = True
            message = {**message, "headers": secured(message.get("headers", ()))}
        else:
            self._complete = not message.get("more_body", False)
        await self._send(message)
