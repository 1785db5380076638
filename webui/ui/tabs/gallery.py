"""Gallery: every picture there is, found by its words. Drawn by `assets/gallery.js`."""

import gradio as gr

from webui.ui.tabs import Shell, Tab
from webui.ui.widgets.markup import icon


def build(shell: Shell) -> None:
    """The frame; the grid itself is windowed and fetched by the script."""
    gr.HTML(
        f"""
<div class="gallery-bar" role="search">
  <label class="search">{icon("search")}<input id="gallery_search" type="search" placeholder="Search prompts"
    aria-label="Search pictures by their prompt" autocomplete="off" spellcheck="false"><kbd>/</kbd></label>
  <div class="seg" role="group" aria-label="Which pictures">
    <button type="button" data-filter="all" aria-pressed="true">All</button>
    <button type="button" data-filter="starred" aria-pressed="false">Starred</button>
    <button type="button" data-filter="trashed" aria-pressed="false">Trash</button>
  </div>
  <span class="grow"></span>
  <span id="gallery_count" class="muted" aria-live="polite"></span>
  <button type="button" id="gallery_empty_trash" class="btn" hidden>Empty the trash</button>
  <button type="button" id="gallery_select" class="btn" aria-pressed="false">Select</button>
</div>
<div id="gallery_selection" class="gallery-selection" hidden></div>
<div id="gallery_scroll" class="gallery-scroll" tabindex="0" aria-label="Pictures">
  <div id="gallery_grid" class="gallery-grid" role="list"></div>
</div>
""",
        elem_id="gesso_gallery",
        apply_default_css=False,
    )


TAB = Tab(id="gallery", label="Gallery", order=80, build=build)
