"""Bodies read strictly: JSON in UTF-8 with finite numbers and no absurd nesting, and nothing that only looks like it."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

MAX_DEPTH = 32  # of brackets in brackets


class StrictRequest(Request):
    """`json()` raises `HTTPException` 400 with a sentence."""

    async def json(self) -> Any:
        body = await self.body()
        try:
            text = body.decode("utf-8")
            found = json.loads(text, parse_constant=_not_a_number)
        except UnicodeDecodeError as error:
            raise HTTPException(400, f"The body is not UTF-8: byte {error.start} is not.") from error
        except json.JSONDecodeError as error:
            raise HTTPException(400, f"The body is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).") from error
        except ValueError as error:  # a number of more digits than Python reads
            raise HTTPException(400, "The body has a number with too many digits.") from error
        except RecursionError as error:
            raise HTTPException(400, _TOO_DEEP) from error
        if _deeper(found, MAX_DEPTH):
            raise HTTPException(400, _TOO_DEEP)
        return found


class StrictRoute(APIRoute):
    """A route whose JSON body comes through `StrictRequest`, and must say that it is JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        wants_json = self.body_field is not None

        async def strict(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if wants_json and kind != "application/json" and not kind.endswith("+json"):
                raise HTTPException(415, "Send JSON, and say so: Content-Type: application/json.")
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."


def _not_a_number(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not a number", name, 0)


def _deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        return False
    return levels == 0 or any(_deeper(item, levels - 1) for item in inner)
