"""Text to image: the form on the left, the stage on the right, and what joins them."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from pydantic import ValidationError

from webui.core.errors import GessoError
from webui.core.records import ModelRecord
from webui.core.request import RequestDraft
from webui.ui import facts, form, watch, who
from webui.ui.form import OWN_FIELDS, REQUEST_FIELDS
from webui.ui.tabs import Shell, Tab
from webui.ui.widgets import stage
from webui.ui.widgets.fields import HIDDEN, whole_form

NAMES = (*REQUEST_FIELDS, *OWN_FIELDS)  # the order in which `assets/form.js` gets the values
Updates = dict[Any, Any]


class TextToImage:
    """The tab's handlers. Each returns at once: a job is watched by the script, never by a handler."""

    def __init__(self, shell: Shell, fields: Mapping[str, Any], answer: Any) -> None:
        self.shell = shell
        self.studio = shell.studio
        self.fields = fields
        self.answer = answer  # what a handler has to tell the script

    def _named(self, data: Mapping[Any, Any]) -> dict[str, Any]:
        return {name: data.get(component) for name, component in self.fields.items()}

    def _updates(self, values: Mapping[str, Any]) -> Updates:
        return {self.fields[name]: value for name, value in values.items()}

    def _record(self, checkpoint: object) -> ModelRecord | None:
        return next((record for record in self.studio.checkpoints() if record.id == checkpoint and record.family is not None), None)

    def _schedules(self, sampler: object) -> list[str]:
        """Those that go with a sampler; all of them for one that is not known."""
        known = next((row for row in self.studio.samplers if row.id == sampler), None)
        every = list(self.studio.schedules.ids)
        return [name for name in every if known is None or known.schedules is None or name in known.schedules]

    def _with_choices(self, values: Mapping[str, Any], current: Mapping[str, Any]) -> Updates:
        """Updates in which the schedules on offer follow the sampler; `current` is what the form holds of the other fields."""
        values = self._fitted(values, current)
        updates = self._updates(values)
        if "sampling.sampler" in values:
            held = {**current, **values}
            offered = self._schedules(held["sampling.sampler"])
            updates[self.fields["sampling.schedule"]] = gr.Dropdown(choices=offered, value=held["sampling.schedule"])
        return updates

    def _fitted(self, values: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
        """The values with a schedule that the sampler takes, where either of the two changes; Automatic for one that does not fit."""
        held = {**current, **values}
        wanted = held.get("sampling.schedule")
        offered = self._schedules(held.get("sampling.sampler"))
        if not {"sampling.sampler", "sampling.schedule"} & values.keys() or wanted in offered:
            return dict(values)
        rest = {name: value for name, value in values.items() if name != "sampling.schedule"}
        fit = {} if current.get("sampling.schedule") == offered[0] else {"sampling.schedule": offered[0]}
        return rest | fit

    def restore(self, request: gr.Request) -> Updates:
        """The form as this browser left it, over the checkpoint's defaults."""
        browser = who.browser(request)
        kept = (self.studio.load_form(who.person(request), browser) if browser else None) or {}
        fallback = self.studio.default_checkpoint()
        record = self._record(kept.get("checkpoint")) or fallback
        values: dict[str, Any] = {"checkpoint": record.id if record else None, "applied": record.id if record else None}
        values |= form.defaults(record)
        values |= self._sound(kept)
        values["shape"] = (
            kept.get("shape")
            if kept.get("shape") == form.CUSTOM
            else form.shape_of(values.get("width", 0), values.get("height", 0), record)
        )
        updates = self._with_choices(values, {})
        usable = [(row.label, row.id) for row in self.studio.checkpoints() if row.family is not None]
        updates[self.fields["checkpoint"]] = gr.Dropdown(choices=usable, value=values["checkpoint"])
        told = facts.known(self.studio) | {
            "kind": "restored",
            "person": who.person(request).model_dump(),
            "shared": self.shell.settings.shared,
        }
        return updates | {self.answer: told}

    def _sound(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Of a kept form, the fields that are still allowed; one bad value does not cost the others."""
        found: dict[str, Any] = {}
        for name in (*REQUEST_FIELDS, "seed_fixed"):
            value = kept.get(name)
            if name in ("checkpoint", "sampling.seed") or value is None:
                continue
            if name == "seed_fixed" or self._allowed(name, value):
                found[name] = value
        seed = kept.get("sampling.seed")
        if isinstance(seed, str) and len(seed) < 40:
            found["sampling.seed"] = seed
        return found

    def _allowed(self, name: str, value: Any) -> bool:
        group, _, field = name.rpartition(".")
        if name == "sampling.sampler" and value not in self.studio.samplers.ids:
            return False
        if name == "sampling.schedule" and value not in self.studio.schedules.ids:
            return False
        try:
            RequestDraft.model_validate({group: {field: value}} if group else {field: value})
        except ValidationError:
            return False
        return True

    def submit(self, data: dict[Any, Any], request: gr.Request) -> dict[str, Any]:
        """Queue what the form asks for."""
        try:
            return watch.queued(self.studio.submit(form.draft(self._named(data)), who.person(request)))
        except GessoError as error:
            return watch.failed(error, about="submit")

    def choose(self, data: dict[Any, Any]) -> Updates:
        """Another checkpoint: its defaults for the fields that nobody touched, said and undoable; its weights begin to load."""
        values = self._named(data)
        record = self._record(values["checkpoint"])
        if record is None:
            return {self.answer: {"kind": "none"}}
        changed = self._fitted(form.following(values, self._record(values["applied"]), record), values)
        width, height = changed.get("width", values["width"]), changed.get("height", values["height"])
        shape = form.shape_of(width or 0, height or 0, record)
        updates = self._with_choices(changed | {"shape": shape, "applied": record.id}, values)
        self.studio.warm(record.id)
        before = {name: values[name] for name in (*changed, "shape")} if changed else {}
        return updates | {self.answer: {"kind": "followed", "checkpoint": record.label, "changed": changed, "before": before}}

    def shape(self, shape: str, checkpoint: str) -> tuple[Any, Any]:
        """The sides for a shape; a custom size starts from what is there."""
        size = form.size_of(shape, self._record(checkpoint))
        return (size.width, size.height) if size else (gr.skip(), gr.skip())

    def swap(self, width: float, height: float, checkpoint: str) -> tuple[Any, Any, str]:
        return height, width, form.shape_of(height or 0, width or 0, self._record(checkpoint))

    def schedules(self, sampler: str, schedule: str) -> Any:
        offered = self._schedules(sampler)
        return gr.Dropdown(choices=offered, value=schedule if schedule in offered else offered[0])

    def fill(self, wanted: dict[str, Any], data: dict[Any, Any]) -> Updates:
        """Put a picture's settings, a suggestion or an undone change into the form; what is not named stays."""
        try:
            values = form.values(RequestDraft.parse(wanted.get("draft") or {})) | self._sound(wanted.get("values") or {})
        except GessoError as error:
            return {self.answer: watch.failed(error, about="fill")}
        values.setdefault("checkpoint", (wanted.get("values") or {}).get("checkpoint"))
        record = self._record(values.get("checkpoint")) or self._record(data.get(self.fields["checkpoint"]))
        if self._record(values.get("checkpoint")) is None:
            values.pop("checkpoint", None)
        if "checkpoint" in values:
            values["applied"] = values["checkpoint"]
        if "width" in values or "height" in values:
            width = values.get("width", data.get(self.fields["width"]))
            values["shape"] = form.shape_of(width or 0, values.get("height", data.get(self.fields["height"])) or 0, record)
        return self._with_choices(values, self._named(data)) | {self.answer: {"kind": "filled", "fields": list(values)}}


def build(shell: Shell) -> None:
    """Lay out panel and stage, and join their events to the handlers."""
    with gr.Column(elem_id="txt2img_panel", elem_classes=["panel"]):
        fields, buttons = whole_form(shell.studio.samplers.ids, shell.studio.schedules.ids)
    fields = {"checkpoint": shell.checkpoint} | fields
    gr.HTML(stage.markup("txt2img_gallery"), apply_default_css=False, elem_id="txt2img_stage", elem_classes=["stage-host"])
    answer = gr.JSON(elem_id="gesso_answer", elem_classes=HIDDEN)
    wanted = gr.JSON(elem_id="gesso_wanted", elem_classes=HIDDEN)
    _join(shell, TextToImage(shell, fields, answer), buttons, wanted)


def _join(shell: Shell, tab: TextToImage, buttons: Mapping[str, Any], wanted: Any) -> None:
    fields, answer = tab.fields, tab.answer
    every = set(fields.values())
    ordered = [fields[name] for name in NAMES]
    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

    def told(event: Any, about: str) -> None:
        event.success(fn=None, inputs=[answer], js="(answer) => window.gesso.told(answer)", **quick)
        event.failure(fn=None, js=f"() => window.gesso.told({{kind: 'lost', about: '{about}'}})", **quick)

    told(shell.blocks.load(tab.restore, None, [*ordered, answer], **quick), "restore")

    told(buttons["generate"].click(tab.submit, every, answer, trigger_mode="multiple", **quick), "submit")
    told(shell.checkpoint.input(tab.choose, every, [*ordered, answer], **quick), "choose")
    fields["shape"].input(tab.shape, [fields["shape"], fields["checkpoint"]], [fields["width"], fields["height"]], **quick)
    sides = [fields["width"], fields["height"]]
    buttons["swap"].click(tab.swap, [*sides, fields["checkpoint"]], [*sides, fields["shape"]], **quick)
    sampler, schedule = fields["sampling.sampler"], fields["sampling.schedule"]
    sampler.input(tab.schedules, [sampler, schedule], schedule, **quick)

    def fill(data: dict[Any, Any]) -> Updates:
        return tab.fill(data[wanted] if isinstance(data[wanted], dict) else {}, data)

    pull = gr.Button("Fill", elem_id="gesso_fill", elem_classes=HIDDEN)
    take = {"fn": None, "inputs": None, "outputs": [wanted], "js": "() => window.gesso.wanted()"} | quick
    told(pull.click(**take).then(fill, every | {wanted}, [*ordered, answer], **quick), "fill")
    changes = [component.change for component in ordered]
    gr.on(changes, fn=None, inputs=ordered, js="(...values) => window.gesso.changed(values)", trigger_mode="multiple", **quick)


TAB = Tab(id="txt2img", label="Text to image", order=10, build=build)
