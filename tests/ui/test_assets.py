"""The page's scripts in a real browser: what they know after silence, of long queues, of other people, and of keys held down."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.ui.acts import field, generate, picture_shown, told
from tests.ui.conftest import Server, ready

pytestmark = pytest.mark.browser
Opened = Callable[..., Any]

AWAY, BACK = "dispatchEvent(new Event('pagehide'))", "dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))"
EMPTY = "document.querySelector('#chip_queue')?.innerText === 'queue empty'"


def small(page: Any, server: Server, **request: Any) -> dict[str, Any]:
    """A job queued by someone else than this page."""
    asked = {"prompt": "hills", "width": 64, "height": 64, "sampling": {"steps": 2}} | request
    job: dict[str, Any] = page.request.post(f"{server.url}api/jobs", data=asked).json()
    return job


def ended(page: Any, server: Server, job: dict[str, Any]) -> dict[str, Any]:
    while (job := page.request.get(f"{server.url}api/jobs/{job['id']}").json())["status"] in ("queued", "running"):
        page.wait_for_timeout(50)
    return job


def pause(page: Any, server: Server, paused: bool) -> None:
    page.request.post(f"{server.url}api/queue", data={"paused": paused})


def empty(page: Any, server: Server) -> None:
    page.request.post(f"{server.url}api/jobs/cancel")
    pause(page, server, False)
    page.wait_for_function(EMPTY)


def test_what_was_made_in_silence_appears_afterwards(open_page: Opened, server: Server) -> None:
    page = open_page()
    generate(page, "hills")
    before = picture_shown(page)
    page.evaluate(AWAY)
    (made,) = ended(page, server, small(page, server, prompt="a lake"))["pictures"]
    page.evaluate(BACK)
    page.wait_for_selector(f"#txt2img_gallery [data-picture='{made['id']}'].sel + [data-picture='{before}']")
    assert picture_shown(page) == made["id"], "the stage goes where the work is"
    page.click("#nav_gallery")
    page.wait_for_selector(f".cell[data-picture='{made['id']}']")
    page.evaluate(AWAY)
    (another,) = ended(page, server, small(page, server, prompt="dunes"))["pictures"]
    page.evaluate(BACK)
    page.wait_for_selector(f".cell[data-place='0'][data-picture='{another['id']}']")
    gone = page.request.post(f"{server.url}api/images/trash", data={"ids": [made["id"]]})
    assert gone.ok
    page.evaluate(AWAY)
    page.evaluate(BACK)
    page.wait_for_selector(f"#txt2img_gallery [data-picture='{made['id']}']", state="detached")


def test_a_job_that_failed_in_silence_says_why(open_page: Opened, server: Server) -> None:
    page = open_page()
    pause(page, server, True)
    generate(page, "islands")
    page.wait_for_function("document.querySelector('#stage_hud').innerText.includes('the queue is paused')")
    page.evaluate(AWAY)
    (cancelled,) = page.request.post(f"{server.url}api/jobs/cancel").json()["jobs"]
    failed = cancelled | {"status": "failed", "error": "The disk is full."}
    page.route("**/api/jobs?active=false*", lambda route: route.fulfill(json={"jobs": [failed], "paused": True}))
    page.evaluate(BACK)
    page.wait_for_selector("#stage_trouble:has-text('The disk is full.')")
    empty(page, server)


def test_a_page_that_comes_back_hears_one_stream(open_page: Opened) -> None:
    page = open_page(quiet=False)
    page.evaluate(
        "window.streams = []; window.EventSource = class extends EventSource { constructor(url) { super(url); streams.push(this); } }; null"
    )
    page.evaluate(AWAY)
    page.evaluate(BACK)
    page.wait_for_function("streams.length === 1 && streams[0].readyState === EventSource.OPEN")
    page.evaluate("streams[0].dispatchEvent(new Event('error'))")  # and now its next try is due
    page.evaluate(AWAY)
    page.evaluate(BACK)
    page.wait_for_timeout(1200)
    assert page.evaluate("streams.map((stream) => stream.readyState !== EventSource.CLOSED)") == [False, True]


def test_escape_in_an_open_list_closes_the_list_alone(open_page: Opened, server: Server) -> None:
    page = open_page()
    pause(page, server, True)
    generate(page, "hills")
    page.wait_for_function("document.querySelector('#stage_hud').innerText.includes('the queue is paused')")
    page.focus("#txt2img_sampling input")
    page.wait_for_selector("#txt2img_sampling .options")
    page.keyboard.press("Escape")
    page.wait_for_selector("#txt2img_sampling .options", state="detached")
    page.wait_for_timeout(300)
    assert len(page.request.get(f"{server.url}api/jobs?active=true").json()["jobs"]) == 1
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Escape")
    page.wait_for_function("document.querySelector('#chip_queue')?.innerText === 'queue paused'")
    empty(page, server)


def test_a_key_that_is_held_does_one_thing(open_page: Opened, server: Server) -> None:
    page = open_page()
    generate(page, "hills", count="3")
    picture_shown(page)
    pause(page, server, True)
    field(page, "txt2img_prompt").focus()
    page.keyboard.down("Control")
    for _ in range(3):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.keyboard.up("Control")
    page.wait_for_selector("#chip_queue b:has-text('1')")
    page.focus("#txt2img_generate")
    for _ in range(3):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.wait_for_selector("#chip_queue b:has-text('2')")
    page.evaluate("document.activeElement.blur()")
    for _ in range(3):
        page.keyboard.down("Escape")
    page.keyboard.up("Escape")
    page.wait_for_selector("#chip_queue b:has-text('1')")
    page.wait_for_timeout(300)
    assert len(page.request.get(f"{server.url}api/jobs?active=true").json()["jobs"]) == 1
    empty(page, server)
    page.wait_for_selector("#stage_picture[data-kind=picture]")
    shown = page.locator("#txt2img_gallery [data-picture]").count()
    for _ in range(3):
        page.keyboard.down("Delete")
    page.keyboard.up("Delete")
    page.wait_for_function("count => document.querySelectorAll('#txt2img_gallery [data-picture]').length === count", arg=shown - 1)
    page.wait_for_timeout(300)
    assert page.locator("#txt2img_gallery [data-picture]").count() == shown - 1


class LongQueue:
    """300 waiting jobs as the server would tell of them: the first one runs, one far behind is the guest's."""

    def __init__(self, page: Any, server: Server, me: dict[str, Any]) -> None:
        pause(page, server, True)
        job = small(page, server)
        model = {name: value for name, value in job.items() if name not in ("position", "pictures", "progress")}
        empty(page, server)
        self.jobs = [
            model | {"id": f"j{n}", "place": n, "owner": "guest" if n == 250 else "host", "owner_name": "Guest" if n == 250 else "Host"}
            for n in range(300)
        ]
        self.jobs[0]["status"] = "running"
        self.moves: list[dict[str, Any]] = []
        page.route(re.compile(r"/api/jobs(\?|/j)"), self.answer)
        page.evaluate("seen => { window.seen = seen; }", self.snapshot(me))
        told(page, 'heard("snapshot", { ...window.seen, engines: state.engines })')
        page.click("#chip_queue")

    def snapshot(self, me: dict[str, Any]) -> dict[str, Any]:
        own = [job for job in self.jobs[200:] if job["owner"] == me["id"]]
        return {"jobs": self.jobs[:200] + own, "active": 300, "progress": [], "paused": False, "paused_because": "", "you": me}

    def answer(self, route: Any) -> None:
        parts = urlsplit(route.request.url)
        name = parts.path.split("/jobs")[1].strip("/").split("/")[0]
        asked = {key: value[0] for key, value in parse_qs(parts.query).items()}
        if route.request.method == "DELETE":
            route.fulfill(status=403, json={"error": {"message": "This may not be.", "field": None, "kind": "NotAllowed"}})
        elif route.request.method == "POST":
            self.moves.append({"id": name, **route.request.post_data_json})
            route.fulfill(json=self.jobs[0])
        elif name:
            route.fulfill(json=self.jobs[int(name[1:])] | {"position": int(name[1:]) - 1})
        elif asked["active"] == "false":
            route.fulfill(json={"jobs": [], "paused": True})
        else:
            start = int(asked.get("offset", 0))
            route.fulfill(json={"jobs": self.jobs[start : start + int(asked["limit"])], "paused": True})

    def gone(self, first: int) -> str:
        """A script that tells of the end of the first jobs."""
        return f"""for (const job of [...state.jobs.values()].slice(0, {first})) {{
            heard("finished", {{ job: {{ ...job, status: "done", finished_at: 1 }}, active: state.total - 1 }}); }}"""


