"""Injected faults: those that a test orders one by one, and random ones for a share of all requests."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from aiohttp import web

from bot.sandbox.protocol.errors import ApiError
from bot.sandbox.rest.routing import Answer, Route


class Fault(StrEnum):
    """The kinds of random faults, in the order of the shares; the values name the shares."""

    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    LATE_ERROR = "late_error"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a name
    DELETED_MESSAGE = "deleted_message"


@dataclass(frozen=True, slots=True)
class Faults:
    """The share of requests that get each fault; shares are between 0 and 1, and 1 together at most.

    `rate_limit` answers 429 with a wait of up to `retry_after` seconds. `server_error` answers 500, 502 or 503 and does
    nothing, `late_error` answers so though all was done. `reset_before` cuts the connection and does nothing,
    `reset_after` cuts it when all was done. `expired_token` ends the token of an interaction with a request that uses
    it, and `deleted_message` deletes a message, as a moderator would, just before it is edited; both are shares of
    those requests alone.

    `only` and `spare` are routes: the only ones that are disturbed, if any are named, and ones that never are. Each is
    a template such as `/channels/{channel_id}/messages`, or a method, a space and a template.
    """

    seed: int = 0
    rate_limit: float = 0.0
    server_error: float = 0.0
    late_error: float = 0.0
    reset_before: float = 0.0
    reset_after: float = 0.0
    expired_token: float = 0.0
    deleted_message: float = 0.0
    retry_after: float = 0.05
    only: frozenset[str] = frozenset()
    spare: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the shares.

        Raises:
            ValueError: one is not a share, or together they are more than all.
        """
        shares = [self.share(fault) for fault in Fault]
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise ValueError(f"shares must be between 0 and 1, and 1 together at most: {self}")

    def share(self, fault: Fault) -> float:
        """The share of the requests that get this fault."""
        share: float = getattr(self, fault.value)
        return share


class Injector:
    """Chooses the fault of a request, and counts faults by kind."""

    def __init__(self, routes: list[Route]) -> None:
        """Take the known routes, to refuse faults on others."""
        self.counts: Counter[str] = Counter()
        self._known = {name for route in routes for name in _names(route)}
        self._ordered: list[tuple[str, ApiError]] = []
        self._faults: Faults | None = None
        self._random = Random()  # noqa: S311 - faults are no secrets

    def inject(self, faults: Faults | None) -> None:
        """Inject random faults from now on, or stop.

        Raises:
            ValueError: `only` or `spare` name a route that does not exist.
        """
        if faults is not None:
            self._check(faults.only | faults.spare)
            self._random.seed(faults.seed)
        self._faults = faults

    def order(self, route: str, error: ApiError) -> None:
        """Answer the next request on a route with this; `route` is a template, alone or after a method and a space.

        Raises:
            ValueError: there is no such route.
        """
        self._check([route])
        self._ordered.append((route, error))

    @property
    def unmet(self) -> list[str]:
        """The routes of the ordered answers that no request has got so far."""
        return [route for route, _ in self._ordered]

    def _check(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._known:
                raise ValueError(f"no route {name!r}; there are {sorted(self._known)}")

    def take(self, route: Route) -> ApiError | None:
        """The answer ordered for this route, if one was."""
        for order in self._ordered:
            if order[0] in _names(route):
                self._ordered.remove(order)
                self.counts["ordered"] += 1
                return order[1]
        return None

    def draw(self, route: Route) -> Fault | None:
        """The fault of a request on this route, if any. The caller counts it once it has happened."""
        if self._faults is None or self._faults.spare & _names(route):
            return None
        if self._faults.only and not self._faults.only & _names(route):
            return None
        at = self._random.random()
        for fault in Fault:
            at -= self._faults.share(fault)
            if at < 0:
                return fault if _applies(fault, route) else None
        return None

    def retry_after(self) -> float:
        """The seconds of a 429 answer's wait."""
        return self._random.uniform(0.2, 1.0) * (self._faults.retry_after if self._faults is not None else 0.0)

    def failure(self) -> Answer:
        """One of the 5xx answers that Discord, or a proxy before it, gives."""
        status = self._random.choice((500, 502, 503))
        if status == 500:
            return Answer(status, {"message": "500: Internal Server Error", "code": 0})
        reason = "Bad Gateway" if status == 502 else "Service Unavailable"
        return Answer(status, html=f"<html><head><title>{status} {reason}</title></head></html>")


def _names(route: Route) -> frozenset[str]:
    return frozenset({route.template, f"{route.method} {route.template}"})


def _applies(fault: Fault, route: Route) -> bool:
    if fault is Fault.EXPIRED_TOKEN:
        return "{webhook_token}" in route.template
    if fault is Fault.DELETED_MESSAGE:
        return route.method == "PATCH" and "/messages/" in route.template
    return True


def cut(request: web.BaseRequest) -> None:
    """Reset the connection of a request, which then gets no answer."""
    if request.transport is not None:
        connection: socket.socket | None = request.transport.get_extra_info("socket")
        if connection is not None:
            # Without lingering the kernel sends RST instead of FIN.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
