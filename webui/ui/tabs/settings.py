"""Settings: how this start is configured, what loaded, how to share it. Choices of the browser alone are kept by the browser."""

from html import escape

import gradio as gr

from webui import __version__
from webui.settings import Settings
from webui.ui.tabs import Shell, Tab


def build(shell: Shell) -> None:
    """One column of sections; what changes, or is not for everyone's eyes, is filled by `assets/settings.js`."""
    gr.HTML(
        '<div class="settings">'
        + _appearance()
        + _queue()
        + _link(shell.settings)
        + _gallery()
        + _filled_later("This start", "settings_start", "Given on the command line; they change with the next start.")
        + _filled_later(
            "Extensions", "settings_extensions", "A folder in <code>extensions/</code> each; one that fails is named here and skipped."
        )
        + _about()
        + "</div>",
        elem_id="gesso_settings",
        apply_default_css=False,
    )


def _section(title: str, body: str) -> str:
    return f'<section class="card"><h2>{escape(title)}</h2>{body}</section>'


def _appearance() -> str:
    choices = "".join(
        f'<button type="button" data-theme-choice="{name}" aria-pressed="false">{label}</button>'
        for name, label in (("system", "As the system"), ("light", "Light"), ("dark", "Dark"))
    )
    return _section(
        "Colours", f'<div class="seg" role="group" aria-label="Colours">{choices}</div><p class="note">Kept by this browser.</p>'
    )


def _queue() -> str:
    return _section(
        "Queue",
        '<div class="setting-row"><span id="settings_queue_state">The queue runs.</span><span class="grow"></span>'
        '<button type="button" class="btn" id="settings_pause">Pause</button></div>'
        '<p class="note">A paused queue finishes what runs and starts nothing new; it stays paused over a restart.</p>',
    )


def _link(settings: Settings) -> str:
    if settings.shared:
        return _section(
            "Share on this network", '<div id="settings_link" class="link-box"><p class="note">Asking for the address …</p></div>'
        )
    return _section(
        "Share on this network",
        "<p>Only this computer can open Gesso. To let others on your network in, start it with <code>python launch.py --listen</code>: "
        "it then asks for a passcode, and this place shows the address and a QR code.</p>",
    )


def _gallery() -> str:
    return _section(
        "Gallery",
        '<div class="setting-row"><span id="settings_gallery_state">Pictures are files below <code>outputs/</code>.</span>'
        '<span class="grow"></span><button type="button" class="btn" id="settings_rebuild">Read the files again</button></div>'
        '<p class="note">Finds pictures that were copied or moved there by hand. Takes a minute for some ten thousand.</p>',
    )


def _filled_later(title: str, name: str, note: str) -> str:
    """A section that `assets/settings.js` fills when it is looked at."""
    return _section(title, f'<div id="{name}"><p class="note">Asking …</p></div><p class="note">{note}</p>')


def _about() -> str:
    return _section(
        "About",
        f"<p>Gesso {escape(__version__)}. Everything stays on this machine; nothing is ever sent anywhere.</p>"
        '<p><button type="button" class="btn" id="settings_shortcuts">Keyboard shortcuts</button></p>',
    )


TAB = Tab(id="settings", label="Settings", order=90, build=build)
