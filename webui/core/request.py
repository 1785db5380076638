"""`GenerationRequest`: everything that decides the images. Two equal requests give the same images."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from webui.core.errors import UserError
from webui.core.geometry import MAX_SIDE, MIN_SIDE, SIDE_MULTIPLE

MAX_SEED = 2**32 - 1
MAX_PROMPT = 20_000  # characters
MAX_COUNT = 100  # pictures in a job
MAX_LORAS = 100  # at once
BUILT_IN, AUTOMATIC_VAE = "None", "Automatic"  # A1111's words for the checkpoint's own VAE, and for one that fits it

Word = Annotated[str, Field(min_length=1, max_length=300)]
Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE, multiple_of=SIDE_MULTIPLE)]


class Frozen(BaseModel):
    """What crosses a boundary (disk, queue, process, REST): immutable, closed, finite numbers only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TextToImage(Frozen):
    """From noise alone."""

    kind: Literal["text_to_image"] = "text_to_image"


Task = TextToImage  # becomes a union discriminated by `kind` with the second task


class Sampling(Frozen):
    """How the noise is removed."""

    sampler: str = Field("DPM++ 2M", max_length=64, description="What picks each step, under A1111's name.")
    schedule: str = Field("Karras", max_length=64, description="How noise levels are spaced over the steps.")
    steps: int = Field(20, ge=1, le=150, description="Denoising steps.")
    guidance: float = Field(7.0, ge=1, le=30, description="Classifier-free guidance scale; 1 turns it off.")
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Seed of the first picture; the n-th uses seed + n.")
    clip_skip: int = Field(1, ge=1, le=12, description="1 uses the text encoder's last layer.")


class LoraUse(Frozen):
    """A LoRA and how strongly it is applied; 1 is as it was trained, 0 not at all, below 0 the opposite."""

    name: str = Field(min_length=1, max_length=300, pattern=r"^[^:<>=]+$", description="Its file's name without the suffix.")
    unet: float = Field(1.0, ge=-100, le=100, description="Weight for the UNet.")
    text_encoder: float = Field(1.0, ge=-100, le=100, description="Weight for the text encoder.")
    rank: int | None = Field(None, ge=1, le=4096, description="Uses only the first ranks, for DyLoRA.")


class GenerationRequest(Frozen):
    """A job's whole description. No setting is read while it runs, and the seed is drawn before it is stored."""

    checkpoint: str = Field(min_length=1, max_length=300, description="Name of the checkpoint.")
    prompt: str = Field("", max_length=MAX_PROMPT)
    negative_prompt: str = Field("", max_length=MAX_PROMPT)
    task: Task = TextToImage()
    width: Side = Field(512, description="px")
    height: Side = Field(512, description="px")
    count: int = Field(1, ge=1, le=MAX_COUNT, description="Pictures to make.")
    batch_size: int = Field(1, ge=1, le=16, description="Pictures denoised at once; 1 is bit-exact with any count.")
    vae: str = Field(BUILT_IN, min_length=1, max_length=300, description="A VAE's name; “None” is the checkpoint's own.")
    loras: tuple[LoraUse, ...] = Field((), max_length=MAX_LORAS, description="Also those of the prompt's `<lora:name:weight>`.")
    embeddings: tuple[Word, ...] = Field((), max_length=MAX_LORAS, description="Words of the prompts that stand for files.")
    sampling: Sampling = Sampling()

    def seed_of(self, index: int) -> int:
        """Seed of the picture at `index` (0-based); wraps past 2³² − 1."""
        return (self.sampling.seed + index) % (MAX_SEED + 1)


def _optional(model: type[BaseModel], name: str, **nested: type[BaseModel]) -> type[Any]:
    """A model with the same fields and limits in which every field may be absent (None)."""
    fields: dict[str, Any] = {}
    for key, info in model.model_fields.items():
        absent = info.merge_field_infos(info, default=None, default_factory=None)
        annotation: Any = nested.get(key, info.annotation)
        if info.metadata and key not in nested:
            annotation = Annotated[annotation, *info.metadata]
        fields[key] = (annotation | None, Field(None, description=absent.description))
    made: type[Any] = create_model(name, __base__=Frozen, **fields)
    made.__doc__ = f"{model.__name__} in which any field may be absent; see `complete`."
    return made


SamplingDraft = _optional(Sampling, "SamplingDraft")
_DraftBase = _optional(GenerationRequest, "_DraftBase", sampling=SamplingDraft)


class RequestDraft(_DraftBase):  # type: ignore[misc, valid-type]  # the base is made from GenerationRequest's own fields
    """A request as asked for: what is absent (or null) takes the checkpoint's defaults, an absent seed is drawn."""

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Self:
        """Raises `UserError` naming the first field at fault and what is allowed."""
        try:
            draft: Self = cls.model_validate(dict(data))
        except ValidationError as error:
            raise describe(error) from error
        return draft


def complete(draft: RequestDraft, defaults: Mapping[str, Any]) -> GenerationRequest:
    """Fill what `draft` leaves open from `defaults` (flat: width, height, steps, guidance, sampler, …).

    Raises `UserError` where the result is not a valid request, e.g. no checkpoint.
    """
    asked = draft.model_dump(exclude_none=True)
    sampling = {key: defaults[key] for key in Sampling.model_fields if key in defaults}
    sampling |= asked.pop("sampling", {})
    sampling.setdefault("seed", draw_seed())
    whole = {key: defaults[key] for key in GenerationRequest.model_fields if key in defaults} | asked
    try:
        return GenerationRequest.model_validate(whole | {"sampling": sampling})
    except ValidationError as error:
        raise describe(error) from error


def draw_seed() -> int:
    """A seed uniform in [0, 2³² − 1]."""
    return secrets.randbelow(MAX_SEED + 1)


def describe(error: ValidationError) -> UserError:
    """The first complaint as one sentence: the field, what is allowed, what came."""
    return complaint(error.errors(include_url=False)[0])


def complaint(first: Mapping[str, Any]) -> UserError:
    """The same for one of pydantic's error rows."""
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UserError(f"There is no field “{field}” in a request.", field=field)
    if first["type"] == "missing":
        return UserError(f"The field “{field}” is missing.", field=field)
    came = repr(first.get("input"))
    shown = came if len(came) <= 60 else came[:57] + "…"
    return UserError(f"{field or 'The request'}: {first['msg']}, not {shown}.", field=field or None)
