"""``atelier run``: the rooms put together, from settings to shutdown."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from bot.client import Atelier
from bot.jobs.files import JobFiles
from bot.jobs.service import Jobs
from bot.jobs.store import Store
from bot.reply import DiscordReply
from bot.settings import MEGABYTE, Settings
from bot.web.health import Health
from bot.web.server import serve
from engine.executor import Executor
from engine.memory import return_large_blocks

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@asynccontextmanager
async def running(settings: Settings, token: str) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Log in, open the database, start or find workers, connect, take up what was left open.

    Yields the tasks that run until something ends them. Leaving stops everything; jobs that were painted go on with
    the next start.

    Raises:
        discord.LoginFailure: Discord refuses the token.
        AtelierError, OSError, SQLAlchemyError: a room could not be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(Atelier(settings))
        await client.login(token)
        settings.data_directory.mkdir(parents=True, exist_ok=True)
        store = await stack.enter_async_context(Store.open(settings.database))
        client.executor = await stack.enter_async_context(Executor.open(settings.worker, settings.scheduler))
        for worker in await client.executor.workers():
            log.info("worker ready", device=worker.device, name=worker.name, precision=worker.precision)
        client.jobs = Jobs(
            store,
            JobFiles(settings.data_directory / "jobs"),
            client.executor,
            lambda job: DiscordReply(client, job),
            settings.max_jobs_per_member,
        )
        least_free = settings.min_free_mb * MEGABYTE
        health = Health(client, client.executor, store, settings.data_directory, least_free=least_free)
        await stack.enter_async_context(serve(settings.health_host, settings.health_port, health, lambda: True))
        tasks = [asyncio.create_task(client.jobs.run()), asyncio.create_task(_connect(client))]
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _connect(client: Atelier) -> None:
    """Stay connected to the gateway.

    Raises:
        ConnectionError: it could not be reached at all. discord.py reconnects only where it was connected before, and
            else fails on its own missing session.
    """
    try:
        await client.connect()
    except AttributeError as error:
        if client.ws is None:
            raise ConnectionError(f"The gateway at {client.settings.discord_gateway_url} can't be reached.") from error
        raise


async def run(settings: Settings, token: str) -> None:
    """Run until SIGINT or SIGTERM, or until something ends the bot for good, which is raised."""
    return_large_blocks()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running(settings, token) as tasks:
        stopped = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        log.info("stopping")
        for task in done - {stopped}:
            task.result()
