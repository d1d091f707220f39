"""``atelier run``: the rooms put together, from settings to shutdown."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog

from bot.client import Atelier
from bot.jobs.cipher import Cipher
from bot.jobs.service import Jobs, Policy
from bot.jobs.storage import Room, Storage
from bot.jobs.store import Store
from bot.reply import DiscordReply
from bot.settings import MEGABYTE, Settings
from bot.web.health import serve_health
from engine.blobs import Blobs
from engine.executor import Executor
from engine.memory import return_large_blocks

DOWN_WITHIN: Final = 9.5
"""Seconds; containers are killed ten after they are asked to stop."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """The database with its key.

    Raises:
        SecretKeyUnusable: the key in the data directory is none.
        OSError, SQLAlchemyError: data directory or database can't be used.
    """
    # Members' pictures and a key lie there: they are for the bot's user alone.
    settings.data_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    cipher = await asyncio.to_thread(Cipher.open, settings.secret_keys, settings.data_directory)
    async with Store.open(settings.database, cipher) as store:
        yield store


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
        store = await stack.enter_async_context(open_store(settings))
        client.executor = await stack.enter_async_context(
            Executor.open(settings.worker, settings.blobs, settings.scheduler)
        )
        for worker in await client.executor.workers():
            log.info("worker ready", device=worker.device, name=worker.name, precision=worker.precision)
        room = Room(
            keep=timedelta(days=settings.keep_days),
            most=settings.max_storage_mb * MEGABYTE,
            free=settings.min_free_mb * MEGABYTE,
        )
        client.jobs = Jobs(
            store,
            Storage(Blobs(settings.blobs), store, room),
            client.executor,
            lambda job, may_edit: DiscordReply(client, job, may_edit),
            Policy(settings.max_jobs_per_member, timedelta(hours=settings.max_job_hours)),
        )
        await stack.enter_async_context(serve_health(settings, client))
        tasks = [asyncio.create_task(client.jobs.run()), asyncio.create_task(_connect(client))]
        try:
            yield tasks
        finally:
            await client.jobs.close()
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
    """Run until SIGINT or SIGTERM, or until something ends the bot for good, which is raised.

    After the first signal no more jobs are taken in, running ones reach a checkpoint, and everything is down within
    :data:`DOWN_WITHIN` seconds; a second signal ends the process at once.
    """
    return_large_blocks()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()
        # Whatever hangs must not keep a supervisor waiting: what is stored is enough to go on from.
        loop.call_later(DOWN_WITHIN, os._exit, 1)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    async with running(settings, token) as tasks:
        stopped = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        log.info("stopping")
        for task in done - {stopped}:
            task.result()
