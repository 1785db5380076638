"""The form's components, with limits read from the request's own fields. `assets/form.js` adds steppers, scrubbing and sliders."""

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from webui.ui.form import CUSTOM, NUMBERS, OWN_FIELDS, REQUEST_FIELDS, SHAPES, Limits, limits
from webui.ui.widgets.markup import icon, icon_button

HIDDEN = ["gesso-hidden"]


def choice(choices: Sequence[Any], **given: Any) -> Any:
    """A list whose value is judged by us: Gradio's own refusal is no sentence, and after a restart it knows no choices.

    Not a subclass: Gradio writes a `.pyi` file beside the module of each one.
    """
    made = gr.Dropdown(list(choices), value=None, **given)
    made.preprocess = lambda payload: payload
    return made


def _number(label: str, field: str, kind: str = "", *, step: float = 1, value: float | None = None) -> Any:
    """Without limits on the server's side, for the same reason; `assets/form.js` sets them in the browser."""
    classes = [kind] if kind else []
    precision = None if step % 1 else 0
    return gr.Number(
        label=label, value=value, elem_id=REQUEST_FIELDS[field], elem_classes=classes, step=step, precision=precision, min_width=60
    )


def numbers() -> dict[str, Limits]:
    """The limits of every number by element id, for the browser."""
    return {REQUEST_FIELDS[field]: limits(field) for field in NUMBERS}


def prompts() -> dict[str, Any]:
    """The two texts."""
    with gr.Column(elem_classes=["field", "prompt-field"]):
        prompt = gr.Textbox(
            label="Prompt",
            lines=4,
            max_lines=14,
            elem_id=REQUEST_FIELDS["prompt"],
            placeholder="What should the picture show?",
            autofocus=False,
        )
        gr.HTML('<div id="prompt_words" class="words" aria-label="Known words"></div>', apply_default_css=False, elem_classes=["bare"])
    negative = gr.Textbox(
        label="Negative prompt",
        show_label=False,
        lines=1,
        max_lines=6,
        elem_id=REQUEST_FIELDS["negative_prompt"],
        placeholder="Negative prompt: what to keep out",
    )
    return {"prompt": prompt, "negative_prompt": negative}


def buttons() -> tuple[Any, Any]:
    """Generate and Cancel; on a phone they stand at the foot of the screen."""
    with gr.Row(elem_id="txt2img_generate_box", elem_classes=["generate-bar"]):
        generate = gr.Button("Generate", variant="primary", elem_id="txt2img_generate")
        cancel = gr.Button("Cancel", elem_id="txt2img_interrupt", min_width=0)
    gr.HTML('<div id="form_trouble" class="trouble" role="alert" hidden></div>', apply_default_css=False, elem_classes=["bare"])
    return generate, cancel


def size() -> tuple[dict[str, Any], Any]:
    """Shape, and under Custom the sides with a swap between them."""
    with gr.Column(elem_classes=["field", "size-field"]):
        gr.HTML('<div class="lab"><span>Size</span><span id="size_note"></span></div>', apply_default_css=False, elem_classes=["bare"])
        shape = gr.Radio(
            [*SHAPES, CUSTOM], value="1:1", label="Size", show_label=False, elem_id=OWN_FIELDS["shape"], elem_classes=["seg-radio"]
        )
        with gr.Row(elem_id="txt2img_sides", elem_classes=["sides"]):
            width = _number("Width", "width", step=8)
            swap = gr.Button("Swap", elem_id="txt2img_res_switch_btn", min_width=0, size="sm")
            height = _number("Height", "height", step=8)
    return {"shape": shape, "width": width, "height": height}, swap


def count_and_seed() -> dict[str, Any]:
    """How many pictures, and what they start from."""
    with gr.Row(elem_classes=["pair", "count-seed"]):
        count = _number("Pictures", "count", "stepper", value=1)
        with gr.Column(elem_classes=["field", "seed-field"], min_width=100):
            seed = gr.Textbox(label="Seed", elem_id=REQUEST_FIELDS["sampling.seed"], placeholder="random", lines=1, max_lines=1)
            gr.HTML(
                '<div class="seed-tools">'
                + icon_button("dices", "New seed each time", "seed_dice")
                + icon_button("rotate", "Reuse the seed of the picture shown", "seed_reuse")
                + icon_button("lock-open", "Keep this seed", "seed_lock")
                + "</div>",
                apply_default_css=False,
                elem_classes=["bare"],
            )
    fixed = gr.Checkbox(label="Keep this seed", value=False, elem_id=OWN_FIELDS["seed_fixed"], elem_classes=HIDDEN)
    return {"count": count, "sampling.seed": seed, "seed_fixed": fixed}


def sampling(samplers: Sequence[str], schedules: Sequence[str]) -> dict[str, Any]:
    """Steps and guidance as slider and field, sampler and schedule as lists."""
    made = {
        "sampling.steps": _number("Steps", "sampling.steps", "dial"),
        "sampling.guidance": _number("Guidance", "sampling.guidance", "dial", step=0.5),
    }
    with gr.Row(elem_classes=["pair"]):
        made["sampling.sampler"] = choice(samplers, label="Sampler", elem_id=REQUEST_FIELDS["sampling.sampler"], min_width=60)
        made["sampling.schedule"] = choice(schedules, label="Schedule", elem_id=REQUEST_FIELDS["sampling.schedule"], min_width=60)
    return made


def advanced() -> dict[str, Any]:
    """Used once a week: behind a drawer that says its state in a word."""
    gr.HTML(
        '<button type="button" class="drawer-head" id="advanced_head" aria-expanded="false" aria-controls="advanced_drawer">'
        f'<span>Advanced</span><span class="drawer-state"><span id="advanced_state"></span>{icon("chevron-right")}</span></button>',
        apply_default_css=False,
        elem_classes=["bare"],
    )
    with gr.Column(elem_id="advanced_drawer", elem_classes=["drawer"]):
        return {
            "sampling.clip_skip": _number("Clip skip", "sampling.clip_skip", "dial", value=1),
            "batch_size": _number("At once", "batch_size", "dial", value=1),
        }


def whole_form(samplers: Sequence[str], schedules: Sequence[str]) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """All fields in the order of thought, and the buttons by name."""
    fields = prompts()
    generate, cancel = buttons()
    sides, swap = size()
    fields |= sides | count_and_seed() | sampling(samplers, schedules) | advanced()
    fields["applied"] = gr.Textbox(
        elem_id=OWN_FIELDS["applied"], elem_classes=HIDDEN, show_label=False, label="Checkpoint whose defaults apply"
    )
    return fields, {"generate": generate, "cancel": cancel, "swap": swap}
