"""Streams through the door: they end with the client, with the session, and with the program. Nobody waits for a look at the disk."""

import asyncio
import threading
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tests.door.wire import COLLEAGUE, HERE, SERVER, converse, scope_of
from webui.core.job import Person
from webui.door import Door, Link

SOON = 5.0


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """Like our events: one word at once, then nothing for ever."""

    async def words():
        yield b"first"
        await asyncio.sleep(3600)

    await StreamingResponse(words())(scope, receive, send)


class Client:
    """Listens until it is told to go; `sent` is what it heard."""

    def __init__(self, door: Door, token: str | None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self._asked = False
        self.ended = asyncio.ensure_future(door(self.scope_of(token), self._receive, self._send))

    @staticmethod
    def scope_of(token: str | None) -> dict[str, Any]:
        """What a colleague asks who came in, and without a token what the host asks."""
        cookie = [("cookie", f"gesso_7860={token}")] if token else []
        whence = (COLLEAGUE, SERVER) if token else (HERE, ("127.0.0.1", 7860))
        return scope_of("GET", "/", [("host", f"{whence[1][0]}:7860"), *cookie], *whence)

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def heard(self) -> None:
        while not any(message.get("body") for message in self.sent):
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webui.door.exchange.LOOK", 0.05)


@pytest.mark.parametrize("ending", ["leave", "end_all"])
def test_a_stream_ends_with_its_session_and_the_others_go_on(link: Link, ending: str) -> None:
    async def run() -> None:
        door = Door(endless, link=link)
        token = link.people.enter("Ada")
        ada, host = Client(door, token), Client(door, None)
        await asyncio.wait_for(asyncio.gather(ada.heard(), host.heard()), SOON)
        await asyncio.sleep(0.2)
        assert not ada.ended.done()
        link.people.end_all() if ending == "end_all" else link.people.leave(token)
        await asyncio.wait_for(ada.ended, SOON)
        assert ada.sent[-1] == {"type": "http.response.body", "body": b""}  # in good order, not broken off
        assert not host.ended.done()
        host.gone.set()
        await asyncio.wait_for(host.ended, SOON)

    asyncio.run(run())


def test_a_stream_ends_with_the_program(link: Link) -> None:
    async def run() -> None:
        door = Door(endless, link=link)
        client = Client(door, link.people.enter("Ada"))
        await asyncio.wait_for(client.heard(), SOON)
        door.close()
        await asyncio.wait_for(client.ended, SOON)
        assert client.sent[-1] == {"type": "http.response.body", "body": b""}

    asyncio.run(run())


@pytest.mark.parametrize("ending", ["client", "session", "program"])
def test_an_app_that_only_glances_learns_that_its_client_has_gone(link: Link, ending: str) -> None:
    """Starlette's `is_disconnected` gives up at the first wait: what the first glance began, a later one reads."""
    found: list[bool] = []

    async def glancing(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await request.body()
        while not found or not found[-1]:
            found.append(await request.is_disconnected())
            await asyncio.sleep(0.01)

    async def run() -> None:
        door, token = Door(glancing, link=link), link.people.enter("Ada")
        client = Client(door, token)
        await asyncio.sleep(0.2)
        assert found
        assert not any(found)
        {"client": client.gone.set, "session": lambda: link.people.leave(token), "program": door.close}[ending]()
        await asyncio.wait_for(client.ended, SOON)

    asyncio.run(run())


def test_others_are_served_while_a_session_is_looked_up(shared: Door, link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first word of a request as well as later, while its answer streams."""
    real, looking, go = link.people.person, threading.Event(), threading.Event()

    def slow(token: str) -> Person | None:
        looking.set()
        assert go.wait(SOON)
        return real(token)

    async def served() -> None:
        await asyncio.to_thread(looking.wait, SOON)
        assert (await converse(shared, Client.scope_of(None))).status == 200
        assert not go.is_set()
        go.set()

    async def run() -> None:
        token = link.people.enter("Ada")
        monkeypatch.setattr(link.people, "person", slow)
        ada = asyncio.ensure_future(converse(shared, Client.scope_of(token)))
        await served()
        assert (await ada).status == 200

        stream = Client(Door(endless, link=link), token)
        await asyncio.wait_for(stream.heard(), SOON)
        looking.clear()
        go.clear()
        await served()
        link.people.leave(token)
        await asyncio.wait_for(stream.ended, SOON)

    asyncio.run(run())
