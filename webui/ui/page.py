"""The page: top bar and tabs in one `gr.Blocks`, hardened and mounted in our own FastAPI."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI
from starlette.routing import Mount

from webui.settings import ROOT, Settings
from webui.studio import Studio
from webui.ui import overview, static, tokens
from webui.ui.front import Front
from webui.ui.tabs import Shell, Tab
from webui.ui.tabs.text_to_image import NAMES
from webui.ui.widgets import topbar
from webui.ui.widgets.fields import choice, numbers

MAX_UPLOAD = "64mb"
SYSTEM_FONTS = ["system-ui", "DejaVu Sans", "sans-serif"]


def mount(app: FastAPI, studio: Studio, settings: Settings, tabs: Sequence[Tab]) -> FastAPI:
    """Add the page at the root of `app`; call it last, since the root swallows every path that is left."""
    app.include_router(tokens.router(studio))
    app.include_router(overview.router(studio, settings))
    static.serve(app)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        blocks(studio, settings, tabs),
        path="/",
        server_name=settings.bind,
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        blocked_paths=[str(path) for path in closed(settings)],
        show_error=False,
        max_file_size=MAX_UPLOAD,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        theme=theme(),
    )
    for route in mounted.routes:
        if isinstance(route, Mount) and route.path == "":
            route.app = Front(route.app, head(settings, tabs))
    return mounted


def closed(settings: Settings) -> tuple[Path, ...]:
    """What Gradio may not hand out even if a component asks for it. The rest is closed to it anyway, but for its own uploads.

    Those lie below the outputs folder (`GRADIO_TEMP_DIR`), so that folder cannot stand here as a whole.
    """
    return settings.models, settings.extensions_folder, settings.database, settings.outputs / "logs", ROOT / "webui", ROOT / ".venv"


def blocks(studio: Studio, settings: Settings, tabs: Sequence[Tab]) -> Any:
    """The whole page. Tabs stand in their order, each in a column of its own that our nav shows or hides."""
    ordered = sorted(tabs, key=lambda tab: (tab.order, tab.id))
    names = tuple((tab.id, tab.label) for tab in ordered)
    with gr.Blocks(title="Gesso", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as made:
        with gr.Row(elem_id="gesso_top", elem_classes=["top"]):
            gr.HTML(topbar.brand_and_tabs(names), apply_default_css=False, elem_id="gesso_nav")
            checkpoint = choice(
                [],
                label="Checkpoint",
                show_label=False,
                elem_id="setting_sd_model_checkpoint",
                container=False,
                min_width=0,
                scale=0,
            )
            gr.HTML(topbar.chips(), apply_default_css=False, elem_id="gesso_chips")
        shell = Shell(studio=studio, settings=settings, blocks=made, checkpoint=checkpoint, tabs=names)
        for tab in ordered:
            with gr.Column(elem_id=f"tab_{tab.id}", elem_classes=["tab"]):
                tab.build(shell)
    return made


def theme() -> Any:
    """Gradio's barest theme on system fonts; all colours come from `assets/tokens.css`."""
    return gr.themes.Base(font=SYSTEM_FONTS, font_mono=["ui-monospace", "monospace"])


def head(settings: Settings, tabs: Sequence[Tab]) -> str:
    """What must be there before the first paint: colours, styles, and the scripts on their way."""
    facts = {
        "theme": settings.theme,
        "tab": min(tabs, key=lambda tab: tab.order).id,
        "fields": NAMES,
        "limits": numbers(),
        "shared": settings.shared,
    }
    first = json.dumps(facts)
    styles = "".join(f'<link rel="stylesheet" href="{static.address(name)}">' for name in static.STYLES)
    modules = "".join(f'<link rel="modulepreload" href="{static.address(name)}">' for name in static.modules())
    return (
        f"<script>window.GESSO={first.replace('<', chr(92) + 'u003c')}</script>"
        f'<script src="{static.address("first.js")}"></script>{styles}{modules}'
        f'<script type="module" src="{static.address("main.js")}"></script>'
        f'<link rel="icon" type="image/svg+xml" href="{static.address("mark.svg")}">'
    )
