"""Host, Origin and Sec-Fetch-Site, in every combination that a browser or an attacker sends."""

import asyncio

import pytest

from tests.door.wire import COLLEAGUE, HERE, SERVER, call, converse, scope_of
from webui.door import Door

CHANGING = ["POST", "PUT", "DELETE", "PATCH"]


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "localhost.:7860", "[::1]:7860", "127.0.0.1:9999"])
def test_this_machines_names_are_answered(local: Door, host: str) -> None:
    assert call(local, host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        None, "", "evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "0.0.0.0:7860",
        "192.168.1.5", "localhost:7860@evil.example", "localhost/evil", "localhost evil", "[::1", "::1", "local\x00host", "2130706433",
        "0x7f.1", "studio.example", "[::ffff:127.0.0.2]",
    ],
)  # fmt: skip
def test_other_names_are_not(local: Door, host: str | None) -> None:
    answer = call(local, host=host)
    assert answer.status == 403
    assert "--allow-host" in answer.text


def test_two_hosts_are_one_too_many(local: Door) -> None:
    assert call(local, headers=[("host", "localhost")]).status == 403


@pytest.mark.parametrize("host", ["192.168.1.5:7860", "studio.example", "STUDIO.example:80", "localhost"])
def test_on_the_network_the_address_that_was_reached_and_the_allowed_names_are_answered(shared: Door, host: str) -> None:
    assert call(shared, path="/health", host=host, client=COLLEAGUE, server=SERVER).status == 200


@pytest.mark.parametrize("host", ["192.168.1.6", "evil.example", "example"])
def test_on_the_network_others_are_not(shared: Door, host: str) -> None:
    assert call(shared, path="/health", host=host, client=COLLEAGUE, server=SERVER).status == 403


def test_an_ipv4_address_reached_over_ipv6_is_the_same(shared: Door) -> None:
    assert call(shared, path="/health", host="192.168.1.5", client=COLLEAGUE, server=("::ffff:192.168.1.5", 7860)).status == 200


@pytest.mark.parametrize("method", ["GET", *CHANGING])
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:7860", True), ("https://127.0.0.1:7860", True), ("null", False), ("", False), ("http://127.0.0.1:3000", False),
        ("http://127.0.0.1", False), ("http://localhost:7860", False), ("https://evil.example", False), ("file://", False),
        ("http://127.0.0.1:7860.evil.example", False), ("http://evil.example/http://127.0.0.1:7860", False),
        ("chrome-extension://127.0.0.1:7860", False), ("127.0.0.1:7860", False),
    ],
)  # fmt: skip
def test_only_our_own_origin_may_ask(local: Door, method: str, origin: str, allowed: bool) -> None:
    assert (call(local, method, headers=[("origin", origin)]).status == 200) is allowed


def test_two_origins_are_one_too_many(local: Door) -> None:
    ours = ("origin", "http://127.0.0.1:7860")
    assert call(local, "POST", headers=[ours, ours]).status == 403


@pytest.mark.parametrize("method", CHANGING)
@pytest.mark.parametrize(
    ("site", "allowed"), [("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False), ("odd", False)]
)
def test_changes_come_from_our_own_pages(local: Door, method: str, site: str, allowed: bool) -> None:
    assert (call(local, method, headers=[("sec-fetch-site", site)]).status == 200) is allowed


@pytest.mark.parametrize(
    ("mode", "destination", "allowed"),
    [
        ("navigate", "document", True),
        ("navigate", "iframe", False),
        ("navigate", "object", False),
        ("no-cors", "image", False),
        ("cors", "empty", False),
    ],
)
def test_a_link_may_be_followed_and_nothing_embedded(local: Door, mode: str, destination: str, allowed: bool) -> None:
    headers = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", mode), ("sec-fetch-dest", destination)]
    assert (call(local, headers=headers).status == 200) is allowed
    assert call(local, "POST", headers=headers).status == 403


def test_a_program_that_is_no_browser_may_change_things(local: Door) -> None:
    assert call(local, "POST").status == 200


def test_nobody_is_told_that_they_may_read_us_from_elsewhere(local: Door) -> None:
    preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")]
    assert call(local, "OPTIONS", headers=preflight).status == 403
    names = {name for name, _ in call(local, path="/health").headers}
    assert not any(name.startswith("access-control") for name in names)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:3000"])
def test_a_websocket_of_another_origin_is_closed_before_it_opens(local: Door, origin: str) -> None:
    assert _socket(local, origin).body == b"websocket.close"


def test_our_own_websocket_opens(local: Door) -> None:
    assert _socket(local, "http://127.0.0.1:7860").body == b"websocket.accept"


def test_on_the_network_a_websocket_needs_a_session(shared: Door) -> None:
    assert _socket(shared, "http://127.0.0.1:7860", client=COLLEAGUE).body == b"websocket.close"


def _socket(door: Door, origin: str, client: object = HERE):
    scope = scope_of("GET", "/socket", [("host", "127.0.0.1:7860"), ("origin", origin)], client, ("127.0.0.1", 7860))
    scope |= {"type": "websocket", "subprotocols": []}

    async def run():
        sent = []

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message)

        await door(scope, receive, send)
        return sent

    from tests.door.wire import Answer

    return Answer(0, [], asyncio.run(run())[0]["type"].encode())


def test_every_answer_carries_the_security_headers(local: Door) -> None:
    for answer in (call(local), call(local, host="evil.example"), call(local, path="/nothing")):
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("x-frame-options") == "DENY"
        assert answer.header("referrer-policy") == "same-origin"
        assert "frame-ancestors 'none'" in answer.header("content-security-policy")


def test_the_end_of_the_program_ends_a_stream(local: Door) -> None:
    """A stream that waits for its client is told at once that there is none."""

    async def stream(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ended"})

    async def run():
        door = Door(stream)
        task = asyncio.ensure_future(converse(door, scope_of("GET", "/", [("host", "localhost")], HERE, ("127.0.0.1", 7860))))
        await asyncio.sleep(0.05)
        door.close()
        return await asyncio.wait_for(task, 1)

    assert asyncio.run(run()).body == b"ended"
