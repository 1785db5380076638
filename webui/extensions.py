"""Finds and loads `extensions/<name>/`; a bad one is named and skipped, the rest start. Also the hooks of the built-ins.

Free of fastapi, gradio and torch, so that the engine's process can build its own from the same folder.
"""

import difflib
import importlib.util
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

import pluggy
from PIL.Image import Image
from pydantic import ValidationError

from webui import hooks
from webui.core.errors import SetupError, UserError
from webui.core.events import BusEvent
from webui.core.job import Person
from webui.core.parts import FamilyInfo, SamplerInfo, ScheduleInfo
from webui.core.records import ModelRecord
from webui.core.registry import Registry
from webui.core.request import GenerationRequest, describe

PACKAGE = "gesso_extensions"  # extensions are imported as `gesso_extensions.<name>`
OFF = "off"  # a file of this name in its folder switches an extension off
MAX_FAILURES = 3  # of `on_event`, before an extension hears no more
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_log = logging.getLogger(__name__)
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Report:
    """How one extension fares, for the Settings tab. `problem` is a sentence, empty when all is well."""

    name: str
    status: Literal["loaded", "troubled", "skipped", "off"]  # troubled: loaded, and something in it went wrong since
    description: str  # the first line of its docstring
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Hook:
    """One extension's function for one hook."""

    owner: str
    builtin: bool
    function: Callable[..., Any]
    arguments: tuple[str, ...]

    def __call__(self, **given: Any) -> Any:
        return self.function(**{name: given[name] for name in self.arguments})


class _Broken(Exception):
    """An extension that cannot be loaded; the message is the reason."""


