"""Every route there is, Gradio's and an extension's among them, asked by a stranger on the network."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.door.wire import COLLEAGUE, SERVER, Answer, call, form
from tests.library.weights import diffusers_folder
from webui.app import CLOSED, Gesso, build
from webui.settings import Settings

LAN = {"host": "192.168.1.5:7860", "client": COLLEAGUE, "server": SERVER}
OPEN = {("GET", "/health"), ("GET", "/login"), ("HEAD", "/login"), ("POST", "/login"), ("GET", "/logout")}  # the last says 405
HEAD = "from fastapi import APIRouter\nfrom webui.hooks import hookimpl\nrouter = APIRouter()\n"
ROUTE = "@router.get('/secret')\ndef secret(): return 1\n"
HOOKS = (
    "@hookimpl\ndef register_routes(): return [router, 'no router']\n@hookimpl\ndef register_tabs():\n    from webui.ui.tabs import Tab\n"
)
TABS = "    def build(shell): raise RuntimeError('no tab today')\n    return [Tab(id='bad', label='Bad', order=99, build=build), 7]\n"


@pytest.fixture(scope="module")
def gesso(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gesso]:
    pytest.importorskip("gradio")
    folder = tmp_path_factory.mktemp("routes")
    diffusers_folder(folder / "models" / "checkpoints" / "tiny")
    (folder / "extensions" / "mine").mkdir(parents=True)
    (folder / "extensions" / "mine" / "__init__.py").write_text(HEAD + ROUTE + HOOKS + TABS)
    made = build(Settings(data_dir=folder, fake_engine=True, listen=True, passcode="open sesame"), 7860)
    yield made
    made.studio.close()


def walk(routes: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of everything that an app answers, down through routers and mounts."""
    for route in routes:
        router = getattr(route, "original_router", None)
        methods = getattr(route, "methods", None)
        if router is not None:
            yield from walk(router.routes, prefix + (route.include_context.prefix or ""))
        elif methods:
            yield from ((method, prefix + route.path) for method in sorted(methods))
        else:
            yield "GET", f"{prefix}{route.path}/x"
            yield from walk(getattr(route, "routes", None) or (), prefix + route.path)


def every_route(gesso: Gesso) -> list[tuple[str, str]]:
    return sorted({(method, re.sub(r"\{[^}]*\}", "x", path)) for method, path in walk(gesso.door._app.routes)})  # type: ignore[attr-defined]  # an ASGIApp that has routes


def test_the_walk_reaches_all_there_is(gesso: Gesso) -> None:
    found = set(every_route(gesso))
    assert {
        ("GET", "/api/jobs/x"),
        ("GET", "/extensions/mine/secret"),
        ("POST", "/gradio_api/queue/join"),
        ("GET", "/"),
        ("GET", "/docs"),
    } <= found
    assert len(found) > 80


def test_a_stranger_is_answered_by_the_allow_list_alone(gesso: Gesso) -> None:
    answered = []
    for method, path in every_route(gesso):
        for headers in ((), [("accept", "text/html")], [("cookie", "gesso_7860=x; access-token=x")], [("x-forwarded-for", "127.0.0.1")]):
            answer = call(gesso.door, method, path, headers=headers, body=[b"{}"], **LAN)
            if answer.status != 401:
                answered.append((method, path))
    assert set(answered) <= OPEN
    assert ("GET", "/health") in answered


def test_a_stranger_learns_nothing_from_health(gesso: Gesso) -> None:
    assert call(gesso.door, path="/health", **LAN).body == b'{"status":"ok"}'


def log_in(gesso: Gesso) -> list[tuple[str, str]]:
    answer = call(gesso.door, "POST", "/login", body=form(name="Ada", passcode="open sesame"), **LAN)
    return [("cookie", answer.header("set-cookie").partition(";")[0])]


def test_a_colleague_is_let_in_and_is_not_the_host(gesso: Gesso) -> None:
    ada = log_in(gesso)
    for path in ("/", "/api/jobs", "/extensions/mine/secret", "/config", "/docs"):
        assert call(gesso.door, path=path, headers=ada, **LAN).status == 200, path
    for method, path in (("GET", "/api/link"), ("DELETE", "/api/link/sessions"), ("POST", "/api/queue")):
        body = [b'{"paused": true}']
        answer = call(gesso.door, method, path, headers=[*ada, ("content-type", "application/json")], body=body, **LAN)
        assert answer.status == 403, path


def test_what_nobody_needs_nobody_gets(gesso: Gesso) -> None:
    routes = every_route(gesso)
    for beginning in CLOSED:
        matching = [route for route in routes if route[1].startswith(beginning)]
        assert matching, f"Gradio has no {beginning} any more: take it off the list"
        for method, path in matching:
            assert call(gesso.door, method, path).status == 404, path


