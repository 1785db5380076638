"""Small pieces of HTML that Python and the scripts draw alike."""

from html import escape

from webui.ui.static import address


def icon(name: str) -> str:
    """One of `assets/icons.svg`, in the colour of the text around it; decoration only, so hidden from screen readers."""
    return f'<svg class="i" aria-hidden="true" focusable="false"><use href="{address("icons.svg")}#{escape(name, quote=True)}"></use></svg>'


def icon_button(name: str, label: str, element_id: str, title: str = "") -> str:
    """A square button that shows only an icon; `label` is its accessible name."""
    shown = escape(title or label, quote=True)
    return (
        f'<button type="button" class="btn icon-btn" id="{element_id}" aria-label="{escape(label, quote=True)}" title="{shown}">'
        f"{icon(name)}</button>"
    )
