"""The server itself, on real sockets: a neighbour who opens many connections, or begins what they never end, keeps nobody out."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tests.door.conftest import behind
from webui.door import Door, server
from webui.door.server import Server

HEAD = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n"
SOON = 10.0


def slow(request: Request) -> StreamingResponse:
    """Speaks for a while longer than an idle connection is kept."""

    def words() -> Iterator[bytes]:
        for _ in range(8):
            time.sleep(0.1)
            yield b"word "

    return StreamingResponse(words())


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(server, "IDLE", 0.2)
    monkeypatch.setattr(server, "MOST_OF_ONE", 3)
    app, ready = behind(), threading.Event()
    app.add_route("/slow", slow)
    made = Server(Door(app), ready.set)
    made.config.port = 0
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield made.servers[0].sockets[0].getsockname()[1]
    made.handle_exit(2, None)
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def neighbourly(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own connections are taken for a neighbour's."""
    monkeypatch.setattr(server, "address", lambda text: None)


def open_line(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SOON)


def answered(line: socket.socket) -> bool:
    """Whether a request on it is answered; it stays open."""
    try:
        line.sendall(HEAD + b"\r\n")
        return line.recv(4096).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


@pytest.mark.parametrize("before", [b"", HEAD + b"\r\n"])
def test_a_request_that_never_ends_is_given_up(port: int, before: bytes) -> None:
    with open_line(port) as line:
        if before:
            line.sendall(before)
            assert line.recv(4096).startswith(b"HTTP/1.1 200")
        line.sendall(HEAD)
        began = time.monotonic()
        try:
            while line.recv(4096):
                pass
        except ConnectionError:
            pass
        assert time.monotonic() - began < SOON / 2


def test_an_answer_that_takes_its_time_is_not(port: int) -> None:
    with open_line(port) as line:
        line.sendall(HEAD.replace(b"/health", b"/slow") + b"connection: close\r\n\r\n")
        came = b""
        while more := line.recv(4096):
            came += more
    assert came.count(b"word ") == 8


@pytest.mark.usefixtures("neighbourly")
def test_a_neighbour_holds_only_so_many_connections_and_gets_more_for_each_that_ends(port: int) -> None:
    lines = [open_line(port) for _ in range(5)]
    try:
        for line in lines:
            line.sendall(HEAD.replace(b"/health", b"/slow") + b"\r\n")
        open_ones = [line for line in lines if _begins(line)]
        assert len(open_ones) == 3
        open_ones[0].close()
        deadline = time.monotonic() + SOON
        while time.monotonic() < deadline:
            with open_line(port) as another:
                if answered(another):
                    return
            time.sleep(0.05)
        raise AssertionError("a place that was left is not given again")
    finally:
        for line in lines:
            line.close()


def _begins(line: socket.socket) -> bool:
    try:
        return line.recv(4096).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def test_neighbours_leave_room_for_this_machine(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST_OF_ALL", 0)
    with monkeypatch.context() as taken_for_a_neighbour:
        taken_for_a_neighbour.setattr(server, "address", lambda text: None)
        with open_line(port) as line:
            assert not answered(line)
    lines = [open_line(port) for _ in range(server.MOST_OF_ONE + 2)]
    assert all(answered(line) for line in lines)
    for line in lines:
        line.close()
