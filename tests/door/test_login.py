"""Coming in over the network: login, sessions, codes, and what is said to those who stay outside."""

import asyncio
import json
import re

import pytest

from tests.door.wire import COLLEAGUE, SERVER, Answer, call, form, scope_of
from webui.core.job import HOST
from webui.database import Database
from webui.door import Door, Link
from webui.door.passcode import Throttle
from webui.door.people import SESSION_SECONDS, People, tidy_name

LAN = {"host": "192.168.1.5:7860", "client": COLLEAGUE, "server": SERVER}


def log_in(door: Door, headers=(), **fields: str) -> Answer:
    return call(door, "POST", "/login", headers=headers, body=form(**({"name": "Ada", "passcode": "open sesame"} | fields)), **LAN)


def cookie(answer: Answer) -> tuple[str, str]:
    found = re.match(r"gesso_7860=([\w-]+); Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax$", answer.header("set-cookie"))
    assert found, answer.headers
    return "cookie", f"other=1; gesso_7860={found[1]}"


def test_a_stranger_sees_nothing_but_the_login_page(shared: Door) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = call(shared, method, "/", **LAN)
        assert answer.status == 401
        assert json.loads(answer.body)["error"]["kind"] == "Refused"
    page = call(shared, path="/some/page?x=1&y=2", headers=[("accept", "text/html,*/*")], **LAN)
    assert page.status == 401
    assert 'value="/some/page?x=1&amp;y=2"' in page.text
    assert "default-src 'none'" in page.header("content-security-policy")
    assert call(shared, path="/health", **LAN).status == 200


@pytest.mark.parametrize("path", ["/health/", "//health", "/health/../", "/HEALTH", "/login/", "/login/x", "/health%2f..", "/\x00health"])
def test_only_the_exact_open_paths_are_open(shared: Door, path: str) -> None:
    assert call(shared, path=path, **LAN).status == 401


def test_logging_in_and_out(shared: Door) -> None:
    answer = log_in(shared, next="/gallery?page=2")
    assert (answer.status, answer.header("location")) == (303, "/gallery?page=2")
    session = cookie(answer)
    seen = json.loads(call(shared, headers=[session], **LAN).body)
    assert (seen["name"], seen["host"]) == ("Ada", False)
    assert call(shared, path="/login", headers=[session], **LAN).header("location") == "/"
    out = call(shared, "POST", "/logout", headers=[session], **LAN)
    assert (out.status, out.header("location")) == (303, "/login")
    assert "Max-Age=0" in out.header("set-cookie")
    assert call(shared, headers=[session], **LAN).status == 401


def test_logging_in_again_makes_a_new_token_and_keeps_the_person(shared: Door) -> None:
    first = cookie(log_in(shared))
    before = json.loads(call(shared, headers=[first], **LAN).body)["id"]
    second = cookie(log_in(shared, headers=[first], name="Ada Lovelace"))
    assert call(shared, headers=[first], **LAN).status == 401
    after = json.loads(call(shared, headers=[second], **LAN).body)
    assert (after["id"], after["name"]) == (before, "Ada Lovelace")


def test_a_session_that_was_not_ours_to_begin_with_gives_nobodys_name(shared: Door) -> None:
    """A planted cookie is not taken over at login (session fixation)."""
    planted = ("cookie", "gesso_7860=planted-by-somebody")
    fresh = cookie(log_in(shared, headers=[planted]))
    assert "planted" not in fresh[1]
    assert call(shared, headers=[planted], **LAN).status == 401


def test_a_tampered_cookie_opens_nothing(shared: Door) -> None:
    name, value = cookie(log_in(shared))
    token = value.rpartition("=")[2]
    for changed in (token[:-1], token + "x", token.swapcase(), "", f'"{token}"', token + "\x00"):
        assert call(shared, headers=[(name, f"gesso_7860={changed}")], **LAN).status == 401


def test_a_cookie_of_another_port_is_not_looked_at(shared: Door) -> None:
    name, value = cookie(log_in(shared))
    assert call(shared, headers=[(name, value.replace("gesso_7860", "gesso_7861"))], **LAN).status == 401


def test_a_wrong_passcode_says_so_and_keeps_the_name(shared: Door) -> None:
    answer = log_in(shared, name="Ada <b>", passcode="wrong")
    assert answer.status == 401
    assert "This is not the passcode." in answer.text
    assert "Ada &lt;b&gt;" in answer.text
    assert answer.header("set-cookie") == ""


def test_guessing_ends_in_a_wait_even_with_the_right_passcode(shared: Door) -> None:
    for _ in range(Throttle.FREE):
        assert log_in(shared, passcode="wrong").status == 401
    answer = log_in(shared)
    assert answer.status == 429
    assert answer.header("retry-after") == "1"


def test_who_scanned_a_code_comes_in_while_guessers_are_kept_waiting(shared: Door, link: Link) -> None:
    for number in range(Throttle.A_MINUTE):
        link.throttle.take(f"10.0.{number}.1")
    assert log_in(shared).status == 429
    assert log_in(shared, passcode="", code="never given").status == 401
    assert log_in(shared, passcode="", code=link.codes.new()).status == 303
    assert log_in(shared).status == 429