HOST, GUEST = {"id": "host", "name": "Host", "host": True}, {"id": "guest", "name": "Guest", "host": False}


def test_a_queue_is_as_long_as_it_is_and_its_last_visible_row_moves_by_one(open_page: Opened, server: Server) -> None:
    page = open_page(quiet=False)
    queue = LongQueue(page, server, HOST | {"id": "boss"})
    assert page.inner_text("#chip_queue b") == "300"
    rows = page.locator("#queue_panel .queue-list:not(.past) .queue-row")
    assert rows.count() == 200
    assert "and 100 more" in page.inner_text("#queue_panel .queue-list")
    with page.expect_request(re.compile("/move$")):
        rows.nth(199).get_by_label("Later").click()
    with page.expect_request(re.compile("/move$")):
        rows.nth(199).get_by_label("Earlier").click()
    page.wait_for_function("true")
    assert queue.moves == [{"id": "j199", "before": "j201"}, {"id": "j199", "before": "j198"}]
    queue.jobs = queue.jobs[120:]
    told(page, queue.gone(120))
    page.wait_for_selector("#queue_panel [data-job=j299]")
    assert (page.inner_text("#chip_queue b"), rows.count()) == ("180", 180)
    page.unroute_all()
    page.evaluate(BACK)
    page.wait_for_function(EMPTY)


