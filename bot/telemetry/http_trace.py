"""Counts the requests to Discord and their answers below discord.py, so that its retries count, too."""

import re
import time
from collections import OrderedDict
from types import SimpleNamespace
from typing import Final

import aiohttp
import discord

from bot.telemetry import metrics

_KINDS: Final = (
    (re.compile(r"/interactions/\d+/[^/]+/callback$"), "callback"),
    (re.compile(r"/webhooks/"), "webhook"),
    (re.compile(r"/channels/\d+/messages"), "message"),
    (re.compile(r"/users/@me/channels$"), "direct"),
    (re.compile(r"/applications/.*commands"), "commands"),
    (re.compile(r"/gateway(?:/bot)?$"), "gateway"),
    (re.compile(r"^/?$"), "gateway"),
)
_CALLBACK: Final = re.compile(r"/interactions/(\d+)/[^/]+/callback$")
_MAX_PENDING: Final = 4096
"""Interactions without an answer yet. Those that never get one must not use more and more memory."""


class Traffic:
    """Metrics of one client's requests, and of the time until it answers an interaction.

    Give :meth:`trace` to ``discord.Client(http_trace=…)``: the client uses that session for commands, webhooks and the
    gateway. Call :meth:`received` from ``on_interaction``.
    """

    def __init__(self) -> None:
        self._received: OrderedDict[int, float] = OrderedDict()

    def received(self, interaction: int) -> None:
        """Note the time at which the interaction of that id arrived."""
        self._received[interaction] = time.perf_counter()
        while len(self._received) > _MAX_PENDING:
            self._received.popitem(last=False)

    def trace(self) -> aiohttp.TraceConfig:
        """The trace that counts a session's requests."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._request_ended)
        trace.on_request_exception.append(_request_failed)
        return trace

    async def _request_ended(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
    ) -> None:
        route = _kind(end.url.path)
        metrics.REQUESTS.labels(route=route, status=end.response.status).inc()
        if end.response.status == 429:
            scope = end.response.headers.get("X-RateLimit-Scope", "")
            known = scope if scope in {"user", "global", "shared"} else "unknown"
            metrics.RATE_LIMITED.labels(route=route, scope=known).inc()
        elif end.response.ok and (callback := _CALLBACK.search(end.url.path)):
            self._acknowledged(int(callback[1]))

    def _acknowledged(self, interaction: int) -> None:
        created = discord.utils.snowflake_time(interaction).timestamp()
        metrics.ACKNOWLEDGEMENT.labels(since="created").observe(max(0.0, time.time() - created))
        received = self._received.pop(interaction, None)
        if received is not None:
            metrics.ACKNOWLEDGEMENT.labels(since="received").observe(time.perf_counter() - received)


async def _request_failed(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, failure: aiohttp.TraceRequestExceptionParams
) -> None:
    metrics.REQUESTS.labels(route=_kind(failure.url.path), status="error").inc()


def _kind(path: str) -> str:
    return next((kind for pattern, kind in _KINDS if pattern.search(path)), "other")