def test_a_login_that_trickles_in_is_given_up(shared: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webui.door.door.PATIENCE", 0.05)
    pairs = [("host", LAN["host"])]
    scope = scope_of("POST", "/login", pairs, COLLEAGUE, SERVER)
    sent = []

    async def receive():
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"n", "more_body": True}

    async def send(message):
        sent.append(message)

    asyncio.run(asyncio.wait_for(shared(scope, receive, send), 5))
    assert sent[0]["status"] == 408


ELSEWHERE = ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nset-cookie: x=1", "", "/login"]


@pytest.mark.parametrize("path", ELSEWHERE)
def test_login_leads_nowhere_else(shared: Door, path: str) -> None:
    assert log_in(shared, next=path).header("location") == "/"


@pytest.mark.parametrize("name", ["", "   ", "\u200b\u202e", "\x00\n"])
def test_a_name_is_needed_and_costs_no_code(shared: Door, link: Link, name: str) -> None:
    code = link.codes.new()
    assert log_in(shared, name=name, passcode="", code=code).status == 422
    assert log_in(shared, passcode="", code=code).status == 303


def test_a_scanned_code_opens_once(shared: Door, link: Link) -> None:
    code = (link.invitation() or f"#{link.codes.new()}").partition("#")[2]
    assert log_in(shared, passcode="", code=code).status == 303
    second = log_in(shared, passcode="", code=code)
    assert second.status == 401
    assert "used already" in second.text


def test_a_login_form_of_another_site_is_refused(shared: Door) -> None:
    for origin in ("null", "https://evil.example"):
        assert log_in(shared, headers=[("origin", origin)]).status == 403


@pytest.mark.parametrize("body", [[b"name=a&" * 40], [b"\xff\xfe=%ff"], [b"x" * 9000], [b""], [b"name=%00&passcode=%ud800"]])
def test_odd_forms_are_refused(shared: Door, body: list[bytes]) -> None:
    assert call(shared, "POST", "/login", body=body, **LAN).status in (401, 413, 422)


def test_the_person_at_this_machine_is_the_host(shared: Door) -> None:
    assert json.loads(call(shared).body) == {"name": HOST.name, "host": True, "id": HOST.id}


PROXY = ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-proto", "x-forwarded-host", "cf-connecting-ip"]


@pytest.mark.parametrize("header", PROXY)
def test_behind_a_proxy_nobody_is(shared: Door, local: Door, header: str) -> None:
    assert call(shared, headers=[(header, "127.0.0.1")]).status == 401
    answer = call(local, headers=[(header, "127.0.0.1")])
    assert answer.status == 403
    assert "--allow-host" in answer.text


def test_a_proxy_that_says_nothing_of_itself_is_known_by_its_old_http(shared: Door, local: Door) -> None:
    """nginx as it comes: our loopback address as Host, no word of whom it speaks for, HTTP/1.0."""
    assert call(shared, version="1.0").status == 401
    assert call(local, version="1.0").status == 403


def test_a_loopback_peer_under_a_public_name_is_a_tunnel(shared: Door) -> None:
    assert call(shared, host="studio.example").status == 401


def test_a_colleague_who_says_localhost_is_still_a_colleague(shared: Door) -> None:
    assert call(shared, host="localhost:7860", client=COLLEAGUE, server=SERVER).status == 401


def test_sessions_end_on_the_servers_clock(database: Database) -> None:
    now = [1e9]
    people = People(database, lambda: now[0])
    token = people.enter("Ada")
    assert people.person(token) is not None
    now[0] += SESSION_SECONDS
    assert people.person(token) is None


def test_only_hashes_are_stored(database: Database, link: Link) -> None:
    token = link.people.enter("Ada")
    stored = " ".join(str(tuple(row)) for table in ("sessions", "people", "flags") for row in database.read(f"SELECT * FROM {table}"))
    assert token not in stored
    assert "open sesame" not in stored


def test_two_people_are_told_apart_and_nobody_is_called_host(database: Database) -> None:
    people = People(database)
    names = [people.person(people.enter(name)) for name in ("Ada", "ada", "Ada", "HOST")]
    assert [person.name for person in names if person] == ["Ada", "ada 2", "Ada 3", "HOST 2"]
    assert len({person.id for person in names if person}) == 4
    wide = people.person(people.enter("\uff28\uff4f\uff53\uff54"))
    assert wide is not None
    assert wide.name.endswith(" 3")


def test_a_new_passcode_ends_all_sessions_and_the_same_one_none(database: Database) -> None:
    token = Link(database, "first one", "0.0.0.0", 1).people.enter("Ada")
    assert Link(database, "first one", "0.0.0.0", 1).people.person(token) is not None
    assert Link(database, None, "0.0.0.0", 1).people.person(token) is not None
    assert Link(database, "second one", "0.0.0.0", 1).people.person(token) is None


def test_names_are_one_clean_line() -> None:
    assert tidy_name("  Ada\t\n Lovelace\u202e ") == "Ada Lovelace"
    assert len(tidy_name("x" * 500)) == 40
