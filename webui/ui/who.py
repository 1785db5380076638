"""Whose request a handler answers: the person whom the door let in, and the browser whose form it is."""

import re
from typing import Any

from webui.core.job import HOST, Person
from webui.door import person_of

BROWSER_COOKIE = "gesso_browser"  # set by `assets/first.js`; names a form, opens nothing


def person(request: Any) -> Person:
    """`request` is a `gr.Request`; without one (a call from a script of this process) it is the host."""
    return person_of(request.request.scope) if request is not None and request.request is not None else HOST


def browser(request: Any) -> str | None:
    """The name of the browser's form, if it brought one."""
    name = request.cookies.get(BROWSER_COOKIE, "") if request is not None else ""
    return name if re.fullmatch(r"[A-Za-z0-9-]{8,64}", name) else None
