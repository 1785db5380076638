"""The server in front of the door: uvicorn, which ends open streams at a signal, and holds only so many connections of a neighbour."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from webui.door.door import Door
from webui.door.origin import address, neighbour

MOST_OF_ONE = 64  # connections of one neighbour; a browser holds six
MOST_OF_ALL = 512  # of all neighbours together: fewer than a system opens for one program, so that the host still comes in
IDLE = 10.0  # seconds between looks; a connection that waits for one and the same request at two of them is closed


class Line(H11Protocol):
    """One connection. A neighbour who opens hundreds, or begins requests and never ends them, keeps nobody else out."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.neighbour: str | None = None  # None for this machine itself
        self._look: asyncio.TimerHandle | None = None
        self._waiting_after: object = self  # the request whose end this waited after at the last look

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's narrower one
        super().connection_made(transport)
        peer = address(self.client[0]) if self.client else None
        self.neighbour = None if peer is not None and peer.is_loopback else neighbour(self.client[0] if self.client else "")
        if self.neighbour is not None and self._too_many():
            transport.abort()
        else:
            self._look = self.loop.call_later(IDLE, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._look is not None:
            self._look.cancel()

    def _too_many(self) -> bool:
        """Itself counted."""
        others = [line.neighbour for line in self.connections if isinstance(line, Line) and line.neighbour is not None]
        return len(others) > MOST_OF_ALL or others.count(self.neighbour) > MOST_OF_ONE

    def _close_if_idle(self) -> None:
        """uvicorn waits for ever for the rest of a request's head, and forgets that a connection was idle at its first byte."""
        waiting = self.cycle is None or self.cycle.response_complete
        if waiting and self._waiting_after is self.cycle:
            self.transport.close()
            return
        self._waiting_after = self.cycle if waiting else self
        self._look = self.loop.call_later(IDLE, self._close_if_idle)


class Server(uvicorn.Server):
    """uvicorn, which tells when it answers, and ends the open streams at a signal so that nothing waits for them."""

    def __init__(self, door: Door, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                door,
                loop="asyncio",
                http=Line,
                ws="none",  # nothing of ours speaks it; the door checks it all the same
                lifespan="on",
                log_config=None,
                access_log=False,  # addresses of people and their pictures are nobody's business
                server_header=False,
                proxy_headers=False,  # a peer that is believed to be another could be believed to be the host
                timeout_graceful_shutdown=1,
            )
        )
        self._door = door
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        if self.started:
            threading.Thread(target=self._ready, name="ready", daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Unlike uvicorn's own, leaves the signal at that: what was captured would be raised again before all is closed."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._door.close)
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
