"""What a found file is: its family by its header or its `model_index.json`, and what its card adds. Never guessed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from webui.core.errors import LoadFailed
from webui.core.geometry import Size
from webui.core.parts import FamilyInfo
from webui.core.records import CheckpointDefaults, LatentRgb, ModelRecord
from webui.core.request import Frozen, describe
from webui.library.header import Header, read_header
from webui.library.scan import INDEX, Found

MAX_JSON = 1_000_000  # bytes of a model_index.json or a gesso.json
NETWORKS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
PICKLED = (".ckpt", ".pt", ".pth", ".bin")


class Card(Frozen):
    """`gesso.json`: what a checkpoint's maker says about it. Every key may be absent."""

    label: str = Field("", max_length=200)
    license: str = Field("", max_length=200)
    starter: bool = False
    defaults: dict[str, Any] = Field(default_factory=dict)  # those of `CheckpointDefaults` that differ from the family's
    sizes: tuple[Size, ...] = ()
    words: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    suggestions: tuple[str, ...] = ()
    latent_rgb: LatentRgb | None = None


class Kind(NamedTuple):
    """A family, or the sentence that says why there is none."""

    family: FamilyInfo | None
    problem: str = ""


def identify(found: Found, record_id: str, families: Iterable[FamilyInfo]) -> ModelRecord:
    """A record in any case: what cannot be used is listed with its `problem`, and without a family.

    A card that cannot be read is named in `problem` too, but does not make its checkpoint useless.
    """
    families = tuple(families)
    if str(found.path).encode("utf-8", "replace").decode() != str(found.path):  # it could be neither stored nor sent
        safe = Path(str(found.path).encode("utf-8", "replace").decode())
        problem = "Its file name is not valid text. Rename it."
        return ModelRecord(id=record_id, label=record_id, path=safe, layout=found.layout, family=None, problem=problem, bytes=found.bytes)
    try:
        kind = _diffusers(found.path, families) if found.layout == "diffusers" else _single_file(found.path, families)
    except LoadFailed as error:
        kind = Kind(None, str(error))
    except OSError as error:
        kind = Kind(None, f"{found.path.name} cannot be read: {error.strerror}.")
    defaults = kind.family.defaults if kind.family else CheckpointDefaults()
    card, complaint = Card(), ""
    if found.card is not None:
        try:
            card = Card.model_validate(_json(found.card))
            defaults = CheckpointDefaults.model_validate(defaults.model_dump() | card.defaults)
        except ValidationError as error:
            complaint = f"Its {found.card.name} was left aside: {describe(error)}"
            card = Card()
        except (LoadFailed, OSError) as error:
            complaint = f"Its card was left aside: {error}"
    return ModelRecord(
        id=record_id,
        label=card.label or record_id,
        path=found.path,
        layout=found.layout,
        family=kind.family.id if kind.family else None,
        problem=kind.problem or complaint,
        bytes=found.bytes,
        starter=card.starter,
        license=card.license,
        defaults=defaults,
        sizes=card.sizes,
        words=card.words,
        suggestions=card.suggestions,
        latent_rgb=card.latent_rgb,
    )


def _single_file(path: Path, families: tuple[FamilyInfo, ...]) -> Kind:
    suffix = path.suffix.lower()
    if suffix in PICKLED:
        return Kind(None, f"{suffix} files can run code when they are opened. Use the checkpoint's .safetensors file instead.")
    if suffix == ".gguf":
        return Kind(None, "GGUF files cannot be used. Use the checkpoint's .safetensors file instead.")
    header = read_header(path)
    fitting = [family for family in families if matches(family, header)]
    return _one(fitting, "Its tensors are", families)


def matches(family: FamilyInfo, header: Header) -> bool:
    """Whether every sign of the family is in the header; a family without signs matches nothing."""
    for sign in family.signature:
        tensor = header.tensors.get(sign.key)
        if tensor is None:
            return False
        if sign.shape is not None and not _fits(sign.shape, tensor.shape):
            return False
    return bool(family.signature)


def _fits(sign: tuple[int | None, ...], real: tuple[int, ...]) -> bool:
    return len(sign) == len(real) and all(side in (None, actual) for side, actual in zip(sign, real, strict=True))


def _diffusers(folder: Path, families: tuple[FamilyInfo, ...]) -> Kind:
    index = _json(folder / INDEX)
    name = index.get("_class_name")
    named = [network for network in NETWORKS if isinstance(index.get(network), list) and index[network] != [None, None]]
    for network in named:
        state = _weights_in(folder / network)
        if state == "pickled":
            return Kind(None, f"Its {network} is a .bin file only, which can run code when opened. Use a .safetensors one instead.")
        if state == "none":
            return Kind(None, f"Its {network} has no weights: {folder.name}/{network} holds no .safetensors file. Copy it again.")
    fitting = [family for family in families if name in family.pipeline_classes]
    return _one(fitting, f"A {str(name)[:80]} is", families)


def _weights_in(folder: Path) -> Literal["safetensors", "pickled", "none"]:
    suffixes = {path.suffix.lower() for path in folder.iterdir()} if folder.is_dir() else set()
    if ".safetensors" in suffixes:
        return "safetensors"
    return "pickled" if suffixes & set(PICKLED) else "none"


def _one(fitting: list[FamilyInfo], what: str, families: tuple[FamilyInfo, ...]) -> Kind:
    if len(fitting) == 1:
        return Kind(fitting[0])
    if fitting:
        return Kind(None, f"{what} of more than one family: {', '.join(family.label for family in fitting)}.")
    known = ", ".join(family.label for family in families) or "none"
    return Kind(None, f"{what} of no family that is known here ({known}).")


def _json(path: Path) -> dict[str, Any]:
    """Raises `LoadFailed` when it is not a JSON object of reasonable size."""
    if path.stat().st_size > MAX_JSON:
        raise LoadFailed(f"{path.name} is larger than {MAX_JSON // 1_000_000} MB.")
    try:
        made = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LoadFailed(f"{path.name} is not JSON ({str(error)[:100]}).") from error
    if not isinstance(made, dict):
        raise LoadFailed(f"{path.name} is not a JSON object.")
    return made
