"""The composition root: lock → database → engine → extensions → studio → API and page → door. The only module that may import all."""

import dataclasses
import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any

from fastapi import APIRouter

from webui import api, janitor, logs, ports
from webui.core.engine import Engine
from webui.core.registry import Registry
from webui.database import Database
from webui.door import Door, Link
from webui.door.link import qr_lines
from webui.door.server import Server
from webui.engine import builtin as engine_builtin
from webui.engine.config import EngineConfig
from webui.engine.fake import FakeEngine
from webui.engine.process import EngineProcess
from webui.extensions import Extensions
from webui.gallery.gallery import Gallery
from webui.imports import without_stubs
from webui.jobs.bus import Bus
from webui.jobs.dispatcher import Dispatcher
from webui.jobs.store import JobStore
from webui.library.store import Library
from webui.lockfile import FolderLock
from webui.settings import DEFAULT_PORT, EMBEDDED, Settings
from webui.shelves import Shelves
from webui.studio import Studio

Say = Callable[[str], None]
# Of Gradio's own routes, those that the page has no use for: they proxy, record, edit the program, show one session
# to another, or are a second API.
CLOSED = (
    "/gradio_api/api/",
    "/gradio_api/call/",
    "/gradio_api/custom_component/",
    "/gradio_api/deep_link",
    "/gradio_api/dev/",
    "/gradio_api/process_recording",
    "/gradio_api/proxy=",
    "/gradio_api/runs",
    "/gradio_api/stream/",
    "/gradio_api/token",
    "/gradio_api/undo-vibe-edit",
    "/gradio_api/vibe-",
    "/monitoring",
)


@dataclasses.dataclass(frozen=True)
class Gesso:
    """The whole program, put together and at work on its queue; only nobody listens yet."""

    settings: Settings
    studio: Studio
    door: Door
    link: Link | None


def run(settings: Settings, say: Say) -> int:
    """Serve until a signal; returns the exit code. Raises `SetupError` with the one sentence that says why it cannot."""
    harden(settings, os.environ)
    with FolderLock(settings.outputs) as lock:
        logs.start(settings.outputs / "logs")
        with ports.listen(settings.bind, settings.port, DEFAULT_PORT) as socket:
            port: int = socket.getsockname()[1]
            say("Gesso is starting …")
            gesso = build(settings, port)
            ended = threading.Event()
            try:
                server = Server(gesso.door, ready=lambda: _ready(gesso, lock, port, say, ended))
                server.run(sockets=[socket])
            finally:
                ended.set()
                gesso.studio.close()
    return 0 if server.started else 1


