"""The connection to a Dask scheduler, which reconnects when it is lost, and the workers that it last saw."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import asynccontextmanager
from typing import Any, Final, Self, TypeVar

from distributed import Client, Security
from pydantic import TypeAdapter, ValidationError

from engine.worker.protocol import PLUGIN, WorkerInfo, resource_of

T = TypeVar("T")

log = logging.getLogger(__name__)

CONNECT: Final = 5.0
"""Seconds in which a scheduler has to answer a newcomer."""
LOOK: Final = 0.5
"""Seconds between two looks at the scheduler, and a hundredth more for each worker: its answer grows with them."""
ANSWER: Final = 10.0
"""Seconds after which a scheduler that doesn't answer counts as gone."""
LONGEST_PAUSE: Final = 10.0
"""Seconds between two attempts to find it again; the first comes after :data:`LOOK`, each next after twice that."""


_INFO: Final = TypeAdapter(WorkerInfo)


class _Client(Client):
    """Dask's, but no other client or worker can print in this process, and a message that can't be read closes it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        del self._stream_handlers["event"], self._stream_handlers["error"]

    def subscribe_topic(self, topic: str, handler: object) -> None:
        """Called by Dask for the topics whose messages it prints."""

    async def _handle_report(self) -> None:
        try:
            await super()._handle_report()
        except Exception as error:
            # Dask would stop listening and report nothing. The pool replaces a connection that is closed.
            log.warning("the scheduler sent what can't be read: %s", error)
            await self._close(fast=True)


class Pool:
    """What is behind one scheduler's address. Make one with :meth:`open`."""

    def __init__(self, address: str, security: Security | None, version: str) -> None:
        self._address = address
        self._security = security
        self._version = version
        self._client: Client | None = None
        self._changed = asyncio.Condition()
        self._told_of: frozenset[str] = frozenset()
        self._invalid: Set[str] = frozenset()
        self.id = ""
        """Of the scheduler that was last connected to; another one at the same address has another."""
        self.workers: Mapping[str, WorkerInfo] = {}
        """By address, those that paint what a bot of this version would; none while there is no connection."""
        self.present: frozenset[tuple[str, int]] = frozenset()
        """Address and process of each of those, and of such as are about to leave and take no more."""
        self.other_versions: frozenset[str] = frozenset()
        """Of the workers that would paint something else, and don't count."""

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str, version: str, security: Security | None = None) -> AsyncIterator[Self]:
        """Connect, and stay connected whatever happens to the scheduler. Only workers of that ``version`` count.

        Raises:
            OSError: no scheduler answers there within :data:`CONNECT` seconds.
        """
        pool = cls(address, security, version)
        try:
            await pool._connect()
        except (OSError, ImportError) as error:
            raise ConnectionError(
                f"No scheduler answers at {address} within {CONNECT:.0f} s ({error}). Start it, or unset SCHEDULER to "
                "paint without one."
            ) from error
        keeping = asyncio.create_task(pool._keep())
        try:
            yield pool
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await pool._drop()

    async def client(self) -> Client:
        """The connection, as soon as there is one."""
        return await self.until(lambda: self._client if self._client and not self.lost(self._client) else None)

    def lost(self, client: Client) -> bool:
        """Whether that connection is no longer the one to use."""
        return client is not self._client or client.status != "running"

    async def until(self, condition: Callable[[], T | None]) -> T:
        """Wait until ``condition`` of this pool gives something, and give it; it is asked at each look."""
        async with self._changed:
            while not (found := condition()):
                await self._changed.wait()
            return found

    async def refresh(self) -> None:
        """Look now; never raises: if the scheduler doesn't answer, there is no connection and there are no workers."""
        if self._client is not None:
            try:
                await self._look(self._client)
            except Exception as error:
                await self._drop(error)

    async def ask(self, worker: str, operation: str, **fields: Any) -> Any:
        """Send a message to a worker and give its answer; None if it could not be reached within seconds."""
        if self._client is None or self._client.scheduler is None:
            return None
        message = {"op": operation, **fields}
        try:
            async with asyncio.timeout(CONNECT):
                answers = await self._client.scheduler.broadcast(msg=message, workers=[worker], on_error="ignore")
        except OSError:
            return None
        return answers.get(worker)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LOOK + len(self.workers) / 100)
            await self.refresh()
            if self._client is None:
                await self._reconnect()

    async def _reconnect(self) -> None:
        began, pause = time.monotonic(), LOOK
        while True:
            try:
                await self._connect()
            except Exception as error:
                log.debug("no scheduler at %s yet: %s", self._address, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                log.warning("the scheduler at %s is back after %.0f s", self._address, time.monotonic() - began)
                return

    async def _connect(self) -> None:
        client = _Client(
            self._address, asynchronous=True, set_as_default=False, security=self._security, timeout=CONNECT
        )
        try:
            async with asyncio.timeout(2 * CONNECT):
                await client
                await self._look(client, new=True)
        except BaseException:
            await _close(client)
            raise
        async with self._changed:
            self._client = client
            self._changed.notify_all()

    async def _look(self, client: Client, *, new: bool = False) -> None:
        """See who is there.

        Raises:
            OSError: nobody, or, unless the connection is ``new``, another scheduler than before.
        """
        if client.status != "running" or client.scheduler is None:
            raise ConnectionError("the connection broke")
        async with asyncio.timeout(ANSWER):
            identity = await client.scheduler.identity(n_workers=-1)
        if not new and identity["id"] != self.id:
            raise ConnectionError("it was started anew")
        there = {address: each for address, each in identity["workers"].items() if PLUGIN in each["metrics"]}
        told = self._validated({address: each["metrics"][PLUGIN] for address, each in there.items()})
        # A worker that restarts after an update keeps the resource of the version before.
        infos = {
            address: info
            for address, info in told.items()
            if resource_of(self._version) in there[address]["resources"] and info.version == self._version
        }
        async with self._changed:
            self.id = identity["id"]
            self.present = frozenset((address, info.process) for address, info in infos.items())
            self.workers = {at: info for at, info in infos.items() if there[at]["status"] == "running"}
            self.other_versions = frozenset(each.version for each in told.values()) - {self._version}
            self._changed.notify_all()
        self._tell_of_others()

    def _validated(self, told: Mapping[str, object]) -> Mapping[str, WorkerInfo]:
        """The valid reports among ``told``, by address. One of a later release may have more fields."""
        valid = {}
        for address, each in told.items():
            try:
                valid[address] = _INFO.validate_python(each)
            except ValidationError as error:
                if address not in self._invalid:
                    log.warning("ignoring the worker at %s, which reports invalid data: %s", address, error)
        self._invalid = told.keys() - valid.keys()
        return valid

    def _tell_of_others(self) -> None:
        others = frozenset() if self.workers else self.other_versions
        if others and others != self._told_of:
            log.warning(
                "no worker can paint what this bot paints: it needs %s, they are %s",
                self._version,
                ", ".join(sorted(others)),
            )
        self._told_of = others

    async def _drop(self, why: Exception | None = None) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if why is not None:
            log.warning("the scheduler at %s is gone, painting waits until it is back: %s", self._address, why)
        async with self._changed:
            self.workers, self.present, self.other_versions = {}, frozenset(), frozenset()
            self._changed.notify_all()
        await _close(client)


async def _close(client: Client) -> None:
    """However broken it is."""
    with contextlib.suppress(Exception):
        await client.close(timeout=CONNECT)
