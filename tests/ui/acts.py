"""What a person does on the page, and what the server may tell it."""

import re
from typing import Any


def field(page: Any, element_id: str) -> Any:
    return page.locator(f"#{element_id} textarea, #{element_id} input[type=number], #{element_id} input[type=text]").first


def generate(page: Any, prompt: str, *, steps: str = "8", count: str = "1") -> None:
    field(page, "txt2img_prompt").fill(prompt)
    field(page, "txt2img_steps").fill(steps)
    field(page, "txt2img_batch_count").fill(count)
    page.click("#txt2img_generate")


def picture_shown(page: Any) -> str:
    """The id of the finished picture on the stage, once nothing runs any more."""
    source = page.wait_for_function(
        """() => {
            const image = document.querySelector("#stage_picture[data-kind=picture]");
            return document.title === "Gesso" && image?.complete ? image.getAttribute("src") : null;
        }"""
    ).json_value()
    found = re.search(r"images/([^/]+)/file", source)
    assert found is not None, source
    return found.group(1)


def told(page: Any, event: str) -> None:
    """As if the stream had told it: `event` calls `heard`, and may look at `state`."""
    state = """import(document.querySelector("script[src$='main.js']").src.replace("main.js", "state.js"))"""
    page.evaluate(f"async () => {{ const {{ heard, state }} = await {state}; {event}; }}")
