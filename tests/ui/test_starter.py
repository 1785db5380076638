"""A fresh start without any model: the page, the real engine and the starter's weights, as a new user meets them."""

import io
import json
import signal
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.ui.acts import field, generate, picture_shown
from tests.ui.conftest import Server

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]
PROMPT = "a majestic mountain landscape at sunset with golden clouds"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("fresh"), options=())
    made.start()
    yield made
    made.stop()


def ask(server: Server, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}api/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return answer.read()


def pixels(server: Server, picture: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(ask(server, f"images/{picture}/file"))).convert("RGB"), np.float32)


def test_from_a_fresh_start_to_the_prompts_picture(open_page: Opened, server: Server) -> None:
    page = open_page()
    assert "starter" in page.inner_text("#starter_note").lower()
    page.click(f".suggestion:has-text('{PROMPT}')")
    page.wait_for_function("wanted => document.querySelector('#txt2img_prompt textarea').value === wanted", arg=PROMPT)
    assert field(page, "txt2img_steps").input_value() == "20"
    page.click("#txt2img_generate")
    page.wait_for_selector("#stage_picture[data-kind=preview]", timeout=90_000)  # weights are still on their way to memory
    made = picture_shown(page)
    picture = pixels(server, made)
    assert picture.shape == (256, 256, 3)
    rows = picture[:128].mean(1)
    assert float((rows[:, 0] - rows[:, 2]).max()) > 60, "a sunset is warm somewhere in the sky"
    page.click("#nav_gallery")
    page.fill("#gallery_search", "majestic")
    page.wait_for_selector(f".cell[data-picture='{made}']")


def test_a_picture_can_be_made_again_from_what_it_says(server: Server, open_page: Opened) -> None:
    page = open_page()
    generate(page, "tropical islands during the day", steps="20")
    first = picture_shown(page)
    draft = json.loads(ask(server, f"images/{first}/parameters"))["draft"]
    page.evaluate(
        "draft => fetch('api/jobs', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(draft)})", draft
    )
    page.wait_for_function(
        "before => { const p = document.querySelector('#stage_picture[data-kind=picture]'); return p && !p.src.includes(before); }",
        arg=first,
    )
    again = picture_shown(page)
    assert again != first
    assert np.array_equal(pixels(server, first), pixels(server, again))


def test_the_engine_is_killed_and_every_picture_still_comes(open_page: Opened, server: Server) -> None:
    page = open_page()
    generate(page, "hills at dawn", steps="60", count="3")
    page.wait_for_selector("#stage_picture[data-kind=preview]")
    assert server.process is not None
    (engine,) = [child for child in psutil.Process(server.process.pid).children() if "webui.engine.child" in child.cmdline()]
    engine.send_signal(signal.SIGKILL)
    page.wait_for_function("document.body.innerText.includes('SIGKILL')")
    page.wait_for_selector("#stage_picture[data-kind=preview]", timeout=90_000)
    page.wait_for_function("document.title === 'Gesso'", timeout=120_000)
    found = json.loads(ask(server, "images?query=hills&per_page=50"))["pictures"]
    assert sorted(picture["index"] for picture in found) == [0, 1, 2]
    assert len({picture["seed"] for picture in found}) == 3
