"""``/healthz``: whether the bot can serve members right now, part by part."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from bot.client import Atelier
from bot.settings import Settings


@asynccontextmanager
async def serve_health(settings: Settings, client: Atelier) -> AsyncIterator[None]:
    """Listen on ``HEALTH_HOST:HEALTH_PORT`` while inside; without a port, do nothing."""
    if settings.health_port is None:
        yield
        return

    async def healthz(_request: web.Request) -> web.Response:
        try:
            slots = await client.executor.slots()
        except OSError:  # the scheduler is gone
            slots = 0
        # A client that was ready stays so for discord.py while it reconnects.
        parts = {"gateway": client.is_ready() and client.ws.open, "workers": slots > 0}
        return web.json_response({**parts, "slots": slots}, status=200 if all(parts.values()) else 503)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.health_host, settings.health_port).start()
        yield
    finally:
        await runner.cleanup()
