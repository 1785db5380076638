"""The login page in a real browser, under its own strict policy: typed, scanned, wrong, and on a phone in the dark."""

import os
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.door.conftest import behind
from webui.door import Door, Link
from webui.door.server import Server

pytestmark = pytest.mark.browser
NAME = "studio.test"  # resolved to this machine by the browser alone; under it nobody is the host


@pytest.fixture
def url(link: Link) -> Iterator[str]:
    ready = threading.Event()
    server = Server(Door(behind(), link=link, allowed_hosts=(NAME,)), ready.set)
    server.config.port = 0
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield f"http://{NAME}:{server.servers[0].sockets[0].getsockname()[1]}"
    server.handle_exit(2, None)
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("GESSO_REQUIRE_BROWSER") == "1":
            pytest.fail("GESSO_REQUIRE_BROWSER is set, and there is no Chromium on this machine.")
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    options = ["--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {NAME} 127.0.0.1"]
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=chromium, args=options)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 390, "height": 760}, color_scheme="dark")
    made = context.new_page()
    made.set_default_timeout(20_000)
    complaints: list[str] = []
    made.on("console", lambda message: complaints.append(message.text) if "Content Security" in message.text else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    context.close()
    assert complaints == []


def test_typing_the_passcode(page: Any, url: str) -> None:
    page.goto(f"{url}/?from=here")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Passcode").fill("wrong")
    page.get_by_role("button").click()
    assert page.get_by_role("alert").inner_text() == "This is not the passcode."
    assert page.get_by_label("Your name").input_value() == "Ada"
    page.get_by_label("Passcode").fill("open sesame")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{url}/?from=here")
    assert '"Ada"' in page.inner_text("body")
    assert page.evaluate("document.cookie") == ""


def test_scanning_the_code(page: Any, url: str, link: Link) -> None:
    page.goto(f"{url}/login#{link.codes.new()}")
    assert page.url == f"{url}/login"  # the code is gone from the address and the history
    assert not page.get_by_label("Passcode").is_visible()
    page.get_by_label("Your name").fill("Bob")
    page.get_by_role("button").click()
    page.wait_for_url(f"{url}/")
    assert '"Bob"' in page.inner_text("body")


def test_a_tabs_name_in_the_address_is_no_code(page: Any, url: str) -> None:
    page.goto(f"{url}/#gallery")
    assert page.get_by_label("Passcode").is_visible()
    assert page.url == f"{url}/#gallery"


def test_it_fits_a_phone_and_looks_dark(page: Any, url: str) -> None:
    page.goto(url)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(25, 25, 24)"


def test_a_form_of_another_site_gets_nowhere(page: Any, url: str, link: Link) -> None:
    """Sent by the browser itself, with the Origin that it says."""
    page.goto("data:text/html,<form method=post></form>")
    page.evaluate(f"document.forms[0].action = '{url}/login'")
    with page.expect_navigation() as navigation:
        page.evaluate("document.forms[0].submit()")
    assert navigation.value.status == 403
