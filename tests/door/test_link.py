import re
from xml.etree import ElementTree

import pytest

from webui.database import Database
from webui.door import Link
from webui.door.link import addresses, qr_lines, qr_svg
from webui.door.origin import address

URL = "http://192.168.1.5:7860/login#abcdefghjkmnpqrs"


def test_addresses_are_of_networks() -> None:
    found = [address(text) for text in addresses()]
    assert all(one is not None and not one.is_loopback and not one.is_link_local for one in found)
    assert len(found) == len(set(found))


def test_the_svg_is_a_drawing_and_nothing_else() -> None:
    root = ElementTree.fromstring(qr_svg(URL))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox")
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "path"}
    assert "abcdefghjkmnpqrs" not in qr_svg(URL)


def test_the_terminals_code_is_what_it_should_be() -> None:
    """Read back from the half blocks, it is the very matrix that segno makes."""
    import segno

    rows: list[list[int]] = []
    for line in qr_lines(URL):
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        rows.append([int(char in "▀█") for char in plain])
        rows.append([int(char in "▄█") for char in plain])
    wanted = [list(row) for row in segno.make(URL, error="l", micro=False).matrix_iter(border=2)]
    assert rows[: len(wanted)] == wanted
    assert max(len(row) for row in rows) <= 60


def test_a_bound_address_is_the_only_one(database: Database) -> None:
    assert Link(database, None, "192.168.1.5", 7861).urls() == ["http://192.168.1.5:7861"]
    assert Link(database, None, "fd00::5", 7861).urls() == ["http://[fd00::5]:7861"]


def test_where_only_a_proxy_leads_here_no_address_of_this_machine_is_told(database: Database) -> None:
    link = Link(database, None, "127.0.0.1", 7861)
    assert link.urls() == []
    assert link.invitation() is None


def test_an_invitation_keeps_its_code_out_of_what_is_sent(database: Database) -> None:
    link = Link(database, None, "192.168.1.5", 7861)
    page, _, code = (link.invitation() or "").partition("#")
    assert page == "http://192.168.1.5:7861/login"
    assert link.codes.use(code)
    assert link.passcode.text not in page + code


@pytest.mark.parametrize("bind", ["0.0.0.0", "::"])
def test_without_a_network_there_is_no_invitation(database: Database, monkeypatch: pytest.MonkeyPatch, bind: str) -> None:
    monkeypatch.setattr("webui.door.link.addresses", list)
    assert Link(database, None, bind, 7861).invitation() is None
