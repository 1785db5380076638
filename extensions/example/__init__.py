"""Uses every hook once, in as few words as each allows. Switched off by the file `off` beside this one."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import ImageDraw
from PIL.Image import Image

from webui.core.events import BusEvent, Saved
from webui.core.geometry import Size
from webui.core.job import Person
from webui.core.parts import FamilyInfo, SamplerInfo, ScheduleInfo
from webui.core.records import CheckpointDefaults, ModelRecord
from webui.core.request import GenerationRequest
from webui.hooks import hookimpl

if TYPE_CHECKING:
    from fastapi import APIRouter

    from webui.ui.tabs import Shell, Tab

FRAME = "#frame"  # a prompt with this word gets a frame around its picture
made: Counter[str] = Counter()  # pictures since the start, by checkpoint


# --- rows: a sampler and a schedule are data, and the page, the API and the engine all draw from it ---


@hookimpl
def register_samplers() -> Sequence[SamplerInfo]:
    """DPM++ 2M with Heun's formula for its second order, in place of the midpoint's."""
    return [
        SamplerInfo(
            id="DPM++ 2M Heun",
            implementation="DPMSolverMultistepScheduler",
            options={"algorithm_type": "dpmsolver++", "solver_type": "heun"},
            automatic="Karras",
        )
    ]


@hookimpl
def register_schedules() -> Sequence[ScheduleInfo]:
    """Karras' formula with ρ = 3 in place of 7: fewer of the steps go into the finest detail."""
    return [ScheduleInfo(id="Karras 3", options={"spacing": "karras", "rho": 3.0})]


# --- a family: how its files are told from others, and how they are loaded ---

SAVED_ELSEWHERE = FamilyInfo(
    id="sd15-image-to-image",
    label="Stable Diffusion 1.x, saved by another pipeline",
    native=Size(512, 512),
    tasks=("text_to_image",),
    pipeline_classes=("StableDiffusionImg2ImgPipeline",),  # the same networks; only the name in model_index.json differs
    signature=(),  # never a single file
    defaults=CheckpointDefaults(),
)


@hookimpl
def register_families() -> Sequence[FamilyInfo]:
    return [SAVED_ELSEWHERE]


def load(record: ModelRecord, device: Any) -> Any:
    """Called in the engine's process for checkpoints of the families above; torch may be imported here, and only here."""
    from webui.engine.families import sd15

    return sd15.load(record, device)


# --- on the way of a job ---


@hookimpl
def prepare_request(request: GenerationRequest, record: ModelRecord, owner: Person) -> GenerationRequest | None:
    """Tidy the prompt's white space. What is returned here is what is recorded."""
    tidy = " ".join(request.prompt.split())
    return None if tidy == request.prompt else request.model_copy(update={"prompt": tidy})


@hookimpl
def process_image(image: Image, request: GenerationRequest) -> Image | None:
    """Draw a frame where the prompt asks for one. An argument that is not needed may be left out."""
    if FRAME not in request.prompt.split():
        return None
    wide = max(1, min(image.size) // 24)
    ImageDraw.Draw(image).rectangle((0, 0, image.width - 1, image.height - 1), outline="white", width=wide)
    return image


@hookimpl
def on_event(event: BusEvent) -> None:
    """Count the pictures."""
    if isinstance(event, Saved):
        made[event.picture.checkpoint or "unknown"] += 1


# --- on the page and in the API; gradio and fastapi are imported here only, since the engine's process imports this file too ---


@hookimpl
def register_tabs() -> Sequence["Tab"]:
    from webui.ui.tabs import Tab

    return [Tab(id="example", label="Tally", order=70, build=_build)]


def _build(shell: "Shell") -> None:
    import gradio as gr

    with gr.Column(elem_classes=["tally"]):
        shown = gr.Markdown(tally)
        gr.Button("Count again", scale=0).click(tally, outputs=shown, api_visibility="private")


def tally() -> str:
    """What was made since the start, in Markdown."""
    lines = [f"* {checkpoint}: {number}" for checkpoint, number in made.most_common()]
    return "\n".join(["### Pictures since the start", *(lines or ["None yet."])])


@hookimpl
def register_routes() -> Sequence["APIRouter"]:
    """`GET /extensions/example/tally`, behind the same door as every other route."""
    from fastapi import APIRouter

    router = APIRouter()
    router.add_api_route("/tally", lambda: dict(made), methods=["GET"], summary="Pictures since the start, by checkpoint")
    return [router]
