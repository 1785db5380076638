import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from tests.door.wire import HERE, call, converse, scope_of
from webui.door import Door
from webui.door.door import BODY_LIMIT, BODY_LIMITS

API_LIMIT = dict(BODY_LIMITS)["/api/"]


def test_a_body_within_the_limit_passes(local: Door) -> None:
    assert call(local, "POST", "/api/echo", body=[b"x" * (API_LIMIT // 2), b"y" * (API_LIMIT // 2)]).text == str(API_LIMIT)


def test_a_declared_length_over_the_limit_is_refused_unread(local: Door) -> None:
    for length in (str(API_LIMIT + 1), "9" * 40):
        answer = call(local, "POST", "/api/echo", headers=[("content-length", length)], body=[b"never read"])
        assert answer.status == 413
        assert "2 MiB" in answer.text


@pytest.mark.parametrize(("path", "limit"), [("/api/echo", API_LIMIT), ("/echo", BODY_LIMIT)])
def test_an_undeclared_body_over_the_limit_is_refused_on_the_way(local: Door, path: str, limit: int) -> None:
    pieces = [b"x" * 65536] * (limit // 65536 + 1)
    assert call(local, "POST", path, body=pieces).status == 413


def test_an_app_that_answers_a_broken_body_has_its_answer_replaced() -> None:
    async def lenient(scope, receive, send):
        request = Request(scope, receive)
        try:
            await request.body()
        except ClientDisconnect:
            await PlainTextResponse("bad request", 400)(scope, receive, send)

    scope = scope_of("POST", "/api/x", [("host", "localhost")], HERE, ("127.0.0.1", 7860))
    answer = asyncio.run(converse(Door(lenient), scope, [b"x" * (API_LIMIT + 1)]))
    assert answer.status == 413
