"""Settings: how this start is configured, what loaded, how to share it. Choices of the browser alone are kept by the browser."""

from html import escape
from pathlib import Path

import gradio as gr

from webui import __version__
from webui.options import OPTIONS, Option
from webui.settings import ROOT, Settings
from webui.studio import Studio
from webui.ui.tabs import Shell, Tab

SECRET = ("passcode",)  # never drawn


def build(shell: Shell) -> None:
    """One column of sections; the LAN link and the queue are filled by `assets/settings.js`."""
    gr.HTML(
        '<div class="settings">'
        + _appearance()
        + _queue()
        + _link(shell.settings)
        + _start(shell.settings)
        + _extensions(shell.studio)
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


def _start(settings: Settings) -> str:
    rows: dict[str, Option] = {}
    for option in OPTIONS:
        rows.setdefault(option.field, option)
    body = "".join(
        f"<tr><th scope='row'><code>{escape(option.flag)}</code></th><td>{escape(_shown(settings, option))}</td>"
        f"<td class='muted'>{escape(option.help)}</td></tr>"
        for option in rows.values()
        if option.field not in SECRET
    )
    return _section(
        "This start",
        '<div class="table-scroll"><table><thead><tr><th scope="col">Option</th><th scope="col">Now</th>'
        '<th scope="col">What it does</th></tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="note">Given on the command line; they change with the next start.</p>',
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


def _extensions(studio: Studio) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(row.name)}</th><td>{row.status}</td>"
        f"<td class='muted'>{escape(row.problem or row.description)}</td></tr>"
        for row in studio.extensions.report
    )
    table = f'<div class="table-scroll"><table><tbody>{rows}</tbody></table></div>' if rows else "<p>No extensions are loaded.</p>"
    return _section(
        "Extensions", table + '<p class="note">A folder in <code>extensions/</code> each; one that fails is named here and skipped.</p>'
    )


def _about() -> str:
    return _section(
        "About",
        f"<p>Gesso {escape(__version__)}. Everything stays on this machine; nothing is ever sent anywhere.</p>"
        '<p><button type="button" class="btn" id="settings_shortcuts">Keyboard shortcuts</button></p>',
    )


TAB = Tab(id="settings", label="Settings", order=90, build=build)
