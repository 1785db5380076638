"""How this start is configured and what loaded, for the Settings tab: asked for when it is looked at."""

from pathlib import Path

from fastapi import APIRouter, Request

from webui.core.request import Frozen
from webui.door import person_of
from webui.options import OPTIONS, Option
from webui.settings import ROOT, Settings
from webui.studio import Studio

SECRET = ("passcode",)  # never shown


class Row(Frozen):
    """One line of a table."""

    name: str
    value: str
    note: str = ""


class Overview(Frozen):
    """`start` is None for a collaborator: the host's folders are not theirs to read."""

    start: tuple[Row, ...] | None
    extensions: tuple[Row, ...]


def router(studio: Studio, settings: Settings) -> APIRouter:
    """`GET ui/overview`, for the page alone."""
    made = APIRouter(include_in_schema=False)

    @made.get("/ui/overview")
    def overview(request: Request) -> Overview:
        report = studio.extensions.report
        extensions = tuple(Row(name=row.name, value=row.status, note=row.problem or row.description) for row in report)
        return Overview(start=started_with(settings) if person_of(request.scope).host else None, extensions=extensions)

    return made


def started_with(settings: Settings) -> tuple[Row, ...]:
    """Every option with its value; of a field with two options the first."""
    rows: dict[str, Option] = {}
    for option in OPTIONS:
        rows.setdefault(option.field, option)
    return tuple(
        Row(name=option.flag, value=_shown(settings, option), note=option.help) for option in rows.values() if option.field not in SECRET
    )


def _shown(settings: Settings, option: Option) -> str:
    folders = {
        "models_dir": settings.models,
        "outputs_dir": settings.outputs,
        "extensions_dir": settings.extensions_folder,
        "data_dir": settings.data_dir,
    }
    if option.field in folders:
        return _folder(folders[option.field])
    value = getattr(settings, option.field)
    if option.value is False:  # --no-browser is given when the browser is not opened
        value = not value
    if option.field == "host":
        return settings.bind
    if value is None:
        return "not set"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _folder(path: Path) -> str:
    """Below the program's folder by its short name: who watches over a shoulder need not read the host's home."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) and path != ROOT else str(path)
