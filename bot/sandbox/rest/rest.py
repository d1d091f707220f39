"""The REST interface: checks the token, the limits and the faults of a request, and answers it (Discord: HTTP API)."""

from __future__ import annotations

import asyncio
import json
import re
from urllib.parse import unquote

from aiohttp import web

from bot.sandbox.clock import SandboxClock
from bot.sandbox.ledger import UNKNOWN_ROUTE, Ledger, RestRequest
from bot.sandbox.protocol.body import Body, read_body
from bot.sandbox.protocol.errors import ApiError, NotUnderstood, unauthorized
from bot.sandbox.rest.faults import Fault, Injector, cut
from bot.sandbox.rest.handlers import Handlers
from bot.sandbox.rest.ratelimit import RateLimits, too_many_requests
from bot.sandbox.rest.routing import Answer, Call, Route
from bot.sandbox.state.world import World

PREFIX = "/api/v10"


class RestInterface:
    """Answers everything under `/api/v10`, and refuses by name what it does not implement."""

    def __init__(self, world: World, clock: SandboxClock, ledger: Ledger, handlers: Handlers, file_limit: int) -> None:
        """Accept requests with the world's token, and record every request in the ledger."""
        self.file_limit = file_limit
        self.delay = 0.0
        """Seconds by which each answer is late. What was asked for is done at once."""
        self._world = world
        self._clock = clock
        self._ledger = ledger
        self._handlers = handlers
        self._routes = handlers.routes()
        self.faults = Injector(self._routes)
        self._limits = RateLimits(clock)
        self._started_at = clock.now()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request and record it."""
        path = unquote(request.raw_path.partition("?")[0])
        shown = _without_tokens(path.removeprefix(PREFIX))
        try:
            body = await read_body(request, self.file_limit)
        except (ConnectionError, web.RequestPayloadError, ValueError):
            if request.transport is not None:
                self._ledger.refuse(f"{request.method} {shown}: a body that cannot be read")
            # Otherwise the client was killed while it sent this, and nobody waits for an answer.
            return web.Response(status=400)
        route = self._find(request.method, path.removeprefix(PREFIX)) if path.startswith(f"{PREFIX}/") else None
        headers: dict[str, str] = {}
        fault = None if route is None else self.faults.draw(route)
        try:
            if route is None:
                raise NotUnderstood(f"the route {request.method} {shown}")
            call = _call(route, path.removeprefix(PREFIX), request, body)
            if not self._happens(fault, call):
                fault = None
            answer = self._answer(route, call, request, body, headers, fault)
        except ApiError as error:
            if isinstance(error, NotUnderstood):
                self._ledger.refuse(f"{request.method} {shown}: {error.message}")
            headers |= error.headers
            answer = Answer(error.status, None if error.html else error.body(), error.html)
        if fault is Fault.LATE_ERROR:
            answer = self.faults.failure()
        if self.delay:
            await asyncio.sleep(self.delay)
        payload = b"" if answer.json is None else json.dumps(answer.json).encode()
        self._ledger.add(
            RestRequest(
                at=self._clock.now() - self._started_at,
                method=request.method,
                path=shown,
                status=answer.status,
                request_bytes=body.size,
                response_bytes=len(payload),
                route=UNKNOWN_ROUTE if route is None else route.template,
                body=body.json,
                query=dict(request.query),
                files=tuple(f"files[{file.index}]" for file in body.files),
                fault=None if fault is None else fault.value,
            ),
            answer.json if answer.html is None else answer.html,
        )
        if fault in {Fault.RESET_BEFORE, Fault.RESET_AFTER}:
            cut(request)
            return web.Response(status=503)
        if answer.html is not None:
            return web.Response(status=answer.status, text=answer.html, content_type="text/html", headers=headers)
        if answer.json is not None:
            # Without a charset: discord.py reads nothing else as JSON.
            headers["Content-Type"] = "application/json"
        return web.Response(status=answer.status, body=payload or None, headers=headers)

    def _find(self, method: str, path: str) -> Route | None:
        for route in self._routes:
            if route.method == method and route.pattern.fullmatch(path):
                return route
        return None

    def _happens(self, fault: Fault | None, call: Call) -> bool:
        """Count a fault, and apply it where it changes something other than the answer."""
        happens = fault is not None
        if fault is Fault.EXPIRED_TOKEN:
            happens = self._handlers.expire_token(call)
        elif fault is Fault.DELETED_MESSAGE:
            happens = self._handlers.delete_message(call)
        if fault is not None and happens:
            self.faults.counts[fault.value] += 1
        return happens

    def _answer(
        self, route: Route, call: Call, request: web.Request, body: Body, headers: dict[str, str], fault: Fault | None
    ) -> Answer:
        if fault is Fault.RESET_BEFORE:
            return Answer(0)
        if fault is Fault.RATE_LIMIT:
            raise too_many_requests(self.faults.retry_after())
        major = "/".join(call.parts[name] for name in route.major)
        bucket = route.bucket or f"{route.method} {route.template}"
        ordered = self.faults.take(route)
        headers |= self._limits.take(bucket, major, route.limit)
        if ordered is not None:
            raise ordered
        if fault is Fault.SERVER_ERROR:
            return self.faults.failure()
        if route.needs_token and request.headers.get("Authorization") != f"Bot {self._world.token}":
            raise unauthorized()
        unknown = sorted(set(request.query) - route.query)
        if unknown:
            raise NotUnderstood(f"the query argument {unknown[0]} of {route.method} {route.template}")
        if body.problem is not None:
            raise body.problem
        if body.files and not route.takes_files:
            raise NotUnderstood(f"files sent to {route.method} {route.template}")
        return route.handler(call)


def _call(route: Route, path: str, request: web.Request, body: Body) -> Call:
    found = route.pattern.fullmatch(path)
    return Call(found.groupdict() if found else {}, dict(request.query), body.json, body.files)


def _without_tokens(path: str) -> str:
    """The path with the tokens of interactions taken out."""
    return re.sub(r"^(/(?:webhooks|interactions)/[^/]+)/[^/]+", r"\1/…", path)
