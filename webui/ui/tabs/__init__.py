"""The page's tabs, one file each: what a tab is, and what it is given. Tabs never import tabs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from webui.settings import Settings
from webui.studio import Studio


@dataclass(frozen=True, slots=True)
class Shell:
    """What the page hands to a tab while it builds itself; `blocks` is the `gr.Blocks` it is built in."""

    studio: Studio
    settings: Settings
    blocks: Any
    checkpoint: Any  # the top bar's dropdown; its value is a checkpoint's id
    tabs: tuple[tuple[str, str], ...] = ()  # (id, label) of every tab, in order


@dataclass(frozen=True, slots=True)
class Tab:
    """One entry of the top bar. `build` adds Gradio components; it runs inside the tab's own column, once, at start."""

    id: str
    label: str
    order: int  # Text to image is 10, Gallery 80, Settings 90
    build: Callable[[Shell], None] = field(repr=False)
