import asyncio
import socket

import pytest

from webui import ports
from webui.core.errors import SetupError


def test_the_usual_port_or_the_next_free_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = taken.getsockname()[1]
        with ports.listen("127.0.0.1", None, usual) as found:
            assert usual < found.getsockname()[1] < usual + ports.TRIES
            with ports.listen("127.0.0.1", None, usual) as second:
                assert second.getsockname()[1] not in (usual, found.getsockname()[1])


def test_a_port_that_was_asked_for_is_that_or_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=f"Port {port} is in use"):
            ports.listen("127.0.0.1", port, 7860)
    with ports.listen("127.0.0.1", port, 7860) as free:
        assert free.getsockname()[1] == port


@pytest.mark.parametrize("bind", ["192.0.2.77", "no.such.host.invalid"])
def test_an_address_that_is_not_ours(bind: str) -> None:
    with pytest.raises(SetupError, match="This machine has no address"):
        ports.listen(bind, 7999, 7860)


def test_all_ports_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SetupError, match="all in use"):
        ports.listen("127.0.0.1", None, taken.getsockname()[1])


def test_answers_are_sent_without_delay() -> None:
    """Or each takes 40 ms on a connection that is kept: its body waits until the client confirms its head, which clients put off."""

    async def run() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with ports.listen("127.0.0.1", None, 7860) as listening:
            async with await asyncio.start_server(came, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname())
                writer.close()
                return await asyncio.wait_for(found, 10)

    assert asyncio.run(run())
