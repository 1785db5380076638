from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from webui.database import Database
from webui.door import Door, Link, person_of


async def who(request: Request) -> JSONResponse:
    person = person_of(request.scope)
    return JSONResponse({"name": person.name, "host": person.host, "id": person.id})


async def health(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok", headers={"Access-Control-Allow-Origin": "*"})


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


def behind() -> Starlette:
    methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    routes = [
        Route("/", who, methods=methods),
        Route("/health", health),
        Route("/echo", echo, methods=["POST"]),
        Route("/api/echo", echo, methods=["POST"]),
        WebSocketRoute("/socket", socket),
    ]
    return Starlette(routes=routes)


@pytest.fixture
def database(tmp_path: Path):
    made = Database(tmp_path / "door.sqlite3")
    yield made
    made.close()


@pytest.fixture
def link(database: Database) -> Link:
    return Link(database, "open sesame", "0.0.0.0", 7860)


@pytest.fixture
def local() -> Door:
    """Reached from this machine alone."""
    return Door(behind())


@pytest.fixture
def shared(link: Link) -> Door:
    """Open to the network."""
    return Door(behind(), link=link, allowed_hosts=("studio.example",))
