"""What a found file is: its kind and family by its header or its `model_index.json`, and what its card adds. Never guessed."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from webui.core.errors import LoadFailed
from webui.core.geometry import Size
from webui.core.parts import FamilyInfo
from webui.core.records import CheckpointDefaults, Kind, LatentRgb, LoraFacts, ModelRecord
from webui.core.request import Frozen, describe
from webui.library.header import Header, read_header
from webui.library.kinds import Told, fits, tell
from webui.library.loras import facts, trained_as
from webui.library.passport import vectors_of
from webui.library.scan import INDEX, Found
from webui.library.signs import FAMILY_LABELS

MAX_JSON = 1_000_000  # bytes of a model_index.json or a gesso.json
NETWORKS = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3")
PICKLED = (".ckpt", ".pt", ".pth", ".bin")
UNREAD = "Its header is still being read."


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


class Identity(NamedTuple):
    """What a file is. Without families there is a `problem`."""

    kind: Kind
    variant: str = ""
    families: tuple[str, ...] = ()
    problem: str = ""
    convertible: bool = False
    lora: LoraFacts | None = None
    vectors: int | None = None


def identify(found: Found, families: Iterable[FamilyInfo]) -> ModelRecord:
    """A record in any case: what cannot be used is listed with its `problem`, and without a family.

    Its id is the file's name, and its label what its card says, if anything: the library makes both final, as names may
    be taken twice. A card that cannot be read is named in `problem` too, but does not make its checkpoint useless.
    """
    families = tuple(families)
    if str(found.path).encode("utf-8", "replace").decode() != str(found.path):  # it could be neither stored nor sent
        safe = found._replace(path=Path(str(found.path).encode("utf-8", "replace").decode()), name=utf8(found.name), card=None)
        return _record(safe, Identity(found.place, problem="Its file name is not valid text. Rename it."), None)
    try:
        identity = _diffusers(found.path, families) if found.layout == "diffusers" else _single_file(found, families)
    except LoadFailed as error:
        identity = Identity(found.place, problem=str(error))
    except OSError as error:
        identity = Identity(found.place, problem=f"{found.path.name} cannot be read: {error.strerror}.")
    native = next((family.defaults for family in families if (family.id,) == identity.families), None)
    return _record(found, identity, native)


def utf8(name: str) -> str:
    """A file name as text that can be stored and shown: bytes that are no text become “�”."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def unread(found: Found) -> ModelRecord:
    """A record from the name alone, while there is no time for the header."""
    return _record(found._replace(name=utf8(found.name), card=None), Identity(found.place, problem=UNREAD), None)


def _record(found: Found, identity: Identity, native: CheckpointDefaults | None) -> ModelRecord:
    defaults = native or CheckpointDefaults()
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
        id=found.name,
        kind=identity.kind,
        variant=identity.variant,
        label=card.label,
        path=found.path,
        layout=found.layout,
        family=identity.families[0] if len(identity.families) == 1 else None,
        fits=identity.families,
        problem=identity.problem or complaint,
        convertible=identity.convertible,
        bytes=found.bytes,
        starter=card.starter,
        license=card.license,
        defaults=defaults,
        sizes=card.sizes,
        words=card.words,
        suggestions=card.suggestions,
        latent_rgb=card.latent_rgb,
        lora=identity.lora,
        vectors=identity.vectors,
    )


def _single_file(found: Found, families: tuple[FamilyInfo, ...]) -> Identity:
    suffix = found.path.suffix.lower()
    if suffix in PICKLED:
        way_out = "Convert it to .safetensors, or use the .safetensors file of the same weights instead."
        return Identity(found.place, problem=f"{suffix} files can run code when they are opened. {way_out}", convertible=True)
    if suffix == ".gguf":
        return Identity(found.place, problem="GGUF files cannot be used. Use the checkpoint's .safetensors file instead.")
    header = read_header(found.path)
    fitting = tuple(family for family in families if matches(family, header))
    told = tell(header)
    if told.kind == "checkpoint" or (told.kind is None and fitting):
        return _checkpoint(fitting, told, families)
    if told.kind is None:
        return Identity(found.place, problem=told.problem)
    return Identity(
        told.kind,
        trained_as(told.variant, header.metadata),
        told.fits,
        told.problem,
        lora=facts(header) if told.kind == "lora" else None,
        vectors=vectors_of(header) if told.kind == "embedding" else None,
    )


def _checkpoint(fitting: tuple[FamilyInfo, ...], told: Told, families: tuple[FamilyInfo, ...]) -> Identity:
    """A checkpoint's family is whose signature it has: only a family that is here can load it."""
    what = "Its tensors are"
    if not fitting and told.family is not None and all(family.id != told.family for family in families):
        what = f"It is a checkpoint of {FAMILY_LABELS[told.family]}, which is"
    return _one(list(fitting), what, families)._replace(variant=told.variant)


def matches(family: FamilyInfo, header: Header) -> bool:
    """Whether every sign of the family is in the header; a family without signs matches nothing."""
    for sign in family.signature:
        tensor = header.tensors.get(sign.key)
        if tensor is None:
            return False
        if sign.shape is not None and not fits(sign.shape, tensor.shape):
            return False
    return bool(family.signature)


def _diffusers(folder: Path, families: tuple[FamilyInfo, ...]) -> Identity:
    index = _json(folder / INDEX)
    name = index.get("_class_name")
    named = [network for network in NETWORKS if isinstance(index.get(network), list) and index[network] != [None, None]]
    for network in named:
        state = _weights_in(folder / network)
        if state == "pickled":
            problem = f"Its {network} is a .bin file only, which can run code when opened. Use a .safetensors one instead."
            return Identity("checkpoint", problem=problem)
        if state == "none":
            problem = f"Its {network} has no weights: {folder.name}/{network} holds no .safetensors file. Copy it again."
            return Identity("checkpoint", problem=problem)
    fitting = [family for family in families if name in family.pipeline_classes]
    return _one(fitting, f"A {str(name)[:80]} is", families)


def _weights_in(folder: Path) -> Literal["safetensors", "pickled", "none"]:
    suffixes = {path.suffix.lower() for path in folder.iterdir()} if folder.is_dir() else set()
    if ".safetensors" in suffixes:
        return "safetensors"
    return "pickled" if suffixes & set(PICKLED) else "none"


def _one(fitting: list[FamilyInfo], what: str, families: tuple[FamilyInfo, ...]) -> Identity:
    if len(fitting) == 1:
        return Identity("checkpoint", families=(fitting[0].id,))
    if fitting:
        return Identity("checkpoint", problem=f"{what} of more than one family: {', '.join(family.label for family in fitting)}.")
    known = ", ".join(family.label for family in families) or "none"
    return Identity("checkpoint", problem=f"{what} of no family that is known here ({known}).")


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