def test_a_collaborator_is_offered_what_a_collaborator_may_do(open_page: Opened, server: Server) -> None:
    page = open_page(quiet=False)
    queue = LongQueue(page, server, GUEST)
    other, own = page.locator("#queue_panel [data-job=j5]"), page.locator("#queue_panel [data-job=j250]")
    for name in ("Earlier", "Later", "Cancel this job"):
        assert other.get_by_label(name).count() == 0
    assert (other.get_attribute("draggable"), own.get_attribute("draggable")) == (None, None)
    assert "at least 200 ahead" in own.inner_text()
    assert own.get_by_label("Earlier").count() == 0
    with page.expect_request(re.compile("/move$")):
        own.get_by_label("Later").click()
    assert queue.moves == [{"id": "j250", "before": None}]
    own.get_by_label("Cancel this job").click()
    page.wait_for_selector(".toast:has-text('This may not be.')")
    assert own.get_by_label("Cancel this job").is_enabled(), "a refusal takes nothing back"
    assert "cancelling" not in own.inner_text()
    other.get_by_label("Show on the stage").click()
    page.click("#txt2img_interrupt")
    page.wait_for_selector(".toast:has-text('This job belongs to Host')")
    page.unroute_all()
    page.evaluate(BACK)
    page.wait_for_function(EMPTY)


def kept(page: Any, server: Server) -> str:
    browser = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "gesso_browser")
    form = page.request.get(f"{server.url}api/draft/{browser}").json()["form"] or {}
    return str(form.get("prompt"))


def test_the_form_is_kept_when_the_page_goes_at_once_and_when_the_link_was_away(open_page: Opened, server: Server) -> None:
    page = open_page(quiet=False)
    field(page, "txt2img_prompt").fill("a red barn")
    page.wait_for_function("document.querySelector('#txt2img_prompt textarea').value === 'a red barn'")
    page.reload(wait_until="commit")
    ready(page)
    page.wait_for_function("document.querySelector('#txt2img_prompt textarea').value === 'a red barn'")
    page.route("**/api/draft/*", lambda route: route.abort())
    with page.expect_event("requestfailed"):
        field(page, "txt2img_prompt").fill("a white barn")
    page.unroute_all()
    with page.expect_response(re.compile("/api/draft/")):
        page.evaluate(AWAY)
        page.evaluate(BACK)
    assert kept(page, server) == "a white barn"


