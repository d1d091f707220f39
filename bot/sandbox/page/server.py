"""The server of the page: one port on loopback, one key, one socket for each open page."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import WSMsgType, web

from bot.sandbox.cdn import clean_filename, guess_content_type
from bot.sandbox.member import Upload
from bot.sandbox.page.actions import Actions, too_large
from bot.sandbox.page.connection import Connection
from bot.sandbox.page.contract import Actor, Example, Starter, describe_change, describe_places, sees
from bot.sandbox.page.panel import Panel
from bot.sandbox.protocol.errors import JsonObject
from bot.sandbox.server import LocalDiscord
from bot.sandbox.state.messages import Change, Record

STATIC = Path(__file__).parent / "static"
SHOWN_INLINE = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_UPLOADS_KEPT = 40
"""Files that a page may have uploaded and not used."""


class Page:
    """Shows a local Discord in a browser.

    Use it as an asynchronous context manager, inside that of the local Discord; it listens on 127.0.0.1. Only who has
    the key of `url` gets an answer: the first request exchanges it for a cookie that scripts can't read.
    """

    def __init__(
        self,
        discord: LocalDiscord,
        actors: Iterable[Actor],
        examples: Iterable[Example] = (),
        *,
        starter: Starter | None = None,
        port: int = 0,
    ) -> None:
        """Listen on this port, 0 for any free one. A page acts as the first of the `actors` at first."""
        self._discord = discord
        self._parts = discord.parts
        self._actors = {actor.member.id: actor for actor in actors}
        self._examples = {example.name: example for example in examples}
        self._starter = starter
        self._port = port
        self._key = secrets.token_urlsafe(32)
        self._runner: web.AppRunner | None = None
        self._loop: asyncio.AbstractEventLoop
        self._connections: dict[str, Connection] = {}
        self._actions = Actions(discord, self._actors, self._examples, self._welcome)
        self._actions.acts |= Panel(discord, self.tell).acts
        # Everybody sees their direct messages with the bot from the beginning.
        for actor in self._actors.values():
            discord.direct(actor.member)
        self._parts.messages.on_change(self._show)
        self._places_changed = False
        self._parts.world.on_change(self._note_places)

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            OSError: the port is in use.
        """
        application = web.Application(middlewares=[self._guard], client_max_size=1 << 27)
        application.router.add_get("/", self._index)
        application.router.add_get("/live", self._live)
        application.router.add_post("/uploads", self._take_upload)
        application.router.add_get("/examples/{name}", self._example)
        application.router.add_get("/attachments/{channel}/{file}/{filename}", self._attachment)
        application.router.add_static("/static", STATIC)
        self._loop = asyncio.get_running_loop()
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect the pages and stop listening."""
        for page in tuple(self._connections.values()):
            await page.close(1001, "the local Discord ends")
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The link to the page, with its key."""
        return f"http://127.0.0.1:{self._port}/?key={self._key}"

    @property
    def open_pages(self) -> int:
        """How many pages are connected."""
        return len(self._connections)

    def tell(self, event: JsonObject, to: Callable[[Connection], bool] = lambda page: True) -> None:
        """Send an event to all pages for which `to` holds."""
        receivers = [page for page in self._connections.values() if to(page)]
        if receivers:
            text = json.dumps(event)
            for page in receivers:
                page.put_text(text)

    def _show(self, change: Change, record: Record) -> None:
        if self._connections and not self._actions.is_dismissed(record.id):
            event = describe_change(self._parts, change, record)
            self.tell(event, lambda page: sees(self._parts, page.actor.member.user, record))

    def _note_places(self) -> None:
        # A new server and its channel are one event.
        if self._connections and not self._places_changed:
            self._places_changed = True
            self._loop.call_soon(self._show_places)

    def _show_places(self) -> None:
        self._places_changed = False
        for page in self._connections.values():
            page.put({"type": "places", **describe_places(self._parts, page.actor.member.user)})

    def _welcome(self, page: Connection) -> None:
        member, bot = page.actor.member, self._parts.world.bot
        page.put(
            {
                "type": "welcome",
                "live": page.id,
                "me": str(member.id),
                "members": [each.describe() for each in self._actors.values()],
                "bot": {"id": str(bot.id), "name": bot.name},
                "file_limit": self._discord.attachment_size_limit,
                "examples": [
                    {"name": each.name, "title": each.title, "role": each.role} for each in self._examples.values()
                ],
                "starter": None if self._starter is None else asdict(self._starter),
                **describe_places(self._parts, member.user),
            }
        )

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer only to the page itself: no other host name, no other site, nobody without the key."""
        try:
            response = self._refusal(request) or await handler(request)
        except web.HTTPException as error:
            response = web.Response(status=error.status, text=error.reason)
        if not response.prepared:
            response.headers.update(_HEADERS)
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    def _refusal(self, request: web.Request) -> web.Response | None:
        hosts = {f"127.0.0.1:{self._port}", f"localhost:{self._port}"}
        if request.host not in hosts:
            return web.Response(status=421, text="This page is at 127.0.0.1 only.")
        origin = request.headers.get("Origin")
        # Browsers state the origin of web sockets and of everything that is not read.
        if origin is None and (request.method not in {"GET", "HEAD"} or request.path == "/live"):
            return web.Response(status=403, text="The origin is missing.")
        if origin is not None and origin != f"http://{request.host}":
            return web.Response(status=403, text="Another site may not use this page.")
        cookie = request.cookies.get(self._cookie, "")
        if self._is_key(cookie) or (request.path == "/" and self._is_key(request.query.get("key", ""))):
            return None
        return web.Response(status=403, text="Open the link that `atelier sandbox` printed: its key is missing or old.")

    @property
    def _cookie(self) -> str:
        # Browsers share cookies among the ports of a host.
        return f"atelier-sandbox-{self._port}"

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self._key.encode())

    async def _index(self, request: web.Request) -> web.StreamResponse:
        if "key" not in request.query:
            return web.FileResponse(STATIC / "index.html")
        # The key leaves the address, so that neither a screenshot nor a link shows it.
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(self._cookie, self._key, httponly=True, samesite="Strict", path="/")
        return response

    async def _live(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 20, heartbeat=30.0, timeout=1.0)
        await socket.prepare(request)
        page = Connection(socket, next(iter(self._actors.values())))
        self._connections[page.id] = page
        page.start(page.write())
        try:
            self._welcome(page)
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    self._read(page, frame.data)
        finally:
            del self._connections[page.id]
            await page.end()
        return socket

    def _read(self, page: Connection, text: str) -> None:
        try:
            action = json.loads(text)
        except ValueError:
            action = None
        if isinstance(action, dict):
            page.start(self._actions.perform(page, action))

    async def _take_upload(self, request: web.Request) -> web.Response:
        page = self._connections.get(request.query.get("live", ""))
        if page is None or len(page.uploads) >= _UPLOADS_KEPT:
            return web.json_response({"reason": "The page is not connected, or has too many files."}, status=409)
        filename = clean_filename(request.query.get("filename", ""))
        limit = self._discord.attachment_size_limit
        data = bytearray()
        async for chunk in request.content.iter_any():
            data += chunk
            if len(data) > limit:
                return web.json_response({"reason": too_large(filename, limit)}, status=413)
        width, height = (_number(request.query.get(name)) for name in ("width", "height"))
        name = secrets.token_urlsafe(16)
        page.uploads[name] = Upload(filename, bytes(data), guess_content_type(filename), width, height)
        return web.json_response({"upload": name})

    async def _example(self, request: web.Request) -> web.Response:
        example = self._examples.get(request.match_info["name"])
        if example is None:
            raise web.HTTPNotFound
        return web.Response(body=example.data, content_type="image/jpeg")

    async def _attachment(self, request: web.Request) -> web.Response:
        """A file of a message. A member chose its bytes and perhaps its type: only known pictures are shown."""
        response = await self._parts.cdn.handle(request)
        response.headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
        if response.status == 200 and (response.content_type not in SHOWN_INLINE or "download" in request.query):
            response.headers["Content-Disposition"] = "attachment"
        return response


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 6 else None
