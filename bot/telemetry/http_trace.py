"""Counts what goes to Discord and how it is answered, seen from below discord.py: its own repetitions included."""

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
_REMEMBERED: Final = 4096
"""Interactions that may be on their way to an answer; those that get none must not pile up."""


class Traffic:
    """One client's requests, interactions and their answers.

    Give :meth:`trace` to ``discord.Client(http_trace=…)``: commands, replies by webhook and the gateway's connection go
    through that session alike. Call :meth:`received` from ``on_interaction``.
    """

    def __init__(self) -> None:
        self._received: OrderedDict[int, float] = OrderedDict()

    def received(self, interaction: int) -> None:
        """An interaction of that id has come in."""
        self._received[interaction] = time.perf_counter()
        while len(self._received) > _REMEMBERED:
            self._received.popitem(last=False)

    def trace(self) -> aiohttp.TraceConfig:
        """What a session needs in order to be counted."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        trace.on_request_exception.append(_unanswered)
        return trace

    async def _answered(
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


async def _unanswered(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, failure: aiohttp.TraceRequestExceptionParams
) -> None:
    metrics.REQUESTS.labels(route=_kind(failure.url.path), status="error").inc()


def _kind(path: str) -> str:
    return next((kind for pattern, kind in _KINDS if pattern.search(path)), "other")
