"""``atelier run``: the composition root. Builds every service from the settings, and runs the bot until it ends."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import aiohttp
import discord
import structlog
from distributed import Security
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from bot import features, locales
from bot.client.attachments import AttachmentDownloader
from bot.client.client import Atelier
from bot.client.services import Services
from bot.delivery.channels import is_transient
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.database.cipher import FILE, Cipher
from bot.jobs.database.store import Store
from bot.jobs.history import JobHistory
from bot.jobs.members import MemberData
from bot.jobs.model import Job
from bot.jobs.retry import BACK_OFF
from bot.jobs.rules import Policy
from bot.jobs.service import JobService
from bot.jobs.storage import Storage, StoragePolicy
from bot.library.library import LibraryPolicy, StyleLibrary
from bot.library.networks import load as load_networks
from bot.settings import MEBIBYTE, OWN_FILES, Settings
from bot.web.health import Health
from bot.web.operator.routes import OperatorPage
from bot.web.server import serve
from engine import private
from engine.blobs import Blobs
from engine.cluster.safe_pickle import restrict
from engine.cluster.signals import leaving_on_signals
from engine.cluster.tls import TLS, scheduler_security
from engine.executor.executor import DaskExecutor
from engine.runtime.malloc import return_large_blocks

STOP_TIMEOUT: Final = 9.5
"""Seconds. Container runtimes kill a process 10 s after they ask it to stop."""
SIGNAL_TIMEOUT: Final = 0.5
"""Seconds to wait for a signal after a failed start. A signal to the process group may reach the worker first."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[Store]:
    """Open the database and the key that encrypts parts of it.

    Raises:
        SecretKeyUnusable: the key file in the data directory holds no key.
        OSError, SQLAlchemyError: the data directory or the database can't be used.
    """
    # The data directory holds members' pictures and the key.
    if not await asyncio.to_thread(private.make_folder, settings.data_directory, OWN_FILES):
        log.warning("other users can read the data directory", directory=str(settings.data_directory.resolve()))
    await asyncio.to_thread(private.close, settings.data_directory / FILE)
    cipher = await asyncio.to_thread(Cipher.open, settings.secret_keys, settings.data_directory)
    async with Store.open(settings.database, cipher) as store:
        yield store


def security(settings: Settings) -> Security | None:
    """TLS for the connection to the scheduler. None for an embedded scheduler, or one on this machine without TLS.

    Raises:
        ClusterUnsafe: the connection could be overheard or impersonated, or the certificates can't be used.
    """
    if settings.scheduler is None:
        return None
    tls = TLS.given(settings.tls_ca, settings.tls_certificate, settings.tls_key)
    return scheduler_security(settings.scheduler, tls)