def test_a_form_that_was_not_restored_is_not_kept_over_the_one_that_was(open_page: Opened, server: Server) -> None:
    page = open_page(quiet=False)
    with page.expect_response(re.compile("/api/draft/")):
        field(page, "txt2img_prompt").fill("a whole evening's work")
    held: list[Any] = []
    page.route("**/gradio_api/**", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    page.reload(wait_until="commit")
    ready(page)  # after four seconds the form is there, empty
    assert held
    field(page, "txt2img_prompt").fill("x")
    page.wait_for_timeout(700)
    page.evaluate(AWAY)
    assert kept(page, server) == "a whole evening's work"


def test_vary_refuses_where_what_made_the_picture_is_gone(open_page: Opened, server: Server) -> None:
    page = open_page()
    generate(page, "hills")
    made = picture_shown(page)
    found = page.request.get(f"{server.url}api/images/{made}/parameters").json()
    without = {name: value for name, value in found["draft"].items() if name != "checkpoint"}
    page.route(
        "**/parameters", lambda route: route.fulfill(json=found | {"draft": without, "notes": ["The checkpoint “alpha” is not here."]})
    )
    page.click("[data-act=vary]")
    page.wait_for_selector(".toast:has-text('the checkpoint “alpha” that made it cannot be used here')")
    page.wait_for_function(EMPTY)
    assert picture_shown(page) == made
    page.unroute_all()
    page.route("**/parameters", lambda route: route.fulfill(json=found | {"notes": ["“alpha” here is another file."]}))
    page.click("[data-act=vary]")
    page.wait_for_selector(".toast:has-text('“alpha” here is another file.')")
    page.wait_for_function("made => !document.querySelector('#stage_picture')?.src.includes(made)", arg=made)
    picture_shown(page)


def test_the_details_tell_what_the_file_says_of_its_making(open_page: Opened, server: Server) -> None:
    page = open_page()
    generate(page, "hills")
    made = picture_shown(page)
    found = page.request.get(f"{server.url}api/images/{made}/parameters").json()
    page.route("**/parameters", lambda route: route.fulfill(json=found | {"facts": {"Device": "cpu", "Retry": "in <fp32>"}}))
    page.click("#act_info")
    page.wait_for_selector("#details .making dd:has-text('in <fp32>')")
    assert page.inner_text("#details .making").split("\n") == ["Device", "cpu", "Retry", "in <fp32>"]


DROP = """([bytes, target, kind]) => {
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(bytes)], "found.png", { type: "image/png" }));
    const at = document.querySelector(target);
    let reached = false;
    at.addEventListener(kind, () => { reached = true; }, { once: true });
    const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: files, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true });
    const free = at.dispatchEvent(event);
    return [reached, free];
}"""


def test_an_extensions_tab_gets_its_own_drops_and_pastes(open_page: Opened, server: Server) -> None:
    page = open_page()
    generate(page, "an island", steps="11")
    data = list(page.request.get(f"{server.url}api/images/{picture_shown(page)}/file").body())
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/api/parameters") else None)
    page.evaluate(
        """() => {
            const [tab, block] = ["<div class='tab' id='tab_extra'><p>Beside</p></div>",
                `<div class='block'><button id='upload_button'>Drop here</button>
                    <input type='file' data-testid='file-upload' hidden></div>`];
            document.querySelector(".gradio-container").insertAdjacentHTML("beforeend", tab);
            document.querySelector("#tab_txt2img").insertAdjacentHTML("beforeend", block);
        }"""
    )
    assert page.evaluate(DROP, [data, "#upload_button", "drop"])[0]
    assert page.evaluate(DROP, [data, "#tab_extra p", "drop"]) == [True, False], "theirs, and the browser stays on the page"
    assert page.evaluate(DROP, [data, "#upload_button", "paste"]) == [True, True]
    page.evaluate(DROP, [data, "#tab_extra p", "dragenter"])
    assert not page.is_visible(".drop-veil")
    page.wait_for_timeout(300)
    assert asked == []
    page.evaluate(DROP, [data, "#stage_pic", "drop"])
    page.wait_for_selector(".toast:has-text('found.png')")
    assert len(asked) == 1
