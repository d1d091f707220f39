"""The REST interface: from a request to an answer, by way of limits, tokens and faults (Discord: HTTP API)."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

from aiohttp import web

from bot.sandbox.body import Body, read_body
from bot.sandbox.clock import SandboxClock
from bot.sandbox.errors import ApiError, NotUnderstood, unauthorized
from bot.sandbox.handlers import Handlers
from bot.sandbox.ledger import UNKNOWN_ROUTE, Ledger, RestRequest
from bot.sandbox.ratelimit import RateLimits, too_many_requests
from bot.sandbox.routing import Answer, Call, Faults, Route
from bot.sandbox.world import World

PREFIX = "/api/v10"


class RestInterface:
    """Answers everything under `/api/v10`, and refuses by name what it has not been taught."""

    def __init__(self, world: World, clock: SandboxClock, ledger: Ledger, handlers: Handlers, file_limit: int) -> None:
        """Let in those who show the world's token, and record every request in the ledger."""
        self.file_limit = file_limit
        self._world = world
        self._clock = clock
        self._ledger = ledger
        self._routes = handlers.routes()
        self._faults = Faults(self._routes)
        self._limits = RateLimits(clock)
        self._started_at = clock.now()

    def order_fault(self, route: str, error: ApiError) -> None:
        """Answer the next request on a route with this error.

        Raises:
            ValueError: there is no such route.
        """
        self._faults.order(route, error)

    def order_rate_limit(self, route: str, retry_after: float) -> None:
        """Answer the next request on a route with 429; `retry_after` is in seconds.

        Raises:
            ValueError: there is no such route.
        """
        self._faults.order(route, too_many_requests(retry_after))

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request and record it."""
        path = unquote(request.raw_path.partition("?")[0])
        body = await read_body(request, self.file_limit)
        route = self._find(request.method, path.removeprefix(PREFIX)) if path.startswith(f"{PREFIX}/") else None
        shown = _without_tokens(path.removeprefix(PREFIX))
        headers: dict[str, str] = {}
        try:
            if route is None:
                raise NotUnderstood(f"the route {request.method} {shown}")
            answer = self._answer(route, path.removeprefix(PREFIX), request, body, headers)
        except ApiError as error:
            if isinstance(error, NotUnderstood):
                self._ledger.refuse(f"{request.method} {shown}: {error.message}")
            headers |= error.headers
            answer = Answer(error.status, error.body())
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
            )
        )
        if answer.json is not None:
            # Without a charset: discord.py reads nothing else as JSON.
            headers["Content-Type"] = "application/json"
        return web.Response(status=answer.status, body=payload or None, headers=headers)

    def _find(self, method: str, path: str) -> Route | None:
        for route in self._routes:
            if route.method == method and route.pattern.fullmatch(path):
                return route
        return None

    def _answer(self, route: Route, path: str, request: web.Request, body: Body, headers: dict[str, str]) -> Answer:
        found = route.pattern.fullmatch(path)
        parts = found.groupdict() if found else {}
        major = "/".join(parts[name] for name in route.major)
        bucket = route.bucket or f"{route.method} {route.template}"
        fault = self._faults.take(route)
        headers |= self._limits.take(bucket, major, route.limit)
        if fault is not None:
            raise fault
        if route.needs_token and request.headers.get("Authorization") != f"Bot {self._world.token}":
            raise unauthorized()
        unknown = sorted(set(request.query) - route.query)
        if unknown:
            raise NotUnderstood(f"the query argument {unknown[0]} of {route.method} {route.template}")
        if body.problem is not None:
            raise body.problem
        if body.files and not route.takes_files:
            raise NotUnderstood(f"files sent to {route.method} {route.template}")
        return route.handler(Call(parts, dict(request.query), body.json, body.files))


def _without_tokens(path: str) -> str:
    """The path with the tokens of interactions taken out."""
    return re.sub(r"^(/(?:webhooks|interactions)/[^/]+)/[^/]+", r"\1/…", path)