def harden(settings: Settings, environment: MutableMapping[str, str]) -> None:
    """Before gradio and diffusers are imported, also for the engine's process: nothing is sent, nothing fetched, no foreign code run."""
    fixed = {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(settings.outputs / ".cache" / "gradio"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DIFFUSERS_DISABLE_REMOTE_CODE": "true",
        "DO_NOT_TRACK": "1",
    }
    environment.update(fixed)


def build(settings: Settings, port: int, *, page: bool = True) -> Gesso:
    """Put everything together. The engine's process starts first: it imports torch while this one imports gradio."""
    database = Database(settings.database)
    engines = {settings.device: _engine(settings)}
    try:
        extensions = _extensions(settings, page)
        library = Library(settings.models, extensions.families(), settings.outputs / "hashes.json", EMBEDDED)
        gallery = Gallery(settings.outputs, database, library)
        bus, jobs = Bus(), JobStore(database)
        dispatcher = Dispatcher(jobs, bus, engines, gallery.save, extensions)
        studio = Studio(
            library=library,
            shelves=Shelves(settings.models),
            samplers=Registry("sampler", extensions.samplers()),
            schedules=Registry("schedule", extensions.schedules()),
            extensions=extensions,
            database=database,
            jobs=jobs,
            bus=bus,
            dispatcher=dispatcher,
            gallery=gallery,
        )
        bus.listen_apart(extensions.on_event)
        link = Link(database, settings.passcode, settings.bind, port) if settings.shared else None
        app = api.build(studio, link, _sound_routes(extensions))
        if page:
            _mount_page(app, studio, settings)
        dispatcher.start()
    except BaseException:
        for engine in engines.values():
            engine.close()
        database.close()
        raise
    door = Door(app, link=link, allowed_hosts=settings.allowed_hosts, closed=CLOSED)
    return Gesso(settings, studio, door, link)


def _engine(settings: Settings) -> Engine:
    if settings.fake_engine:
        return FakeEngine(delay=0.02, load_delay=0.3)
    budget = None if settings.ram_budget is None else int(settings.ram_budget * 1e9)
    folder = settings.extensions_folder if settings.extensions else None
    return EngineProcess(EngineConfig(settings.models, settings.device, budget, folder, EMBEDDED))


def _extensions(settings: Settings, page: bool) -> Extensions:
    """The built-ins and the folder's."""
    builtins = [engine_builtin]
    if page:
        with without_stubs():
            from webui.ui import builtin as ui_builtin  # here: gradio takes a second to import, and the engine's process starts meanwhile

        builtins.append(ui_builtin)
    return Extensions(builtins, settings.extensions_folder if settings.extensions else None)


def _sound_routes(extensions: Extensions) -> Iterable[tuple[str, APIRouter]]:
    for owner, router in extensions.routes():
        if isinstance(router, APIRouter):
            yield owner, router
        else:
            extensions.blame(owner, f"register_routes gives a {type(router).__name__} where a fastapi.APIRouter is needed.")


def _mount_page(app: Any, studio: Studio, settings: Settings) -> None:
    from webui.ui import page
    from webui.ui.tabs import Tab

    tabs = []
    for owner, tab in studio.extensions.tabs():
        if isinstance(tab, Tab):
            tabs.append(dataclasses.replace(tab, build=_guarded(studio.extensions, owner, tab.build)))
        else:
            studio.extensions.blame(owner, f"register_tabs gives a {type(tab).__name__} where a webui.ui.tabs.Tab is needed.")
    page.mount(app, studio, settings, tabs)


def _guarded(extensions: Extensions, owner: str, build: Callable[[Any], None]) -> Callable[[Any], None]:
    """An extension's tab that fails to build is named, and stays empty; a built-in one stops the start."""

    def guarded(shell: Any) -> None:
        try:
            build(shell)
        except Exception as error:  # the extension edge: the other tabs stand
            if extensions.builtin(owner):
                raise
            extensions.blame(owner, f"Its tab could not be built: {error}", error)

    return guarded


def _ready(gesso: Gesso, lock: FolderLock, port: int, say: Say, ended: threading.Event) -> None:
    """What is done once the page answers and then until the end, in a thread of its own."""
    settings, studio = gesso.settings, gesso.studio
    host = "127.0.0.1" if settings.bind in ("0.0.0.0", "::") else settings.bind
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    lock.announce(url)
    for line in greeting(gesso, url):
        say(line)
    if settings.browser and _has_screen():
        webbrowser.open(url)
    default = studio.default_checkpoint()
    if default is not None:
        studio.warm(default.id)
    janitor.keep_tidy(settings.outputs / ".cache", ended)


def _has_screen() -> bool:
    """Without one, Python would open a browser of text in the very terminal that we print to."""
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"))


def greeting(gesso: Gesso, url: str) -> list[str]:
    """The lines that a start prints: where the page is, where pictures go, what works for it, and who else can come in."""
    engines = ", ".join(state.label or f"{state.device}, starting" for state in gesso.studio.capabilities().engines)
    lines = [
        f"Gesso is open at {url}",
        f"  pictures  {gesso.settings.outputs}",
        f"  engine    {engines}",
    ]
    lines += [f"  skipped   extension {row.name}: {row.problem}" for row in gesso.studio.extensions.report if row.status == "skipped"]
    if gesso.link is not None:
        lines += _shared_greeting(gesso.link, gesso.settings.allowed_hosts)
    return [*lines, "Ctrl+C ends it; what is in the queue goes on at the next start."]


def _shared_greeting(link: Link, names: tuple[str, ...]) -> list[str]:
    proxied = f"through a proxy as {', '.join(names)}" if names else "this machine has no address on a network just now"
    lines = [f"  network   {'  '.join(link.urls()) or proxied}"]
    lines.append(f"  passcode  {link.passcode.text if link.passcode.made else 'the one that was given'}")
    lines.append("Without the passcode only the login page and /health answer. Nothing is encrypted: share it on a network that you trust.")
    invitation = link.invitation()
    if invitation is None:
        return lines
    drawn = qr_lines(invitation)
    if _fits(drawn):
        how = "Scan it to come in without the passcode: it works once, within a quarter of an hour. Settings draws more."
        lines += ["", *drawn, how, ""]
    return lines


def _fits(drawn: list[str]) -> bool:
    """Whether the terminal is one, wide enough, and can show half blocks."""
    if not sys.stdout.isatty() or "utf" not in (sys.stdout.encoding or "").lower():
        return False
    return os.get_terminal_size(sys.stdout.fileno()).columns > 2 * len(drawn)
