"""The top bar: name, tabs, and the chips that say how things stand."""

from collections.abc import Sequence
from html import escape

from webui.ui.widgets.markup import icon


def brand_and_tabs(tabs: Sequence[tuple[str, str]]) -> str:
    """`tabs` are (id, label). On a phone the same choice is a menu."""
    buttons = "".join(
        f'<button type="button" role="tab" class="tab-button" data-tab="{escape(tab_id, quote=True)}" id="nav_{escape(tab_id, quote=True)}"'
        f' aria-controls="tab_{escape(tab_id, quote=True)}" aria-selected="false">{escape(label)}</button>'
        for tab_id, label in tabs
    )
    options = "".join(f'<option value="{escape(tab_id, quote=True)}">{escape(label)}</option>' for tab_id, label in tabs)
    return (
        f'<span class="mark">Gesso</span><nav class="tabs" id="tabs" role="tablist" aria-label="Tabs">{buttons}</nav>'
        f'<label class="tab-menu"><select id="nav_menu" aria-label="Tab">{options}</select>{icon("chevron-down")}</label>'
    )


def chips() -> str:
    """Filled by `assets/chips.js`."""
    return f"""
<span class="chip-meta" id="checkpoint_meta"></span>
<div class="chip" id="chip_engine" role="status" aria-live="polite" hidden><span class="dot"></span><span class="chip-text"></span></div>
<button type="button" class="chip" id="chip_queue" aria-haspopup="dialog" aria-controls="queue_panel" aria-expanded="false"
  title="Show the queue"><span class="chip-text">queue empty</span></button>
<div class="people" id="chip_people" hidden></div>
<button type="button" class="chip chip-icon" id="chip_theme" aria-label="Colours" title="Light or dark">{icon("contrast")}</button>
"""
