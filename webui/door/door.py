"""`Door`: in front of the whole app, HTTP and WebSocket alike. What is not let in here is seen by no route."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from webui.core.errors import UserError
from webui.core.job import HOST, Person
from webui.door.answers import send_error, send_login, send_redirect
from webui.door.exchange import MIB, Closing, Exchange
from webui.door.link import Link
from webui.door.origin import SAFE_METHODS, at_this_machine, foreign, host_allowed, host_name
from webui.door.people import SESSION_SECONDS, tidy_name

BODY_LIMITS = (("/login", 8192), ("/api/parameters", 64 * MIB), ("/api/", 2 * MIB), ("/gradio_api/upload", 64 * MIB))
BODY_LIMIT = 16 * MIB  # bytes, everywhere else
PATIENCE = 10.0  # seconds for the body of a stranger, which is a form of three fields
OPEN_PATHS = frozenset({"/health"})  # besides the login page: answered to anyone, so it must tell nothing


def person_of(scope: Scope) -> Person:
    """Who sent this request: the host, or whoever logged in."""
    person: Person = scope["state"]["person"]
    return person


class Door:
    """`link` None means that only this machine may reach us: whoever passes the checks on Host, Origin and proxies is the host."""

    def __init__(self, app: ASGIApp, *, link: Link | None = None, allowed_hosts: Iterable[str] = (), closed: tuple[str, ...] = ()) -> None:
        """`closed` are beginnings of paths that nobody needs, and that nobody gets."""
        self._app = app
        self._link = link
        own = socket.gethostname().lower()
        self._names = frozenset({own, own.removesuffix(".local") + ".local", *allowed_hosts}) if link else frozenset(allowed_hosts)
        self._closed = closed
        self._closing = Closing()

    def close(self) -> None:
        """Tell every open stream that its client has gone, so that the server can end. Call it on the server's event loop."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        person = None if refusal else await self._person(scope, headers)
        if scope["type"] == "websocket":
            if refusal or person is None:
                await send({"type": "websocket.close", "code": 1008})
            else:
                await self._app(_with_person(scope, person), receive, send)
            return
        if refusal:
            await send_error(send, 403, refusal)
            return
        welcome = self._still_in(_token(scope, headers)) if person and not person.host else None
        exchange = Exchange(receive, send, _limit(scope["path"]), self._closing, welcome)
        if exchange.declares_too_much(headers):
            await exchange.refuse()
        elif self._link and scope["path"] in ("/login", "/logout"):
            await self._login_routes(self._link, scope, headers, exchange, person)
        elif person is None and scope["path"] not in OPEN_PATHS:
            await self._ask_to_log_in(scope, headers, send)
        elif scope["path"].startswith(self._closed):
            await send_error(send, 404, "There is nothing here.")
        else:
            await exchange.run(self._app, _with_person(scope, person))

    def _refusal(self, scope: Scope, headers: Headers) -> str:
        """Why nobody is let in with this request, whoever they are; empty when they are."""
        name = host_name(headers)
        if not host_allowed(name, scope, self._names):
            shown = f"“{name[:80]}”" if name else "this name"
            return f"Gesso does not answer under {shown}. Use the address it printed, or start it with --allow-host."
        if foreign(scope, headers):
            return "This request comes from another site, and is refused."
        if self._link is None and not at_this_machine(scope, headers):
            return "This request comes through a proxy. Start Gesso with --allow-host and the proxy's name: it then asks for a passcode."
        return ""

    async def _person(self, scope: Scope, headers: Headers) -> Person | None:
        """Looked up at each request, so that a session that was ended is over at once; beside the event loop, for the disk may be slow."""
        if at_this_machine(scope, headers):
            return HOST
        token = _token(scope, headers)
        return await asyncio.to_thread(self._link.people.person, token) if self._link and token else None

    def _still_in(self, token: str) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return self._link is not None and await asyncio.to_thread(self._link.people.person, token) is not None

        return look

    async def _ask_to_log_in(self, scope: Scope, headers: Headers, send: Send) -> None:
        """A person sees the login page in place of what they wanted; a program is told so."""
        if scope["method"] in SAFE_METHODS and "text/html" in headers.get("accept", ""):
            query = f"?{scope['query_string'].decode('ascii', 'ignore')}" if scope.get("query_string") else ""
            await send_login(send, 401, path=_local(scope["path"] + query))
        else:
            await send_error(send, 401, "The passcode is needed: open /login in a browser, or POST name and passcode to it.")

    async def _login_routes(self, link: Link, scope: Scope, headers: Headers, exchange: Exchange, person: Person | None) -> None:
        method = scope["method"]
        if method == "POST":
            try:
                body = await asyncio.wait_for(exchange.whole_body(), PATIENCE)
            except TimeoutError:
                await send_error(exchange.send, 408, "This took too long to arrive. Try again.", [(b"connection", b"close")])
                return
            if exchange.too_large:
                await exchange.refuse()
            elif scope["path"] == "/logout":
                token = _token(scope, headers)
                if token:
                    await asyncio.to_thread(link.people.leave, token)
                await send_redirect(exchange.send, "/login", [_cookie(scope, "", 0)])
            else:
                await self._log_in(link, scope, headers, exchange.send, _form(body))
        elif method in SAFE_METHODS and scope["path"] == "/login":
            if person is None:
                await send_login(exchange.send, 200)
            else:
                await send_redirect(exchange.send, "/")
        else:
            await send_error(exchange.send, 405, "This can only be posted.", [(b"allow", b"POST")])

    async def _log_in(self, link: Link, scope: Scope, headers: Headers, send: Send, form: dict[str, str]) -> None:
        path, name = _local(form.get("next", "/")), form.get("name", "")
        peer = scope["client"][0] if scope.get("client") else ""
        guess = not form.get("code")  # a code has too many ways to be guessed: who scanned one comes in while others are kept waiting
        wait = link.throttle.take(peer) if guess else 0.0
        if wait > 0:
            seconds = max(1, round(wait))
            later = f"Too many attempts. Try again in {seconds} s."
            await send_login(send, 429, path=path, name=name, error=later, headers=[(b"retry-after", b"%d" % seconds)])
            return
        try:
            problem = await asyncio.to_thread(_wrong, link, name, form)
            if problem:
                await send_login(send, 401, path=path, name=name, error=problem)
                return
            token = await asyncio.to_thread(link.people.enter, name, _token(scope, headers))
        except UserError as error:
            await send_login(send, 422, path=path, name=name, error=str(error))
            return
        if guess:
            link.throttle.forgive(peer)
        await send_redirect(send, path, [_cookie(scope, token, SESSION_SECONDS)])


