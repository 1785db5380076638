"""Makes the first `import gradio` quick: half its time goes into type stubs and docstrings for editors, made anew each time."""

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

FOR_EDITORS = {
    "gradio.component_meta": "create_or_modify_pyi",  # parses the source of each of 80 component classes, and writes a stub beside it
    "gradio.events": "EventListener.set_doc",  # compiles a template for the docstring of each of 216 events
}


class _Loader(importlib.abc.Loader):
    """Loads the module as ever, then takes the function out of it; where a later gradio has none, all is as it was."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        *outer, name = FOR_EDITORS[module.__name__].split(".")
        owner: Any = module
        for part in outer:
            owner = getattr(owner, part, None)
        if hasattr(owner, name):
            setattr(owner, name, lambda *_, **__: None)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name not in FOR_EDITORS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


@contextmanager
def without_stubs() -> Iterator[None]:
    """While this is entered, gradio is imported without them; once it is imported, this does nothing."""
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
