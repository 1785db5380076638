"""Our own scripts, styles and icons, served under a folder that is named by their contents, so browsers may keep them for ever."""

import hashlib
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "assets"
STYLES = ("tokens.css", "chrome.css", "form.css", "stage.css", "panels.css", "gallery.css")  # in the order of the cascade


def stamp(folder: Path = FOLDER) -> str:
    """A short name that changes whenever any file does."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


STAMP = stamp()


def address(name: str) -> str:
    """Where the page finds an asset; relative, so that a proxy may put the page anywhere."""
    return f"ui/{STAMP}/{name}"


class _Kept(StaticFiles):
    """Files whose address changes with their contents: asked for once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
            response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def modules() -> list[str]:
    """The scripts that `main.js` leads to, so that the browser need not find them one after another."""
    return sorted(file.name for file in FOLDER.glob("*.js") if file.name != "first.js")


def serve(app: FastAPI) -> None:
    """Add the route; before Gradio is mounted at the root, which would swallow it."""
    app.mount(f"/ui/{STAMP}", _Kept(directory=FOLDER), name="ui-assets")
