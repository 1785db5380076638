"""The form's components, with limits read from the request's own fields. `assets/form.js` adds steppers, scrubbing and sliders."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from webui.core.request import GenerationRequest, Sampling
from webui.ui.form import CUSTOM, OWN_FIELDS, REQUEST_FIELDS, SHAPES
from webui.ui.widgets.markup import icon, icon_button

HIDDEN = ["gesso-hidden"]


class Limits(NamedTuple):
    """Lowest and highest value of a request field, as its type says."""

    low: float
    high: float


def limits(field: str) -> Limits:
    """Read from the pydantic field, so that a limit is written once."""
    group, _, name = field.rpartition(".")
    info = (Sampling if group else GenerationRequest).model_fields[name]
    low = next(rule.ge for rule in info.metadata if hasattr(rule, "ge"))
    high = next(rule.le for rule in info.metadata if hasattr(rule, "le"))
    return Limits(low, high)


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
        label="Negative prompt", lines=1, max_lines=6, elem_id=REQUEST_FIELDS["negative_prompt"], placeholder="Negative prompt: what to keep out",
        show_label=False,
    )  # fmt: skip
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
            low, high = limits("width")
            width = gr.Number(label="Width", elem_id=REQUEST_FIELDS["width"], minimum=low, maximum=high, step=8, precision=0, min_width=60)
            swap = gr.Button("Swap", elem_id="txt2img_res_switch_btn", min_width=0, size="sm")
            height = gr.Number(
                label="Height", elem_id=REQUEST_FIELDS["height"], minimum=low, maximum=high, step=8, precision=0, min_width=60
            )
    return {"shape": shape, "width": width, "height": height}, swap


def count_and_seed() -> dict[str, Any]:
    """How many pictures, and what they start from."""
    with gr.Row(elem_classes=["pair", "count-seed"]):
        low, high = limits("count")
        count = gr.Number(
            label="Pictures", value=1, elem_id=REQUEST_FIELDS["count"], elem_classes=["stepper"], minimum=low, maximum=high, step=1, precision=0,
            min_width=60,
        )  # fmt: skip
        with gr.Column(elem_classes=["field", "seed-field"], min_width=100):
            seed = gr.Textbox(label="Seed", elem_id=REQUEST_FIELDS["sampling.seed"], placeholder="new each time", lines=1, max_lines=1)
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
    steps, guidance = limits("sampling.steps"), limits("sampling.guidance")
    made = {
        "sampling.steps": gr.Number(
            label="Steps",
            elem_id=REQUEST_FIELDS["sampling.steps"],
            elem_classes=["dial"],
            minimum=steps.low,
            maximum=steps.high,
            step=1,
            precision=0,
        ),
        "sampling.guidance": gr.Number(
            label="Guidance",
            elem_id=REQUEST_FIELDS["sampling.guidance"],
            elem_classes=["dial"],
            minimum=guidance.low,
            maximum=guidance.high,
            step=0.5,
        ),
    }
    with gr.Row(elem_classes=["pair"]):
        made["sampling.sampler"] = gr.Dropdown(
            list(samplers), value=None, label="Sampler", elem_id=REQUEST_FIELDS["sampling.sampler"], min_width=60
        )
        made["sampling.schedule"] = gr.Dropdown(
            list(schedules), value=None, label="Schedule", elem_id=REQUEST_FIELDS["sampling.schedule"], min_width=60
        )
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
        clip, batch = limits("sampling.clip_skip"), limits("batch_size")
        return {
            "sampling.clip_skip": gr.Number(
                label="Clip skip",
                value=1,
                elem_id=REQUEST_FIELDS["sampling.clip_skip"],
                elem_classes=["dial"],
                minimum=clip.low,
                maximum=clip.high,
                step=1,
                precision=0,
            ),  # fmt: skip
            "batch_size": gr.Number(
                label="At once",
                value=1,
                elem_id=REQUEST_FIELDS["batch_size"],
                elem_classes=["dial"],
                minimum=batch.low,
                maximum=batch.high,
                step=1,
                precision=0,
            ),  # fmt: skip
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
