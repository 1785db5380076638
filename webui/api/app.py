"""The FastAPI app: our routes, the extensions' under their own prefixes, and what is answered where there is none."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.routing import APIRoute

from webui import __version__
from webui.api import docs, errors, house, jobs, pictures
from webui.door import Link
from webui.studio import Studio

ROUTERS = (house.router, jobs.router, pictures.router, docs.router)
EVERY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
DESCRIPTION = (
    'Everything that Gesso\'s page can do. Errors are `{"error": {"message", "field", "kind"}}` with a sentence for a person.'
    " On the local network, `POST /login` with `name` and `passcode` sets the cookie that every other route asks for."
)


def build(studio: Studio, link: Link | None = None, extension_routes: Iterable[tuple[str, Any]] = ()) -> FastAPI:
    """The app without a page, which may be mounted at its root afterwards."""
    app = FastAPI(title="Gesso", version=__version__, description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.studio = studio
    app.state.link = link
    errors.install(app)
    for router in ROUTERS:
        app.include_router(router)
    for owner, router in extension_routes:
        app.include_router(router, prefix=f"/extensions/{owner}", tags=[f"extension: {owner}"])
    for prefix in ("/api", "/extensions"):  # before a page at the root, which swallows every path that is left
        app.add_api_route(f"{prefix}/{{rest:path}}", _nothing_here, methods=EVERY_METHOD, include_in_schema=False)
    return app


def routes() -> list[tuple[str, str]]:
    """(method, path) of every route of ours, for the documents' test."""
    found = [route for router in ROUTERS for route in _flat(router) if route.include_in_schema]
    return sorted((method, route.path) for route in found for method in route.methods or ())


def _flat(router: APIRouter) -> list[APIRoute]:
    return [route for route in router.routes if isinstance(route, APIRoute)]


async def _nothing_here(request: Request) -> None:
    """405 where the path exists with other methods, 404 where it does not."""
    path = request.url.path
    found = [route for router in ROUTERS for route in _flat(router) if route.path_regex.match(path)]
    if found:
        methods = ", ".join(sorted(method for route in found for method in route.methods or ()))
        raise HTTPException(405, f"{request.method} is not for {path[:100]}, only {methods}.", headers={"Allow": methods})
    raise HTTPException(404, f"There is nothing at {path[:100]}.")