def _wrong(link: Link, name: str, form: dict[str, str]) -> str:
    """Why these do not open the door; empty when they do. Raises `UserError` for a name that is none, before a code is spent on it."""
    tidy_name(name)
    if form.get("code"):
        return "" if link.codes.use(form["code"]) else "This code was used already or is too old. Ask for a new one, or type the passcode."
    return "" if link.passcode.matches(form.get("passcode", "")) else "This is not the passcode."


def _with_person(scope: Scope, person: Person | None) -> Scope:
    return {**scope, "state": {**scope.get("state", {}), **({"person": person} if person else {})}}


def _limit(path: str) -> int:
    return next((limit for prefix, limit in BODY_LIMITS if path.startswith(prefix)), BODY_LIMIT)


def _cookie_name(scope: Scope) -> str:
    """With the port in it: browsers share cookies between all ports of a machine."""
    return f"gesso_{scope['server'][1]}" if scope.get("server") else "gesso"


def _token(scope: Scope, headers: Headers) -> str:
    """The session's token, empty without one."""
    pairs = [part.strip().partition("=") for part in headers.get("cookie", "").split(";")]
    return next((value[:200] for name, _, value in pairs if name == _cookie_name(scope)), "")


def _cookie(scope: Scope, token: str, seconds: int) -> tuple[bytes, bytes]:
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    return b"set-cookie", f"{_cookie_name(scope)}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}".encode("ascii")


def _form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20, errors="replace")
    except ValueError:  # more fields than any form of ours
        return {}
    return {name: values[0] for name, values in fields.items()}


def _local(path: str) -> str:
    """A path of ours to go on to; anything that a browser could read as another site's becomes the front page."""
    safe = path.startswith("/") and not path.startswith("//") and path.isascii() and path.isprintable() and "\\" not in path
    return path if safe and not path.startswith("/login") else "/"