@pytest.mark.parametrize("secret", ["open sesame", "Traceback", "site-packages"])
def test_no_answer_tells_a_secret(gesso: Gesso, secret: str) -> None:
    """Every route that can be read without an argument, as the host."""
    for method, path in every_route(gesso):
        endless = path in ("/api/events", "/gradio_api/queue/data") or "heartbeat" in path or path.endswith("upload_progress")
        if method != "GET" or endless:
            continue
        answer: Answer = call(gesso.door, path=path, headers=[("accept", "*/*")])
        assert secret.encode() not in answer.body, path


def test_a_broken_tab_and_a_router_that_is_none_cost_only_themselves(gesso: Gesso) -> None:
    (row,) = gesso.studio.extensions.report
    assert row.status == "troubled"
    assert call(gesso.door, path="/").status == 200


def test_the_host_invites_and_ends_sessions(gesso: Gesso) -> None:
    import json

    invitation = json.loads(call(gesso.door, path="/api/link").body)
    assert invitation["shared"] is True
    assert "open sesame" not in json.dumps(invitation)
    ada = log_in(gesso)
    assert json.loads(call(gesso.door, "DELETE", "/api/link/sessions").body)["ended"] >= 1
    assert call(gesso.door, path="/api/jobs", headers=ada, **LAN).status == 401


def test_a_colleagues_jobs_are_their_own(gesso: Gesso) -> None:
    import json

    json_body = ("content-type", "application/json")
    ada = log_in(gesso)
    call(gesso.door, "POST", "/api/queue", headers=[json_body], body=[b'{"paused": true}'])
    hosts = json.loads(call(gesso.door, "POST", "/api/jobs", headers=[json_body], body=[b"{}"]).body)["id"]
    hers = json.loads(call(gesso.door, "POST", "/api/jobs", headers=[json_body, *ada], body=[b"{}"], **LAN).body)
    assert hers["owner_name"] == "Ada"
    assert call(gesso.door, "DELETE", f"/api/jobs/{hosts}", headers=ada, **LAN).status == 403
    ahead = json.dumps({"before": hosts}).encode()
    assert call(gesso.door, "POST", f"/api/jobs/{hers['id']}/move", headers=[json_body, *ada], body=[ahead], **LAN).status == 403
    assert call(gesso.door, "DELETE", f"/api/jobs/{hers['id']}", headers=ada, **LAN).status == 200
    assert call(gesso.door, "DELETE", f"/api/jobs/{hosts}").status == 200


def test_a_colleague_cannot_throw_away_what_others_made(gesso: Gesso) -> None:
    import json

    json_body = ("content-type", "application/json")
    ada = log_in(gesso)
    call(gesso.door, "POST", "/api/queue", headers=[json_body], body=[b'{"paused": false}'])
    body = b'{"width": 64, "height": 64, "sampling": {"steps": 1}}'
    hosts = json.loads(call(gesso.door, "POST", "/api/jobs", headers=[json_body], body=[body]).body)["id"]
    for _ in gesso.studio.watch(hosts, timeout=60):
        pass
    (picture,) = gesso.studio.pictures_of(hosts)
    ids, star = json.dumps({"ids": [picture.id]}).encode(), b'{"starred": true}'
    asked = (("/api/images/trash", ids), ("/api/images/restore", ids), (f"/api/images/{picture.id}/star", star))
    for path, body in asked:
        answer = call(gesso.door, "POST", path, headers=[json_body, *ada], body=[body], **LAN)
        assert answer.status == 403, path
        assert "the host" in answer.text
    for path, body in asked:
        assert call(gesso.door, "POST", path, headers=[json_body], body=[body]).status == 200, path


def test_the_settings_folder_is_not_served(gesso: Gesso, tmp_path: Path) -> None:
    picture = gesso.settings.outputs / "2026-01-01" / "one.png"
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(b"x")
    hidden = (
        gesso.settings.database,
        gesso.settings.outputs / "logs" / "gesso.log",
        picture,
        Path("/etc/passwd"),
        tmp_path,
        Path("launch.py"),
    )
    for target in hidden:
        assert call(gesso.door, path=f"/gradio_api/file={target}").status in (403, 404)


def test_an_upload_of_an_extensions_tab_can_be_shown(gesso: Gesso) -> None:
    """Gradio keeps uploads below the outputs folder; a component that was given one shows it from there."""
    from gradio.utils import is_in_or_equal

    from webui.app import harden
    from webui.ui.page import closed

    environment: dict[str, str] = {}
    harden(gesso.settings, environment)
    upload = Path(environment["GRADIO_TEMP_DIR"]) / "abc" / "drawing.png"
    assert not any(is_in_or_equal(upload, path) for path in closed(gesso.settings))
