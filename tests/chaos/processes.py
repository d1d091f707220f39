"""Scheduler, workers and bots as separate processes, which are restarted whenever they end, as by a supervisor."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import aiohttp
import psutil

from tests.ports import free_port

Role = Literal["scheduler", "worker", "bot"]

RESTART_AFTER: Final = 0.3
"""Seconds between a process's end and its next start."""
LONGEST_RESTART: Final = 5.0
"""The longest such pause, for a process that repeatedly ends by itself."""
STOP_WITHIN: Final = 15.0
"""Seconds after SIGTERM until a process is killed."""


class Child:
    """One supervised process and its children, which form a process group and are killed together."""

    def __init__(self, role: Role, name: str, arguments: Sequence[str], environment: Mapping[str, str], logs: Path):
        self.role: Role = role
        self.name = name
        self.log = logs / f"{name}.log"
        """The file with its standard output and error, of all starts."""
        self.unexpected_exits = 0
        """How often it ended by itself."""
        self.shutdown_seconds: list[float] = []
        """How long it took to end after each SIGTERM."""
        self._arguments = arguments
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = 0.0
        self._asked_at: float | None = None
        self._signalled = False

    async def supervise(self) -> None:
        """Start it and restart it until cancelled. Then end all of its processes."""
        exits_in_a_row = 0
        try:
            while True:
                await self._start()
                assert self._process is not None
                await self._process.wait()
                if self._asked_at is not None:
                    self.shutdown_seconds.append(time.monotonic() - self._asked_at)
                elif not self._signalled:
                    self.unexpected_exits += 1
                    exits_in_a_row = exits_in_a_row + 1 if self.age < 10 else 1
                else:
                    exits_in_a_row = 0
                self._kill_group()
                await asyncio.sleep(min(RESTART_AFTER * 2**exits_in_a_row, LONGEST_RESTART))
        finally:
            await self._stop()

    @property
    def age(self) -> float:
        """Seconds since its last start."""
        return time.monotonic() - self._started_at

    @property
    def alive(self) -> bool:
        """Whether it runs now, and no signal was sent to end it."""
        return self._process is not None and self._process.returncode is None and not self._signalled

    @property
    def pid(self) -> int | None:
        """Its process id, while it is alive."""
        return self._process.pid if self._process is not None and self.alive else None

    def kill(self) -> bool:
        """Send SIGKILL to all of its processes. Returns whether it was alive."""
        if not self.alive:
            return False
        self._signalled = True
        self._signal(signal.SIGKILL)
        return True

    def kill_innermost(self) -> bool:
        """Send SIGKILL to the largest of its children, as the kernel does when memory runs out."""
        if self._process is None or not self.alive:
            return False
        try:
            inner = psutil.Process(self._process.pid).children(recursive=True)
            victims = [(process.memory_info().rss, process.pid) for process in inner]
        except psutil.Error:
            return False
        if not victims:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(max(victims)[1], signal.SIGKILL)
        return True

    def terminate(self) -> bool:
        """Send SIGTERM, as a supervisor does when the machine shuts down."""
        if self._process is None or not self.alive:
            return False
        self._signalled = True
        self._asked_at = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGTERM)
        return True

    async def freeze(self, seconds: float) -> bool:
        """Stop all of its processes (SIGSTOP) for a while, like a machine that swaps. Returns whether it was alive."""
        if not self.alive:
            return False
        self._signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(signal.SIGCONT)
        return True

    def resident(self) -> int:
        """The resident memory of the process in bytes; 0 if it does not run."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.pid else 0
        except psutil.Error:
            return 0

    async def _start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                env=dict(self._environment),
                cwd=self.log.parent,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started_at = time.monotonic()
        self._asked_at, self._signalled = None, False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _kill_group(self) -> None:
        """Kill what it had started, as in a container."""
        self._signal(signal.SIGKILL)

    async def _stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            began = time.monotonic()
            self.terminate()
            try:
                async with asyncio.timeout(STOP_WITHIN):
                    await self._process.wait()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self._process.wait()
            self.shutdown_seconds.append(time.monotonic() - began)
        self._kill_group()


class Fleet:
    """All the children."""

    def __init__(self, children: Sequence[Child], ports: Sequence[int]) -> None:
        self.children = children
        self._ports = ports
        """The health port of each bot."""

    async def wait_until_healthy(self, seconds: float) -> None:
        """Wait until every bot is healthy.

        Raises:
            TimeoutError: one is not healthy within ``seconds``.
        """
        async with asyncio.timeout(seconds), aiohttp.ClientSession() as session:
            for port in self._ports:
                while not await _is_healthy(session, port):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)

    @property
    def embedded(self) -> bool:
        """Whether each bot has an embedded worker."""
        return not self.of("worker")

    def of(self, role: Role) -> list[Child]:
        """The children with one role."""
        return [child for child in self.children if child.role == role]

    def unexpected_exits(self) -> dict[str, int]:
        """How often processes of each role ended by themselves."""
        return {role: sum(child.unexpected_exits for child in self.of(role)) for role in ("scheduler", "worker", "bot")}

    def shutdown_seconds(self) -> list[float]:
        """How long bots took to end after SIGTERM."""
        return [seconds for child in self.of("bot") for seconds in child.shutdown_seconds]


@asynccontextmanager
async def fleet(environment: Mapping[str, str], logs: Path, *, bots: int, workers: int) -> AsyncIterator[Fleet]:
    """Register the commands, and keep a scheduler, ``workers`` workers and ``bots`` bots running.

    With 0 workers, each bot has an embedded one.

    Raises:
        RuntimeError: the commands could not be registered.
    """
    await _sync(environment, logs)
    children: list[Child] = []
    if workers:
        port = free_port()
        environment = {**environment, "SCHEDULER": f"tcp://127.0.0.1:{port}"}
        serve = ("scheduler", "--host", "127.0.0.1", "--port", str(port))
        children.append(Child("scheduler", "scheduler", atelier(*serve), environment, logs))
        join = ("worker", "--scheduler", environment["SCHEDULER"])
        children += [Child("worker", f"worker-{index}", atelier(*join), environment, logs) for index in range(workers)]
    ports = [free_port() for _ in range(bots)]
    for index, port in enumerate(ports):
        own = {**environment, **_shard(index, bots), "HEALTH_PORT": str(port)}
        children.append(Child("bot", f"bot-{index}", atelier("run"), own, logs))
    tasks = {child: asyncio.create_task(child.supervise()) for child in children}
    try:
        yield Fleet(children, ports)
    finally:
        for role in ("bot", "worker", "scheduler"):  # in the order of an operator: dependants first
            ending = [task for child, task in tasks.items() if child.role == role]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)


def atelier(*arguments: str) -> list[str]:
    """The command line that starts ``atelier`` at thumbnail sizes."""
    return [sys.executable, "-m", "tests.chaos.child", *arguments]


async def _is_healthy(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://127.0.0.1:{port}/healthz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _shard(number: int, count: int) -> dict[str, str]:
    return {"SHARD_ID": str(number), "SHARD_COUNT": str(count)} if count > 1 else {}


async def _sync(environment: Mapping[str, str], logs: Path) -> None:
    process = await asyncio.create_subprocess_exec(*atelier("sync"), env=dict(environment), cwd=logs)
    if await process.wait() != 0:
        raise RuntimeError("atelier sync failed, see its output above")
