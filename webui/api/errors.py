"""Errors as the API tells them: one shape, one sentence, never a stack trace."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from webui.api.schema import ErrorDetail, ErrorView
from webui.core.errors import GessoError, UserError
from webui.core.request import complaint

_log = logging.getLogger(__name__)
_KINDS = {400: "BadRequest", 401: "NotLoggedIn", 404: "NotFound", 405: "WrongMethod", 413: "TooLarge", 415: "WrongKind"}


def answer(status: int, message: str, field: str | None, kind: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    error = ErrorView(error=ErrorDetail(message=message.encode("utf-8", "replace").decode(), field=field, kind=kind))
    return JSONResponse(error.model_dump(), status, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """The one place where errors become HTTP."""
    app.add_exception_handler(GessoError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GessoError)
    field = error.field if isinstance(error, UserError) else None
    headers = {"Retry-After": "10"} if error.status == 429 else None
    return answer(error.status, str(error), field, type(error).__name__, headers)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found: Sequence[Any] = error.errors()
    first = {**found[0], "loc": found[0]["loc"][1:]}  # without "body", "query" or "path" in front
    described = complaint(first)
    return answer(422, str(described), described.field, "UserError")


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = str(error.detail)
    message = sentence if sentence.endswith(".") else f"{sentence}: {request.method} {request.url.path[:100]}."
    return answer(error.status_code, message, None, _KINDS.get(error.status_code, "Refused"), error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    _log.error("unexpected error in %s %r", request.method, request.url.path[:200], exc_info=error)  # %r: a path may hold line breaks
    return answer(500, "Something went wrong inside Gesso; the log under outputs/logs says what.", None, "Unexpected")