class Extensions:
    """Built once per app: the built-ins first, then the folder's extensions by name. Order of loading is order of calling."""

    def __init__(self, builtins: Sequence[ModuleType] = (), folder: Path | None = None) -> None:
        """`folder` None starts without extensions. A built-in that is wrong raises; an extension that is wrong is reported."""
        self._lock = threading.Lock()
        self._reports: dict[str, Report] = {}
        self._failures: dict[str, int] = {}
        self._plugins: dict[str, ModuleType] = {}
        self._manager = pluggy.PluginManager(hooks.PROJECT)
        self._manager.add_hookspecs(hooks)
        for module in builtins:
            self._register(module.__name__, module)
        found = {path.name: self._import(path) for path in _candidates(folder)} if folder else {}
        for name, plugin in found.items():
            if plugin is not None:
                self._try(name, plugin)
        self._order = [module.__name__ for module in builtins] + [name for name in found if name in self._plugins]
        self._builtins = frozenset(module.__name__ for module in builtins)
        self._hooks = {name: self._functions(name) for name in _specified()}
        self._samplers = self._rows("register_samplers", SamplerInfo, "sampler")
        self._schedules = self._rows("register_schedules", ScheduleInfo, "schedule")
        self._families = self._rows("register_families", FamilyInfo, "family")

    # --- loading ---

    def _import(self, folder: Path) -> ModuleType | None:
        """The extension's module, or None with the reason on the report."""
        name = folder.name
        if (folder / OFF).exists():
            self._reports[name] = Report(name, "off", "", f"It is switched off. Delete the file “{OFF}” in its folder to switch it on.")
            return None
        try:
            if _NAME.fullmatch(name) is None:
                raise _Broken("The folder's name may have letters, digits, - and _ only, and begins with a letter.")
            if not (folder / "__init__.py").is_file():
                raise _Broken("There is no __init__.py in its folder.")
            return _load(name, folder)
        except _Broken as broken:
            self._skip(name, str(broken))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a stranger's code: whatever it raises, the rest starts
            self._skip(name, f"It could not be imported: {_shown(error)}.", error)
        return None

    def _try(self, name: str, plugin: ModuleType) -> None:
        try:
            self._register(name, plugin)
        except (_Broken, pluggy.PluginValidationError) as error:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            self._plugins.pop(name, None)
            self._skip(name, str(error).splitlines()[-1], plugin=plugin)
            return
        unmarked = sorted(set(_specified()) & set(vars(plugin)) - self._names(plugin))
        reason = f"{unmarked[0]} is not marked with @hookimpl, so it is never called." if unmarked else ""
        self._reports[name] = Report(name, "troubled" if reason else "loaded", _description(plugin), reason)

    def _register(self, name: str, plugin: ModuleType) -> None:
        """Raises `_Broken` for a hook that does not exist and `PluginValidationError` for wrong arguments."""
        self._manager.register(plugin, name)
        self._plugins[name] = plugin
        for caller in self._manager.get_hookcallers(plugin) or ():
            if not caller.has_spec():
                near = difflib.get_close_matches(caller.name, _specified(), n=1)
                hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(_specified())}."
                raise _Broken(f"There is no hook called {caller.name}. {hint}")
            if any(impl.hookwrapper or impl.wrapper for impl in caller.get_hookimpls() if impl.plugin is plugin):
                raise _Broken(f"{caller.name} is a wrapper around other extensions' hooks, which is not offered.")
        self._manager.check_pending()

    def _names(self, plugin: ModuleType) -> set[str]:
        return {caller.name for caller in self._manager.get_hookcallers(plugin) or ()}

    def _functions(self, name: str) -> list[_Hook]:
        impls = {impl.plugin_name: impl for impl in getattr(self._manager.hook, name).get_hookimpls()}
        return [
            _Hook(owner, owner in self._builtins, impls[owner].function, tuple(impls[owner].argnames))
            for owner in self._order
            if owner in impls
        ]

    def _skip(self, name: str, reason: str, error: BaseException | None = None, plugin: ModuleType | None = None) -> None:
        self._reports[name] = Report(name, "skipped", _description(plugin) if plugin else "", reason)
        _log.warning("The extension “%s” was skipped. %s", name, reason, exc_info=error)

    def blame(self, owner: str, reason: str, error: BaseException | None = None) -> None:
        """Name an extension in which something went wrong, in the log and on the report."""
        with self._lock:
            known = self._reports.get(owner)
            self._reports[owner] = Report(owner, "troubled", known.description if known else "", reason)
        _log.warning("The extension “%s” had a problem. %s", owner, reason, exc_info=error)

    @property
    def report(self) -> tuple[Report, ...]:
        """All extensions that were found, by name; built-ins are there only when something went wrong in them."""
        with self._lock:
            return tuple(self._reports[name] for name in sorted(self._reports))

    # --- what they register ---

    def samplers(self) -> tuple[SamplerInfo, ...]:
        return tuple(row for _, row in self._samplers)

    def schedules(self) -> tuple[ScheduleInfo, ...]:
        return tuple(row for _, row in self._schedules)

    def families(self) -> tuple[FamilyInfo, ...]:
        return tuple(row for _, row in self._families)

    def family_module(self, family_id: str) -> ModuleType | None:
        """The extension that brought a family, whose `load(record, device)` the engine calls; None for a built-in or unknown one."""
        owner = next((owner for owner, row in self._families if row.id == family_id and owner not in self._builtins), None)
        return None if owner is None else self._plugins[owner]

    def builtin(self, owner: str) -> bool:
        """Whether `owner` came with the program and not from the folder."""
        return owner in self._builtins

    def tabs(self) -> list[tuple[str, Any]]:
        """(name of the extension, `webui.ui.tabs.Tab`)."""
        return [(owner, row) for owner, rows in self._registered("register_tabs") for row in rows]

    def routes(self) -> list[tuple[str, Any]]:
        """(name of the extension, `fastapi.APIRouter`), to be mounted under `/extensions/<name>`."""
        return [(owner, row) for owner, rows in self._registered("register_routes") for row in rows]

    def _registered(self, hook: str) -> Iterator[tuple[str, list[Any]]]:
        """What each returns from a `register_…` hook; one that raises is named and left out."""
        for function in self._hooks[hook]:
            try:
                yield function.owner, list(function())
            except Exception as error:  # the extension edge: named, and the rest start
                if function.builtin:
                    raise
                self.blame(function.owner, f"{hook} failed: {_shown(error)}.", error)

    def _rows(self, hook: str, kind: type[Row], label: str) -> list[tuple[str, Row]]:
        """Rows whose names are free: an extension's row may not take a name that stands already."""
        taken: list[tuple[str, Any]] = []
        for owner, rows in self._registered(hook):
            for row in rows:
                try:
                    if not isinstance(row, kind):
                        raise SetupError(f"{hook} gives a {type(row).__name__} where a {kind.__name__} is needed.")
                    Registry(label, [*(other for _, other in taken), row])
                except SetupError as error:
                    if owner in self._builtins:
                        raise
                    self.blame(owner, str(error))
                else:
                    taken.append((owner, row))
        return taken

    # --- what they are asked while the program runs ---

    def prepare_request(self, request: GenerationRequest, record: ModelRecord, owner: Person) -> GenerationRequest:
        """Each sees what the one before made of it. A `UserError` refuses the request; any other failure is named, and passed over."""
        for hook in self._hooks["prepare_request"]:
            try:
                result = hook(request=request, record=record, owner=owner)
                request = request if result is None else _checked(result, request)
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001  # the extension edge: the request goes on as it was
                self.blame(hook.owner, f"prepare_request failed and was passed over: {_shown(error)}.", error)
        return request

    def process_image(self, image: Image, request: GenerationRequest, index: int) -> Image:
        """Each sees what the one before made of it. One that fails is named, and the picture goes on as it was."""
        for hook in self._hooks["process_image"]:
            try:
                result = hook(image=image.copy(), request=request, index=index)  # a copy: it may fail half-way through drawing
                if result is not None and not isinstance(result, Image):
                    raise TypeError(f"a picture is needed, not {type(result).__name__}")
                image = image if result is None else result
            except Exception as error:  # noqa: BLE001  # the extension edge: a finished picture is never lost to one
                self.blame(hook.owner, f"process_image failed and was passed over: {_shown(error)}.", error)
        return image

    def on_event(self, event: BusEvent) -> None:
        """One that fails `MAX_FAILURES` times hears no more until the next start."""
        for hook in self._hooks["on_event"]:
            failures = self._failures.get(hook.owner, 0)
            if failures >= MAX_FAILURES:
                continue
            try:
                hook(event=event)
            except Exception as error:  # noqa: BLE001  # the extension edge: events reach everyone else
                self._failures[hook.owner] = failures + 1
                last = " It is told nothing more until the next start." if failures + 1 >= MAX_FAILURES else ""
                self.blame(hook.owner, f"on_event failed: {_shown(error)}.{last}", error)


