"""Clocks that are set while jobs wait. A preloaded library shifts the clock of real processes."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import postgresql
from tests.bot.jobs.conftest import job, opened

ROOT = Path(__file__).parents[4]
CLUSTER = "cluster"
HOUR, DAY = 3600, 86400
PROCESS = """
import asyncio, os, sys, time
from bot.jobs.database import leases
from tests.bot.jobs.conftest import job, opened

leases.LEASE = 0.5

async def main(url, act):
    async with opened(url) as store:
        if act == "accept and die":
            await store.renew("first")
            await store.add(job(), "first", "cluster", 3)
            print(int(time.time()), flush=True)
            os._exit(0)
        await store.renew("second")
        while not (adopted := await store.adopt("second", "cluster")):
            await asyncio.sleep(0.05)
        overdue = await store.overdue("second", 3600)
        print(int(time.time()), len(adopted), len(overdue))

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass
class Clock:
    """The time of day of processes with this environment."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables."""
        return {"LD_PRELOAD": str(self.folder / "clock.so"), "CLOCK_SHIFT": str(self.folder / "shift")}

    def shift(self, seconds: int) -> None:
        """Shift the clock by this number of seconds from the true time."""
        draft = self.folder / "draft"
        draft.write_text(f"{seconds}\n")
        draft.replace(self.folder / "shift")


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock that shows the true time."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("it takes Linux and a compiler to move a clock")
    folder = Path(tempfile.mkdtemp(prefix="atelier-clock-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    try:
        source = Path(__file__).with_name("clock.c")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "clock.so"), str(source), "-ldl"]
        subprocess.run(command, check=True)
        yield Clock(folder)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("shift", [-HOUR, DAY], ids=["set back by an hour", "set forward by a day"])
def test_after_this_machines_clock_is_set_jobs_are_adopted_and_not_expired(
    clock: Clock, tmp_path: Path, shift: int
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}"

    def say(act: str) -> list[int]:
        command = [sys.executable, "-c", PROCESS, url, act]
        environment = os.environ | clock.environment
        said = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment, text=True)
        return [int(word) for word in said.stdout.split()]

    (accepted_at,) = say("accept and die")
    assert abs(accepted_at - time.time()) < 60
    clock.shift(shift)
    now, adopted, overdue = say("adopt")
    assert abs(now - accepted_at - shift) < 60, "the clock was set"
    assert (adopted, overdue) == (1, 0)


def test_after_the_database_servers_clock_is_set_jobs_are_adopted_and_not_expired(clock: Clock) -> None:
    where = postgresql.programs()
    if where is None:
        pytest.skip("PostgreSQL is not installed")

    async def run(url: str) -> None:
        async with opened(url) as one, opened(url) as other:
            assert await one.renew("one")
            stored = job()
            await one.add(stored, "one", CLUSTER, 3)
            assert await other.renew("other")
            clock.shift(DAY)
            # A live process seems dead until it renews its lease: the others must wait for that.
            assert not await other.renew("other")
            assert not await one.renew("one")
            assert await other.adopt("other", CLUSTER) == []
            assert await one.overdue("one", 60) == []
            assert await one.renew("one"), "the clock runs as expected again"
            # Its last renewal is in the future now.
            clock.shift(-HOUR)
            assert not await other.renew("other")
            assert await other.renew("other")
            ((adopted, _),) = await other.adopt("other", CLUSTER)
            assert adopted == stored.id
            assert await other.overdue("other", 60) == []
            assert other.now() < 60

    with postgresql.serving(where, clock.environment) as server, server.database() as url:
        asyncio.run(run(url))
