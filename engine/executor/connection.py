"""The connection to a Dask scheduler. It reconnects when it is lost, and polls which workers are there."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeVar

from distributed import Client, Security
from pydantic import TypeAdapter, ValidationError
from tenacity import AsyncRetrying, RetryCallState
from tenacity.wait import wait_random_exponential

from engine.worker.protocol import PLUGIN, WorkerInfo, resource_of

T = TypeVar("T")

log = logging.getLogger(__name__)

CONNECT_TIMEOUT: Final = 5.0
"""Seconds within which a scheduler must answer a new connection."""
POLL_INTERVAL: Final = 0.5
"""Seconds between two polls of the scheduler, plus 0.01 s for each worker, because its answer grows with them."""
ANSWER_TIMEOUT: Final = 10.0
"""Seconds after which a connection to a scheduler that doesn't answer counts as lost."""
BACK_OFF: Final = wait_random_exponential(multiplier=1, min=0.25, max=10)
"""Seconds between two attempts to reconnect: random, below 1, 2, 4, 8 and 10."""


_INFO: Final = TypeAdapter(WorkerInfo)


class _Client(Client):
    """Dask's client, except that others can't print in this process and an unreadable message closes it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        del self._stream_handlers["event"], self._stream_handlers["error"]

    def subscribe_topic(self, topic: str, handler: object) -> None:
        """Called by Dask for the topics whose messages it prints."""

    async def _handle_report(self) -> None:
        try:
            await super()._handle_report()
        except Exception as error:
            # Dask would stop listening without a report. A closed connection is replaced.
            log.warning("the scheduler sent an unreadable message: %s", error)
            await self._close(fast=True)


class SchedulerConnection:
    """A connection to the scheduler at one address. Make one with :meth:`open`."""

    def __init__(self, address: str, security: Security | None, version: str) -> None:
        self._address = address
        self._security = security
        self._version = version
        self._client: Client | None = None
        self._changed = asyncio.Condition()
        self._reported: frozenset[str] = frozenset()
        """The other versions in the last warning."""
        self._invalid: Set[str] = frozenset()
        """The addresses of workers that reported invalid data at the last poll."""
        self.id = ""
        """The id of the last scheduler. A restarted scheduler has another one."""
        self.workers: Mapping[str, WorkerInfo] = {}
        """The workers of this bot's version that accept tasks, by address; none without a connection."""
        self.present: frozenset[tuple[str, int]] = frozenset()
        """Address and process id of those workers, and of those that are shutting down."""
        self.other_versions: frozenset[str] = frozenset()
        """The versions of the workers that would paint differently and therefore don't count."""

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, version: str, security: Security | None = None) -> AsyncIterator[Self]:
        """Connect, and reconnect whenever the scheduler is lost. Only workers of ``version`` count.

        Raises:
            OSError: no scheduler answers within :data:`CONNECT_TIMEOUT` seconds.
        """
        connection = cls(address, security, version)
        try:
            await connection._connect()
        except (OSError, ImportError) as error:
            raise ConnectionError(
                f"No scheduler answers at {address} within {CONNECT_TIMEOUT:.0f} s ({error}). Start it, or unset "
                "SCHEDULER to paint without one."
            ) from error
        maintaining = asyncio.create_task(connection._maintain())
        try:
            yield connection
        finally:
            maintaining.cancel()
            await asyncio.gather(maintaining, return_exceptions=True)
            await connection._drop()

    async def client(self) -> Client:
        """Wait until there is a connection, and return its client."""
        return await self.until(lambda: self._client if self._client and not self.lost(self._client) else None)

    def lost(self, client: Client) -> bool:
        """Whether the connection of ``client`` was lost or replaced."""
        return client is not self._client or client.status != "running"

    async def until(self, condition: Callable[[], T | None]) -> T:
        """Wait until ``condition`` returns a true value, and return that. It is called after each poll."""
        async with self._changed:
            while not (found := condition()):
                await self._changed.wait()
            return found

    async def refresh(self) -> None:
        """Poll now. Raises nothing: if the scheduler doesn't answer, the connection is dropped."""
        if (client := self._client) is not None:
            try:
                await self._poll(client)
            except Exception as error:
                if client is self._client:  # else this poll began before a reconnection
                    await self._drop(error)

    async def ask(self, worker: str, operation: str, **fields: Any) -> Any:
        """Send a message to a worker and return its answer; None without one in :data:`CONNECT_TIMEOUT` seconds."""
        if self._client is None or self._client.scheduler is None:
            return None
        message = {"op": operation, **fields}
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                answers = await self._client.scheduler.broadcast(msg=message, workers=[worker], on_error="ignore")
        except OSError:
            return None
        return answers.get(worker)

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL + len(self.workers) / 100)
            await self.refresh()
            if self._client is None:
                await self._reconnect()

    async def _reconnect(self) -> None:
        def failed(state: RetryCallState) -> None:
            log.debug("no scheduler at %s yet: %s", self._address, state.outcome and state.outcome.exception())

        began = time.monotonic()
        await AsyncRetrying(wait=BACK_OFF, before_sleep=failed)(self._connect)
        log.warning("the scheduler at %s is back after %.0f s", self._address, time.monotonic() - began)

    async def _connect(self) -> None:
        client = _Client(
            self._address, asynchronous=True, set_as_default=False, security=self._security, timeout=CONNECT_TIMEOUT
        )
        try:
            async with asyncio.timeout(2 * CONNECT_TIMEOUT):
                await client
                await self._poll(client, new=True)
        except BaseException:
            await _close(client)
            raise
        async with self._changed:
            self._client = client
            self._changed.notify_all()

    async def _poll(self, client: Client, *, new: bool = False) -> None:
        """Update the workers.

        Raises:
            OSError: the scheduler doesn't answer, or it was restarted and the connection is not ``new``.
        """
        if client.status != "running" or client.scheduler is None:
            raise ConnectionError("the connection broke")
        async with asyncio.timeout(ANSWER_TIMEOUT):
            identity = await client.scheduler.identity(n_workers=-1)
        if not new and identity["id"] != self.id:
            raise ConnectionError("it was restarted")
        found = {address: each for address, each in identity["workers"].items() if PLUGIN in each["metrics"]}
        reports = self._validated({address: each["metrics"][PLUGIN] for address, each in found.items()})
        # A worker that restarts after an update keeps the resource of the version before.
        infos = {
            address: info
            for address, info in reports.items()
            if resource_of(self._version) in found[address]["resources"] and info.version == self._version
        }
        async with self._changed:
            self.id = identity["id"]
            self.present = frozenset((address, info.process) for address, info in infos.items())
            self.workers = {at: info for at, info in infos.items() if found[at]["status"] == "running"}
            self.other_versions = frozenset(each.version for each in reports.values()) - {self._version}
            self._changed.notify_all()
        self._warn_of_versions()

    def _validated(self, reports: Mapping[str, object]) -> Mapping[str, WorkerInfo]:
        """The valid ones among ``reports``, by address. A report of a later release may have more fields."""
        valid = {}
        for address, each in reports.items():
            try:
                valid[address] = _INFO.validate_python(each)
            except ValidationError as error:
                if address not in self._invalid:
                    log.warning("ignoring the worker at %s, which reports invalid data: %s", address, error)
        self._invalid = reports.keys() - valid.keys()
        return valid

    def _warn_of_versions(self) -> None:
        others = frozenset() if self.workers else self.other_versions
        if others and others != self._reported:
            log.warning(
                "no worker has this bot's version: it needs %s, they have %s",
                self._version,
                ", ".join(sorted(others)),
            )
        self._reported = others

    async def _drop(self, reason: Exception | None = None) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if reason is not None:
            log.warning("the scheduler at %s is lost, paintings wait until it is back: %s", self._address, reason)
        async with self._changed:
            self.workers, self.present, self.other_versions = {}, frozenset(), frozenset()
            self._changed.notify_all()
        await _close(client)


async def _close(client: Client) -> None:
    """Close a client, whatever state it is in."""
    with contextlib.suppress(Exception):
        await client.close(timeout=CONNECT_TIMEOUT)
