"""The API's description as a page of our own: FastAPI's fetches its scripts from another host."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
_PAGE = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")


@router.get("/docs")
def docs() -> HTMLResponse:
    return HTMLResponse(_PAGE)
