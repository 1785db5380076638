"""The house: what there is here, the form of each browser, and the link for colleagues."""

from typing import Annotated

from fastapi import APIRouter, Path

from webui.api.schema import CheckpointView, ErrorView, Form, FormView, Health, LinkView, TheLink, TheStudio, Who
from webui.api.strict import StrictRoute
from webui.core.errors import NotAllowed
from webui.core.job import Person
from webui.core.parts import Capabilities
from webui.core.request import Frozen
from webui.door.link import qr_svg

router = APIRouter(tags=["house"], route_class=StrictRoute, responses={"4XX": {"model": ErrorView}})
Browser = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$", description="A name that the browser chose for its form.")]


class Ended(Frozen):
    """How many sessions were ended."""

    ended: int


@router.get("/health", summary="Whether the program answers")
def health() -> Health:
    """The one route that needs no passcode."""
    return Health()


@router.get("/api/capabilities", summary="What can be asked for here")
def capabilities(studio: TheStudio) -> Capabilities:
    return studio.capabilities()


@router.get("/api/checkpoints", summary="The checkpoints, the default one first")
def checkpoints(studio: TheStudio) -> list[CheckpointView]:
    """Those that cannot be used stand there with their `problem`."""
    return [CheckpointView(**dict(record)) for record in studio.checkpoints()]


@router.get("/api/draft/{browser}", summary="What a browser's form holds")
def draft(browser: Browser, studio: TheStudio, who: Who) -> FormView:
    return FormView(form=studio.load_form(who, browser))


@router.put("/api/draft/{browser}", summary="Keep what a browser's form holds")
def keep_draft(browser: Browser, body: Form, studio: TheStudio, who: Who) -> FormView:
    studio.save_form(who, browser, body.form)
    return FormView(form=body.form)


@router.get("/api/link", summary="How colleagues come in")
def invite(link: TheLink, who: Who) -> LinkView:
    """The host only. Each call makes a new invitation, which lets one person in without the passcode."""
    _host_only(who)
    if link is None:
        return LinkView(shared=False)
    invitation = link.invitation()
    svg = qr_svg(invitation) if invitation else None
    return LinkView(shared=True, urls=tuple(link.urls()), invitation=invitation, svg=svg)


@router.delete("/api/link/sessions", summary="End every colleague's session")
def end_sessions(link: TheLink, who: Who) -> Ended:
    """The host only. Whoever comes back needs the passcode again."""
    _host_only(who)
    return Ended(ended=link.people.end_all() if link else 0)


def _host_only(who: Person) -> None:
    if not who.host:
        raise NotAllowed("Only the host can do this.")
