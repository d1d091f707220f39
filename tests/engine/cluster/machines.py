"""A cluster as an operator starts it: one process for each ``atelier scheduler`` and ``atelier worker``."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.cluster.status import members
from engine.cluster.tls import TLS
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
TIMEOUT = 90


@dataclass(frozen=True, slots=True)
class Machine:
    """A running command in its own process group, and its log."""

    process: asyncio.subprocess.Process
    log: Path

    def logged(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def names(self) -> list[str]:
        """The names of its workers, newest last."""
        return re.findall(r"(\S+) paints for", self.logged())

    async def says(self, words: str) -> None:
        """Wait until it logs ``words``."""
        async with asyncio.timeout(TIMEOUT):
            while words not in self.logged():
                assert self.process.returncode is None, self.logged()
                await asyncio.sleep(0.1)

    def worker_process(self) -> psutil.Process:
        """The process of its only worker."""
        children = psutil.Process(self.process.pid).children()
        (found,) = (each for each in children if "spawn_main" in " ".join(each.cmdline()))
        return found

    def die(self) -> None:
        """Kill all of its processes at once, like a power failure."""
        os.killpg(self.process.pid, signal.SIGKILL)

    async def leave(self) -> int:
        """Send SIGTERM. Returns the exit code."""
        self.process.terminate()
        async with asyncio.timeout(10):
            return await self.process.wait()


class Cluster:
    """Machines on loopback with TLS."""

    def __init__(self, certificates: Path, logs: Path) -> None:
        self.certificates = certificates
        self.address = f"tls://127.0.0.1:{free_port()}"
        self.tls = TLS.folder(certificates / "bot")
        self.blobs = logs / "blobs"
        self._logs = logs
        self._stack = AsyncExitStack()
        self._started = 0

    async def scheduler(self) -> Machine:
        port = self.address.rpartition(":")[2]
        return await self.start("scheduler", "--host", "127.0.0.1", "--port", port, part="scheduler")

    async def worker(self, *options: str) -> Machine:
        # One thread, because several workers share this machine, and the precision that every machine supports.
        quiet = ("--device", "cpu", "--precision", "float32", "--threads", "1")
        return await self.start("worker", "--scheduler", self.address, *quiet, *options, part="worker")

    async def start(self, *command: str, part: str) -> Machine:
        self._started += 1
        log = self._logs / f"{self._started}-{command[0]}.log"
        folder = self.certificates / part
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", *command),
                cwd=ROOT,
                env=clean()
                | {name: str(folder / each) for name, each in FILES.items()}
                | {"BLOBS_URL": str(self.blobs)},
                stderr=file,
                start_new_session=True,
            )
        self._stack.push_async_callback(_end, process)
        return Machine(process, log)

    async def joined(self, *machines: Machine) -> None:
        """Wait until exactly the workers of ``machines`` have joined."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    joined = await members(self.address, self.tls)
                except OSError:  # the scheduler starts
                    joined = []
                if len(joined) == len(machines) and all(set(joined) & set(each.names()) for each in machines):
                    return
                for each in machines:
                    assert each.process.returncode is None, each.logged()
                await asyncio.sleep(0.2)

    async def close(self) -> None:
        await self._stack.aclose()


FILES: Mapping[str, str] = {"TLS_CA": "ca.pem", "TLS_CERTIFICATE": "certificate.pem", "TLS_KEY": "key.pem"}


def clean() -> dict[str, str]:
    """The environment without the settings of a cluster."""
    return {name: value for name, value in os.environ.items() if name not in FILES and name != "SCHEDULER"}


@asynccontextmanager
async def cluster(certificates: Path, logs: Path) -> AsyncIterator[Cluster]:
    """A cluster without machines. All machines are killed at the end."""
    made = Cluster(certificates, logs)
    try:
        yield made
    finally:
        await made.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