def _specified() -> list[str]:
    return [name for name, value in vars(hooks).items() if hasattr(value, f"{hooks.PROJECT}_spec")]


def _candidates(folder: Path) -> list[Path]:
    """Sub-folders by name, but hidden ones and Python's own (`__pycache__`)."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")
    except FileNotFoundError:
        return []
    except OSError as error:
        why = f"The extensions folder {folder} cannot be read: {error.strerror}."
        raise SetupError(f"{why} Choose another with --extensions-dir.") from error


def _load(name: str, folder: Path) -> ModuleType:
    """Import a package from outside the import path, under a name of its own, with its sub-modules."""
    full = f"{PACKAGE}.{name}"
    if PACKAGE not in sys.modules:
        parent = ModuleType(PACKAGE, "Extensions found in folders.")
        parent.__path__ = []
        sys.modules[PACKAGE] = parent
    for stale in [key for key in sys.modules if key == full or key.startswith(f"{full}.")]:
        del sys.modules[stale]
    spec = importlib.util.spec_from_file_location(full, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise _Broken("Its __init__.py cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[full] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[full]
        raise
    return module


def _checked(result: object, before: GenerationRequest) -> GenerationRequest:
    """What an extension returned, validated again: `model_copy(update=…)` does not check what it is given."""
    if not isinstance(result, GenerationRequest):
        raise TypeError(f"a request is needed, not {type(result).__name__}")
    if result.checkpoint != before.checkpoint:
        raise ValueError("an extension may not change the checkpoint")
    try:
        return GenerationRequest.model_validate(result.model_dump(warnings=False))
    except ValidationError as error:
        raise ValueError(str(describe(error))) from error


def _description(plugin: ModuleType) -> str:
    return (plugin.__doc__ or "").strip().splitlines()[0] if (plugin.__doc__ or "").strip() else ""


def _shown(error: BaseException) -> str:
    """One line: what kind of error, and its first line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__
