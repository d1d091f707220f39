"""The operator's HTTP side: a page, ``/healthz``, ``/readyz`` and ``/metrics``. On loopback by default."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from bot.telemetry import metrics
from bot.web.health import Finding, Health
from bot.web.operator.routes import OperatorPage

LAG_EVERY: Final = 0.25
"""Seconds between two measurements of the event loop's lag."""


@asynccontextmanager
async def serve(
    host: str,
    port: int | None,
    health: Health,
    accepts_jobs: Callable[[], bool],
    page: OperatorPage | None = None,
) -> AsyncIterator[None]:
    """Listen on ``host:port`` within the context. Without a port, do nothing.

    ``accepts_jobs`` returns whether the bot accepts jobs. It does not while it shuts down. ``page`` is served at ``/``.

    Raises:
        OSError: the port is in use.
    """
    if port is None:
        yield
        return
    observers: list[Callable[[float], None]] = [metrics.LOOP_LAG.observe]
    app = _application(health, accepts_jobs)
    if page is not None:
        page.add_to(app)
        observers.append(page.speed.lagged)
    lag = asyncio.create_task(_watch_lag(observers))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        lag.cancel()
        await asyncio.gather(lag, return_exceptions=True)
        await runner.cleanup()
        await health.close()


def _application(health: Health, accepts_jobs: Callable[[], bool]) -> web.Application:
    exposition = make_aiohttp_handler(metrics.REGISTRY)

    async def healthz(_request: web.Request) -> web.Response:
        return _response(await health.examine())

    async def readyz(_request: web.Request) -> web.Response:
        findings: dict[str, Finding] = {**await health.examine()}
        findings["intake"] = Finding(True, "open") if accepts_jobs() else Finding(False, "closed: shutting down")
        return _response(findings)

    async def scrape(request: web.Request) -> web.StreamResponse:
        await health.measure()
        return await exposition(request)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scrape)
    return app


def _response(findings: Mapping[str, Finding]) -> web.Response:
    answer = {
        **{part: finding.healthy for part, finding in findings.items()},
        "detail": {part: finding.detail for part, finding in findings.items()},
    }
    healthy = all(finding.healthy for finding in findings.values())
    return web.json_response(answer, status=200 if healthy else 503, headers={"Cache-Control": "no-store"})


async def _watch_lag(observers: Sequence[Callable[[float], None]]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_EVERY
        await asyncio.sleep(LAG_EVERY)
        for observe in observers:
            observe(max(0.0, loop.time() - due))
