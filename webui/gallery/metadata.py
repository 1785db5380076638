"""What a picture of ours says about itself: A1111's text as `parameters`, and the exact request as JSON in `gesso`."""

import json
from collections.abc import Mapping
from typing import Any

from PIL.PngImagePlugin import PngInfo
from pydantic import Field, ValidationError

from webui import __version__
from webui.core.infotext import Infotext, of_image
from webui.core.job import Job
from webui.core.request import Frozen, GenerationRequest
from webui.core.sampling import AUTOMATIC

PARAMETERS, GESSO = "parameters", "gesso"  # keywords of the PNG's texts
VERSION = f"Gesso {__version__}"  # no bare number: A1111 would take it for its own and apply the quirks of that version
SHORT_HASH = 10  # hex digits


class Origin(Frozen):
    """The `gesso` text: all that the index knows of a picture, so that it can be rebuilt from the files.

    A picture is read by newer and older versions too, so `request` is kept as it stands; see `request_of`.
    """

    program: str = VERSION
    id: str = Field(pattern=r"^[0-9a-f]{32}$")
    job: str = Field(min_length=1, max_length=100)
    index: int = Field(ge=0, lt=2**31)
    owner: str = Field(max_length=100)
    seed: int = Field(ge=0, lt=2**63)
    created_at: float
    facts: dict[str, str] = Field(default_factory=dict)
    request: dict[str, Any]

    def request_of(self) -> GenerationRequest | None:
        """None where another version had fields that this one has not."""
        try:
            return GenerationRequest.model_validate(self.request)
        except ValidationError:
            return None


def as_it_ran(job: Job, facts: Mapping[str, str]) -> Job:
    """The job with the schedule that the engine says it ran, where it was asked for Automatic.

    What Automatic means may change from version to version; the picture must not, when it is made again.
    """
    schedule = facts.get("Schedule")
    if schedule is None or job.request.sampling.schedule != AUTOMATIC:
        return job
    sampling = job.request.sampling.model_copy(update={"schedule": schedule})
    return job.model_copy(update={"request": job.request.model_copy(update={"sampling": sampling})})


def infotext_of(request: GenerationRequest, seed: int, checkpoint_hash: str | None, facts: Mapping[str, str]) -> Infotext:
    """In A1111's field order, for the picture with this seed. `facts` are the engine's, which knows the files that it used."""
    sampling = request.sampling
    return of_image(
        request.prompt,
        request.negative_prompt,
        {
            "Steps": sampling.steps,
            "Sampler": sampling.sampler,
            "Schedule type": sampling.schedule,
            "CFG scale": sampling.guidance,
            "Seed": seed,
            "Size": f"{request.width}x{request.height}",
            "Model hash": checkpoint_hash[:SHORT_HASH] if checkpoint_hash else None,
            "Model": request.checkpoint.rpartition("/")[2],
            "VAE hash": facts.get("VAE hash"),
            "VAE": facts.get("VAE"),
            "Clip skip": sampling.clip_skip if sampling.clip_skip > 1 else None,
            "RNG": "CPU",
            "Lora hashes": facts.get("Lora hashes"),
            "TI hashes": facts.get("TI hashes"),
            "Version": VERSION,
        },
    )


def origin_of(job: Job, index: int, seed: int, picture: tuple[str, float], facts: dict[str, str]) -> Origin:
    """`picture` is its id and when it was made, in seconds since 1970."""
    return Origin(
        id=picture[0],
        job=job.id,
        index=index,
        owner=job.owner,
        seed=seed,
        created_at=picture[1],
        facts=facts,
        request=job.request.model_dump(mode="json"),
    )


def png_info(parameters: str, origin: Origin) -> PngInfo:
    """As A1111 writes it: plain where Latin-1 is enough, else `iTXt`."""
    info = PngInfo()
    info.add_text(PARAMETERS, parameters)
    info.add_itxt(GESSO, origin.model_dump_json())
    return info


def read_origin(text: str | None) -> Origin | None:
    """None where there is none, or none that this version can read."""
    if text is None:
        return None
    try:
        return Origin.model_validate(json.loads(text))
    except (ValueError, RecursionError):
        return None
