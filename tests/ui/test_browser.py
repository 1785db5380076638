"""The page in a real browser, against a real server: from a typed prompt to a picture in the gallery, and what can go wrong between."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ui.acts import field, generate, picture_shown, told
from tests.ui.conftest import Server, ready

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]

LONG = "150"  # steps: 7 s a picture on the fake engine


def test_from_the_prompt_to_the_gallery(open_page: Opened) -> None:
    page = open_page()
    assert field(page, "txt2img_steps").input_value() == "8", "the checkpoint's own"
    generate(page, "a majestic mountain landscape at sunset with golden clouds", steps="60")
    page.wait_for_selector("#stage_picture[data-kind=preview]")
    assert re.search(r"step \d+ of 60", page.inner_text("#stage_hud"))
    first = page.get_attribute("#stage_picture", "src")
    page.wait_for_function("before => document.querySelector('#stage_picture')?.src !== before", arg=first)
    frame = page.eval_on_selector("#stage_frame", "element => [element.clientWidth, element.clientHeight]")
    assert page.title() != "Gesso"
    made = picture_shown(page)
    assert page.eval_on_selector("#stage_frame", "element => [element.clientWidth, element.clientHeight]") == frame, "no jump"
    assert page.eval_on_selector("#stage_picture", "image => [image.naturalWidth, image.naturalHeight]") == [256, 256]
    assert page.locator(f"#txt2img_gallery [data-picture='{made}'].sel").count() == 1

    page.click("#nav_gallery")
    page.fill("#gallery_search", "majestic")
    page.wait_for_selector(f".cell[data-picture='{made}']")
    page.reload(wait_until="commit")
    page.wait_for_selector(f".cell[data-picture='{made}']")
    page.fill("#gallery_search", "submarine")
    page.wait_for_selector("#gallery_empty h2:has-text('Nothing found')")


def test_a_click_shows_its_effect_at_once(open_page: Opened) -> None:
    page = open_page()
    field(page, "txt2img_prompt").fill("hills")
    held: list[Any] = []
    page.route("**/gradio_api/**", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    with page.expect_request(lambda request: "/gradio_api/" in request.url and request.method == "POST"):
        page.click("#txt2img_generate")
    page.wait_for_selector("#chip_queue b:has-text('1')")  # before the server has said a word
    assert held
    for route in held:
        route.continue_()
    page.unroute("**/gradio_api/**")
    picture_shown(page)


def test_a_reload_during_a_run_finds_it_again_and_the_form_too(open_page: Opened) -> None:
    page = open_page()
    generate(page, "the sea at sunset", steps=LONG)
    page.wait_for_selector("#stage_picture[data-kind=preview]")
    page.wait_for_timeout(900)
    page.reload(wait_until="commit")
    ready(page)
    page.wait_for_selector("#stage_picture[data-kind=preview]")
    assert field(page, "txt2img_prompt").input_value() == "the sea at sunset"
    assert field(page, "txt2img_steps").input_value() == LONG
    page.click("#txt2img_interrupt")
    page.wait_for_function("document.title === 'Gesso'")


def test_queue_cancel_and_cancel_all(open_page: Opened) -> None:
    page = open_page()
    generate(page, "hills at dawn", steps=LONG, count="3")
    page.click("#txt2img_generate")
    page.click("#txt2img_generate")
    page.wait_for_selector("#chip_queue b:has-text('3')")
    page.wait_for_selector("#stage_picture[data-kind=preview]")
    page.click("#chip_queue")
    rows = page.locator("#queue_panel .queue-list:not(.past) .queue-row")
    assert rows.count() == 3
    last = rows.nth(2).get_attribute("data-job")
    rows.nth(2).get_by_label("Earlier").click()
    page.wait_for_function("id => document.querySelectorAll('#queue_panel .queue-row')[1].dataset.job === id", arg=last)
    page.click("#queue_panel header button")
    page.keyboard.press("Escape")
    page.wait_for_selector("#chip_queue b:has-text('2')")
    page.click("#chip_queue")
    page.click("#queue_cancel_all")
    page.wait_for_function("document.querySelector('#chip_queue')?.innerText === 'queue empty'")


def test_a_paused_queue_says_so_and_goes_on(open_page: Opened) -> None:
    page = open_page()
    page.click("#chip_queue")
    page.click("#queue_pause")
    page.wait_for_function("document.querySelector('#chip_queue')?.innerText === 'queue paused'")
    generate(page, "dunes")
    page.wait_for_function("document.querySelector('#stage_hud').innerText.includes('the queue is paused')")
    page.click("#queue_pause")
    picture_shown(page)


def test_an_error_stands_at_its_field_in_one_sentence(open_page: Opened) -> None:
    page = open_page()
    generate(page, "hills", steps="999")
    page.wait_for_selector("#txt2img_steps .field-trouble")
    assert page.inner_text("#txt2img_steps .field-trouble") == "Steps can be 1 to 150, not 999."
    assert page.inner_text("#chip_queue") == "queue empty"
    page.dblclick("#txt2img_steps [data-testid=block-info]")
    assert field(page, "txt2img_steps").input_value() == "8", "a double-click brings the checkpoint's own back"
    page.click("#txt2img_generate")
    picture_shown(page)
    assert page.locator(".field-trouble").count() == 0


def test_a_job_that_failed_says_why_and_can_be_tried_again(open_page: Opened) -> None:
    page = open_page()
    generate(page, "rolling hills")
    picture_shown(page)
    told(page, """heard("finished", { job: { ...state.ended[0], status: "failed", error: "The graphics card ran out of memory." } })""")
    assert "The graphics card ran out of memory." in page.inner_text("#stage_trouble")
    before = page.locator("#txt2img_gallery [data-picture]").count()
    page.click("#stage_trouble button:has-text('Try again')")
    page.wait_for_function("before => document.querySelectorAll('#txt2img_gallery [data-picture]').length > before", arg=before)
    assert not page.is_visible("#stage_trouble")


def test_delete_and_undo_star_and_details(open_page: Opened) -> None:
    page = open_page()
    generate(page, "snowy mountains")
    made = picture_shown(page)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("s")
    page.wait_for_selector("#act_star.on")
    page.keyboard.press("i")
    page.wait_for_selector("#details .infotext:has-text('Steps: 8')")
    page.keyboard.press("Escape")
    page.click("#act_delete")
    page.wait_for_function("id => !document.querySelector(`#txt2img_gallery [data-picture='${id}']`)", arg=made)
    page.click(".toast button:has-text('Undo')")
    page.wait_for_selector(f"#txt2img_gallery [data-picture='{made}']")
    page.click("#nav_gallery")
    page.click("[data-filter=starred]")
    page.wait_for_selector(f".cell[data-picture='{made}'] .badge")


def test_a_dropped_picture_fills_the_form(open_page: Opened, server: Server) -> None:
    page = open_page()
    field(page, "txt2img_seed").fill("4242")
    generate(page, "an island with (birds:1.3)", steps="11")
    made = picture_shown(page)
    data = page.request.get(f"{server.url}api/images/{made}/file").body()
    field(page, "txt2img_prompt").fill("something else")
    field(page, "txt2img_steps").fill("20")
    page.click("#seed_dice")
    page.click("#nav_gallery")
    page.evaluate(
        """(bytes) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], "found.png", { type: "image/png" }));
            for (const kind of ["dragenter", "dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
            }
        }""",
        list(data),
    )
    page.wait_for_function("document.querySelector('#txt2img_prompt textarea').value === 'an island with (birds:1.3)'")
    page.wait_for_function("document.querySelector('#txt2img_steps input').value === '11'")
    page.wait_for_function("document.querySelector('#txt2img_seed input').value === '4 242'")
    page.click(".toast:has-text('found.png') button:has-text('Undo')")
    page.wait_for_function("document.querySelector('#txt2img_prompt textarea').value === 'something else'")
    page.wait_for_function("document.querySelector('#txt2img_steps input').value === '20'")
    assert page.evaluate("document.documentElement.dataset.tab") == "txt2img"


def test_the_gallery_gives_settings_back_and_selects_many(open_page: Opened) -> None:
    page = open_page()
    generate(page, "a lake with pine trees", count="2")
    picture_shown(page)
    field(page, "txt2img_prompt").fill("")
    page.click("#nav_gallery")
    page.fill("#gallery_search", "pine")
    page.wait_for_function("document.querySelector('#gallery_count').innerText === '2 pictures'")
    page.click(".cell-open >> nth=0")
    page.wait_for_selector("#lightbox img")
    page.keyboard.press("ArrowRight")
    page.click("#lightbox button:has-text('Use these settings')")
    page.wait_for_function("document.querySelector('#txt2img_prompt textarea').value === 'a lake with pine trees'")
    page.click("#nav_gallery")
    page.click("#gallery_select")
    page.click(".cell-open >> nth=0")
    page.click(".cell-open >> nth=1")
    page.click("#gallery_selection button:has-text('Delete')")
    page.wait_for_selector("#gallery_empty")
    page.click(".toast:has-text('trash') button:has-text('Undo')")
    page.wait_for_function("document.querySelector('#gallery_count').innerText === '2 pictures'")


def test_deleting_moves_on_and_the_trash_is_emptied_after_a_question(open_page: Opened) -> None:
    page = open_page()
    generate(page, "a heap of leaves", count="3")
    picture_shown(page)
    page.click("#nav_gallery")
    page.fill("#gallery_search", "heap")
    page.wait_for_function("document.querySelector('#gallery_count').innerText === '3 pictures'")
    page.click(".cell-open >> nth=1")
    for left in (2, 1):
        shown = page.get_attribute("#lightbox .light-pic img[alt='a heap of leaves']", "src")
        page.click("#lightbox button[aria-label^='Delete']")
        page.wait_for_function(f"document.querySelector('#gallery_count').innerText === '{left} picture{'s' * (left > 1)}'")
        page.wait_for_function("(gone) => document.querySelector('#lightbox .light-pic img')?.getAttribute('src') !== gone", arg=shown)
    page.click("#lightbox button[aria-label^='Delete']")
    page.wait_for_selector("#lightbox", state="detached")
    page.fill("#gallery_search", "")
    page.click("[data-filter=trashed]")
    page.click("#gallery_empty_trash")
    page.click("#sheet button:has-text('Cancel')")
    assert page.query_selector(".cell") is not None
    page.click("#gallery_empty_trash")
    page.click("#sheet button:has-text('Delete for good')")
    page.wait_for_selector("#gallery_empty")
    page.wait_for_selector("#gallery_empty_trash", state="hidden")


def test_the_settings_say_how_it_was_started(open_page: Opened) -> None:
    page = open_page()
    page.click("#nav_settings")
    page.wait_for_selector("#settings_start code:has-text('--fake-engine')")
    assert "No extensions" in page.inner_text("#settings_extensions")
    page.click("#settings_rebuild")
    page.wait_for_selector(".toast:has-text('The gallery has')")


def test_keys(open_page: Opened) -> None:
    page = open_page()
    prompt = field(page, "txt2img_prompt")
    prompt.fill("golden clouds")
    prompt.evaluate("area => area.setSelectionRange(0, 6)")
    page.keyboard.press("Control+ArrowUp")
    page.keyboard.press("Control+ArrowUp")
    assert prompt.input_value() == "(golden:1.2) clouds"
    page.keyboard.press("Control+ArrowDown")
    page.keyboard.press("Control+ArrowDown")
    assert prompt.input_value() == "golden clouds"
    page.keyboard.press("Control+Enter")
    picture_shown(page)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("f")
    page.wait_for_selector("html.full", state="attached")
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    assert page.is_visible("#gesso_settings .card")
    page.keyboard.press("?")
    assert page.is_visible("#sheet kbd")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "gallery_search"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("1")
    assert page.is_visible("#txt2img_prompt")


def test_the_keyboard_leaves_a_list_and_stays_in_the_queue(open_page: Opened) -> None:
    page = open_page()
    page.focus("#txt2img_sampling input")
    page.wait_for_selector("#txt2img_sampling .options")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.block').id") == "txt2img_scheduler"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "advanced_head"
    page.wait_for_function("!document.querySelector('.options')")
    generate(page, "hills", steps=LONG)
    page.click("#txt2img_generate")
    page.wait_for_selector("#chip_queue b:has-text('2')")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("q")
    waiting = page.locator("#queue_panel .queue-row").nth(1).get_by_label("Cancel this job")
    waiting.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#chip_queue b:has-text('1')")
    assert page.evaluate("Boolean(document.activeElement.closest('#queue_panel'))")
    page.click("#queue_cancel_all")
    page.wait_for_function("document.querySelector('#chip_queue')?.innerText === 'queue empty'")


def test_numbers_left_empty_or_broken_settle_when_the_hand_leaves(open_page: Opened) -> None:
    page = open_page()
    for name, typed, settled in (("txt2img_steps", "", "8"), ("txt2img_steps", "3.7", "4"), ("txt2img_batch_count", "", "1")):
        field(page, name).fill(typed)
        field(page, name).blur()
        page.wait_for_function("([id, value]) => document.querySelector(`#${id} input`).value === value", arg=[name, settled])
    field(page, "txt2img_seed").fill("-1")
    assert page.inner_text("#txt2img_seed .note") == "new each time", "as A1111 has it"


def test_an_engine_that_died_does_not_fill_the_top_bar(open_page: Opened) -> None:
    page = open_page()
    told(
        page, """heard("engines", { engines: [{ ...state.engines[0], status: "restarting", message: "Ended by SIGKILL. ".repeat(9) }] })"""
    )
    assert page.inner_text("#chip_engine") == "not running"
    assert "SIGKILL" in page.get_attribute("#chip_engine", "title")


def test_another_checkpoint_brings_its_own_values_and_takes_them_back(open_page: Opened) -> None:
    page = open_page()
    field(page, "txt2img_cfg_scale").fill("9")
    page.click("#setting_sd_model_checkpoint input")
    page.click("[role=option]:has-text('beta')")
    page.wait_for_function("document.querySelector('#txt2img_steps input').value === '12'")
    page.wait_for_function("document.querySelector('#size_note').innerText === '512 × 512 · native'")
    assert field(page, "txt2img_cfg_scale").input_value() == "9", "a hand had set it"
    page.click(".toast button:has-text('Undo')")
    page.wait_for_function("document.querySelector('#txt2img_steps input').value === '8'")
    page.wait_for_function("document.querySelector('#size_note').innerText.startsWith('256 × 256')")


def test_the_empty_stage_teaches_and_shapes_follow_the_checkpoint(open_page: Opened, server: Server) -> None:
    page = open_page()
    made = [picture["id"] for picture in page.request.get(f"{server.url}api/images?per_page=500").json()["pictures"]]
    if made:
        page.request.post(f"{server.url}api/images/trash", data={"ids": made})
    page.reload(wait_until="commit")
    ready(page)
    page.wait_for_selector("#stage_empty .suggestion")
    assert page.locator("#stage_empty .suggestion").count() == 3
    page.click("#stage_empty .suggestion >> nth=1")
    assert field(page, "txt2img_prompt").input_value() == "hills at dawn"
    page.click("#txt2img_shape label:has-text('3:2')")
    page.wait_for_function("document.querySelector('#size_note').innerText.startsWith('384 × 256')")
    page.click("#txt2img_shape label:has-text('Custom')")
    page.click("#txt2img_res_switch_btn")
    page.wait_for_function("document.querySelector('#size_note').innerText.startsWith('256 × 384')")
    page.wait_for_selector("#prompt_tokens:has-text('/ 75')")
    page.click("#nav_gallery")
    page.wait_for_selector("#gallery_empty h2:has-text('No pictures yet')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_from_the_first_paint(open_page: Opened, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    background = page.evaluate("getComputedStyle(document.querySelector('#txt2img_panel')).backgroundColor")
    assert background == {"dark": "rgb(33, 33, 32)", "light": "rgb(251, 250, 247)"}[scheme]
    page.click("#chip_theme")
    other = {"light": "Dark", "dark": "Light"}[scheme]
    page.click(f".menu button:has-text('{other}')")
    page.reload(wait_until="commit")
    page.wait_for_function("document.body")  # the head is through, nothing is painted yet
    assert page.evaluate("document.documentElement.dataset.theme") == other.lower()
    ready(page)


def test_nothing_is_clipped_or_adrift(open_page: Opened) -> None:
    page = open_page()
    for width, height in ((390, 844), (768, 1024), (1024, 768), (1440, 900), (2560, 1440)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(150)
        _at_size(page, width, height)


def _at_size(page: Any, width: int, height: int) -> None:
    for tab in ("txt2img", "gallery", "settings"):
        page.evaluate("tab => { location.hash = tab; }", tab)
        page.wait_for_selector(f"#tab_{tab}.on")
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (tab, width)
        adrift = page.evaluate(
            """([tab, width]) => [...document.querySelectorAll(`#gesso_top *, #tab_${tab} *`)].filter((element) => {
                const box = element.getBoundingClientRect();
                const scrolls = element.closest(".strip, .acts, .table-scroll, .words, .tabs, .prompt-back");
                return element.checkVisibility({ opacityProperty: true }) && box.width > 0 && box.height > 0 && !scrolls
                    && (box.right > width + 1 || box.left < -1);
            }).map((element) => element.outerHTML.slice(0, 120))""",
            [tab, width],
        )
        assert adrift == [], (tab, width)
    if width < 600:
        assert page.is_visible("#nav_menu")
        page.select_option("#nav_menu", "txt2img")
        box = page.locator("#txt2img_generate").bounding_box()
        assert box["y"] + box["height"] <= height and box["y"] > height - 80, "Generate stands at the foot"


def test_text_can_be_read(open_page: Opened) -> None:
    """WCAG AA: a contrast of 4.5 : 1 for every visible text, in both colours."""
    page = open_page()
    generate(page, "hills")
    picture_shown(page)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_selector(f"html[data-theme={scheme}]", state="attached")
        page.wait_for_function(
            "document.getAnimations().every((one) => one.playState !== 'running' || !one.transitionProperty)"
        )  # Gradio fades text
        for tab in ("txt2img", "gallery", "settings"):
            page.evaluate("tab => { location.hash = tab; }", tab)
            page.wait_for_selector(f"#tab_{tab}.on")
            assert page.evaluate(CONTRAST) == [], (scheme, tab)


CONTRAST = Path(__file__).with_name("contrast.js").read_text()


def test_every_control_has_a_name(open_page: Opened) -> None:
    page = open_page()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, a[href], [role=button]")].filter((element) => {
            if (!element.checkVisibility()) return false;
            const label = element.labels?.length ? [...element.labels].map((one) => one.innerText).join("") : "";
            return !(element.getAttribute("aria-label") || element.title || element.innerText || label).trim();
        }).map((element) => element.outerHTML.slice(0, 140))"""
    )
    assert nameless == []


def test_the_page_is_light(open_page: Opened) -> None:
    page = open_page()
    weight = page.evaluate(
        """() => [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("navigation")]
            .filter((entry) => !entry.name.includes("/api/")).reduce((sum, entry) => sum + entry.encodedBodySize, 0)"""
    )
    assert weight <= 600_000


def test_the_server_dies_and_comes_back_while_the_page_is_open(open_page: Opened, server: Server) -> None:
    page = open_page(quiet=False)
    generate(page, "islands", steps="60")
    page.wait_for_selector("#stage_picture[data-kind=preview]")
    server.stop(9)
    page.wait_for_function("document.querySelector('#chip_queue')?.innerText.startsWith('reconnecting')")
    page.click("#txt2img_generate")
    page.wait_for_selector("#form_trouble:has-text('did not answer')")
    server.start()
    page.wait_for_function("document.querySelector('#chip_queue')?.innerText.startsWith('reconnecting') === false")
    picture_shown(page)
    generate(page, "islands again")
    page.wait_for_function("document.querySelector('#stage_picture')?.alt === 'islands again'")