@asynccontextmanager
async def running(settings: Settings, token: str) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Check the token, open the database, start or find workers, connect to Discord, and resume open jobs.

    Yields the tasks that run until one of them ends. Leaving the context stops everything. The next start resumes the
    paintings.

    Raises:
        discord.LoginFailure: Discord rejects the token.
        AtelierError, OSError, SQLAlchemyError: a service could not be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        # An invalid token ends the start before anything is opened. The bot's client needs the services, so it is last.
        async with Atelier(settings) as probe:
            await _log_in(probe, token)
        store = await stack.enter_async_context(open_store(settings))
        executor = await stack.enter_async_context(
            DaskExecutor.open(settings.worker, settings.scheduler, security(settings))
        )
        for worker in await executor.workers():
            log.info("worker ready", device=worker.device, name=worker.name, precision=worker.precision)
        blobs = Blobs(settings.blobs)
        try:
            await asyncio.to_thread(blobs.make_private)
        except OSError as error:  # each picture is made private anyway
            log.warning("the folder of pictures could not be made private", folder=blobs.url, error=str(error))
        storage_policy = StoragePolicy(
            keep=timedelta(days=settings.keep_days),
            max_bytes=settings.max_storage_mb * MEBIBYTE,
            min_free_bytes=settings.min_free_mb * MEBIBYTE,
        )

        def reply_to(job: Job, may_edit: Callable[[], bool]) -> DiscordReply:
            # Called only after the client is made, below.
            return DiscordReply(client, job, views(client), executor, may_edit)

        storage = Storage(blobs, store, storage_policy)
        policy = Policy(
            max_open=settings.max_jobs_per_member,
            expire_after=timedelta(hours=settings.max_job_hours),
            max_per_day=settings.max_jobs_per_day or None,
        )
        jobs = JobService(store, storage, executor, reply_to, policy)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        attachments = AttachmentDownloader(session, settings.discord_cdn_url, settings.limits.bytes)
        library_policy = LibraryPolicy(settings.max_styles_per_member, settings.max_styles_per_server)
        networks = await asyncio.to_thread(load_networks, settings.style_networks) if settings.style_networks else ()
        styles = StyleLibrary(store, storage, executor, library_policy, networks)
        own_data = MemberData(store, storage, jobs)
        history = JobHistory(store, storage, executor)
        services = Services(jobs, history, own_data, executor, attachments, styles, store, policy)
        client = await stack.enter_async_context(Atelier(settings, services))
        features.load(client)
        await _log_in(client, token)
        health = Health(client, executor, store, settings.data_directory, min_free_bytes=storage_policy.min_free_bytes)
        page = None
        if settings.health_port is not None:
            page = OperatorPage.of(settings, store, storage, executor, jobs, history, health, lambda: client.latency)
        await stack.enter_async_context(
            serve(settings.health_host, settings.health_port, health, lambda: not jobs.closing, page)
        )
        tasks = [
            asyncio.create_task(jobs.run()),
            asyncio.create_task(_connect(client, settings.discord_gateway_url)),
        ]
        try:
            yield tasks
        finally:
            await jobs.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _log_in(client: Atelier, token: str) -> None:
    """Log in. Retry with back-off while Discord can't be reached or is overloaded.

    Raises:
        discord.LoginFailure: Discord rejects the token.
        discord.HTTPException: Discord rejects the login for another reason.
        aiohttp.InvalidURL: ``DISCORD_API_URL`` is not a URL.
    """

    def passes(error: BaseException) -> bool:
        match error:
            case discord.HTTPException():
                return is_transient(error)
            case aiohttp.InvalidURL():
                return False
            case _:
                return isinstance(error, aiohttp.ClientError | OSError)

    async def reset(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        # The text of an HTTP error may be a whole web page.
        reason = f"status {error.status}" if isinstance(error, discord.HTTPException) else str(error)
        log.warning("logging in to Discord failed", reason=reason, again_in=round(state.upcoming_sleep, 1))
        # discord.py makes a new session for each attempt, and can't reuse a closed connector.
        await client.http.close()
        client.http.connector = discord.utils.MISSING

    await AsyncRetrying(wait=BACK_OFF, retry=retry_if_exception(passes), before_sleep=reset)(client.login, token)


async def _connect(client: Atelier, url: str) -> None:
    """Stay connected to the gateway. Retry with back-off until it is reached for the first time."""

    def never_connected(error: BaseException) -> bool:
        # discord.py reconnects only if it was connected before. Otherwise it fails because its socket is missing.
        return isinstance(error, AttributeError) and getattr(client, "ws", None) is None

    def failed(state: RetryCallState) -> None:
        pause = round(state.upcoming_sleep, 1)
        log.warning("the gateway can't be reached", url=url, again_in=pause)

    await AsyncRetrying(wait=BACK_OFF, retry=retry_if_exception(never_connected), before_sleep=failed)(client.connect)


async def run(settings: Settings, token: str) -> None:
    """Run until SIGINT or SIGTERM, or until an error ends the bot. That error is raised.

    At the first signal the bot accepts no more jobs, brings paintings to a checkpoint, and ends within
    :data:`STOP_TIMEOUT` seconds. A second signal ends the process at once.
    """
    return_large_blocks()
    locales.load()
    # Modules' objects live as long as the process. Without this, each full garbage collection would traverse them and
    # block the event loop for up to 0.2 s.
    gc.collect()
    gc.freeze()
    if settings.scheduler is not None:
        restrict()  # workers may send the bot only what the bot may send them
    # The process must end even if something hangs. The next start resumes from what is stored.
    leaving = leaving_on_signals(STOP_TIMEOUT)
    started = asyncio.Event()

    async def run_until_ended() -> None:
        async with running(settings, token) as tasks:
            started.set()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            log.info("stopping")
            for task in done:
                task.result()

    running_bot, signalled = asyncio.create_task(run_until_ended()), asyncio.create_task(leaving.wait())
    await asyncio.wait((running_bot, signalled), return_when=asyncio.FIRST_COMPLETED)
    if not started.is_set():
        await asyncio.wait((signalled,), timeout=SIGNAL_TIMEOUT)
    signalled.cancel()
    if not leaving.is_set():
        return running_bot.result()
    log.info("stopping")
    if not started.is_set():
        # The interrupted start of Dask fails in tasks that nothing awaits.
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: log.debug("the start was interrupted", reason=repr(context)))
    running_bot.cancel()
    try:
        await running_bot
    except asyncio.CancelledError:
        pass
    except Exception as error:
        if started.is_set():
            raise
        log.debug("the start was interrupted", reason=repr(error))
