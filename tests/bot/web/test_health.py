"""`/healthz` and `/readyz` as a supervisor uses them: part by part, and never without an answer."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy.exc import OperationalError

from bot.sandbox import LocalDiscord
from engine.executor.executor import DaskExecutor
from tests.bot.web.conftest import Operated
from tests.waiting import eventually

WELL = {"gateway": True, "workers": True, "database": True, "disk": True}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time-out of checks, for a test in which one hangs."""
    monkeypatch.setattr("bot.web.health.CHECK_TIMEOUT", 0.5)


@pytest.fixture
def scheduler_process(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler process that a test may suspend and kill, and its address."""
    file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", str(file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            while not (file.exists() and file.read_text().strip().endswith("}")):
                assert process.poll() is None
            yield json.loads(file.read_text())["address"], process
        finally:
            process.kill()


class TestHealth:
    async def test_is_well_once_connected(self, operated: Operated) -> None:
        async with operated.connected():
            assert await operated.get() == (200, WELL)

    async def test_lacks_the_gateway_before_discord_answers(self, operated: Operated) -> None:
        async with operated.serving() as client:
            assert await operated.get() == (503, {**WELL, "gateway": False})
            await client.login(operated.local.token)
            assert await operated.get() == (503, {**WELL, "gateway": False})
            assert await operated.detail("gateway") == "not connected"

    async def test_notices_a_gateway_that_goes_down(self, operated: Operated) -> None:
        async with AsyncExitStack() as discords, AsyncExitStack() as clients:
            operated.local = await discords.enter_async_context(LocalDiscord())
            here = {"discord_api_url": operated.local.api_url, "discord_gateway_url": operated.local.gateway_url}
            operated.settings = operated.settings.model_copy(update=here)
            client = await clients.enter_async_context(operated.connected())
            assert (await operated.get())[0] == 200
            lost = asyncio.create_task(client.wait_for("disconnect"))
            await asyncio.sleep(0)
            await discords.aclose()
            await lost
            assert await operated.get() == (503, {**WELL, "gateway": False})

    async def test_is_well_after_a_lost_connection_is_taken_up_again(self, operated: Operated) -> None:
        async with operated.connected() as client:
            resumed = asyncio.create_task(client.wait_for("resumed"))
            await asyncio.sleep(0)
            await operated.local.drop_gateway()
            await resumed
            assert (await operated.get())[0] == 200

    async def test_counts_the_workers(self, operated: Operated) -> None:
        async with operated.connected():
            operated.workers.slots_now = 0
            assert await operated.get() == (503, {**WELL, "workers": False})
            operated.workers.slots_now = 3
            assert await operated.get() == (200, WELL)
            assert await operated.detail("workers") == "slots: 3"

    async def test_says_what_kind_of_error_it_met_and_no_more(self, operated: Operated) -> None:
        async with operated.connected():
            operated.workers.lost = True
            assert await operated.get() == (503, {**WELL, "workers": False})
            assert await operated.detail("workers") == "OSError"

    @pytest.mark.usefixtures("impatient")
    async def test_does_not_wait_for_workers_that_never_answer(self, operated: Operated) -> None:
        async with operated.connected():
            operated.workers.answers.clear()
            answers = await asyncio.gather(*(operated.get() for _ in range(5)))
            assert answers == [(503, {**WELL, "workers": False})] * 5
            assert await operated.get() == (503, {**WELL, "workers": False})
            assert operated.workers.asked == 1, "what hangs piles up"
            assert await operated.detail("workers") == "no answer within 0.5 s"
            operated.workers.answers.set()
            await eventually(lambda: _is_well(operated), "well again")

    @pytest.mark.usefixtures("impatient")
    async def test_asks_again_when_a_question_was_lost(
        self, operated: Operated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lost: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        answers: list[Any] = [lost, asyncio.sleep(0, 2)]

        async def slots() -> int:
            found: int = await answers.pop(0)
            return found

        monkeypatch.setattr(operated.workers, "slots", slots)
        monkeypatch.setattr("bot.web.health.STUCK_AFTER", 0.0)
        async with operated.connected():
            assert await operated.detail("workers") == "no answer within 0.5 s"
            assert await operated.detail("workers") == "slots: 2"
        assert lost.cancelled()

    @pytest.mark.usefixtures("impatient")
    async def test_is_answered_while_the_scheduler_is_frozen_or_gone(
        self, operated: Operated, scheduler_process: tuple[str, subprocess.Popen[bytes]]
    ) -> None:
        address, process = scheduler_process
        async with DaskExecutor.open(operated.settings.worker, address) as executor:
            operated.executor = executor
            async with operated.connected():
                assert await operated.detail("workers") == "no worker has joined"
                for number in (signal.SIGSTOP, signal.SIGKILL):
                    os.kill(process.pid, number)
                    assert await operated.get() == (503, {**WELL, "workers": False})

    @pytest.mark.usefixtures("impatient")
    async def test_does_not_wait_for_a_locked_database(self, operated: Operated) -> None:
        async with operated.connected():
            with closing(sqlite3.connect(operated.directory / "atelier.db")) as other:
                other.execute("BEGIN IMMEDIATE")
                assert await operated.get() == (503, {**WELL, "database": False})
                assert await operated.detail("database") == "no answer within 0.5 s"
            await eventually(lambda: _is_well(operated), "well again")

    async def test_notices_a_database_that_takes_no_changes(
        self, operated: Operated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def ping() -> None:
            raise OperationalError("UPDATE jobs", {}, Exception("attempt to write a readonly database"))

        monkeypatch.setattr(operated.store, "ping", ping)
        async with operated.connected():
            assert await operated.get() == (503, {**WELL, "database": False})
            assert await operated.detail("database") == "OperationalError"

    async def test_wants_room_on_the_disk(self, operated: Operated) -> None:
        operated.min_free_bytes = 1 << 60
        async with operated.connected():
            assert await operated.get() == (503, {**WELL, "disk": False})
            assert f"at least {1 << 40}" in await operated.detail("disk")

    async def test_notices_a_directory_that_is_gone(self, operated: Operated) -> None:
        operated.directory /= "unmounted"
        async with operated.connected():
            assert await operated.get() == (503, {**WELL, "disk": False})
            assert await operated.detail("disk") == "FileNotFoundError"

    async def test_is_well_without_taking_jobs(self, operated: Operated) -> None:
        operated.intake = False
        async with operated.connected():
            assert await operated.get() == (200, WELL)


class TestReadiness:
    READY = WELL | {"intake": True}

    async def test_comes_with_the_connection(self, operated: Operated) -> None:
        async with operated.connecting() as client:
            assert (await operated.get("/readyz"))[0] == 503
            await client.wait_until_ready()
            assert await operated.get("/readyz") == (200, self.READY)

    async def test_ends_with_the_intake(self, operated: Operated) -> None:
        async with operated.connected():
            operated.intake = False
            assert await operated.get("/readyz") == (503, self.READY | {"intake": False})
            assert "shutting down" in await operated.detail("intake", "/readyz")

    async def test_needs_each_part(self, operated: Operated) -> None:
        async with operated.connected():
            operated.workers.slots_now = 0
            assert await operated.get("/readyz") == (503, self.READY | {"workers": False})


class TestTheDoor:
    async def test_leads_nowhere_else(self, operated: Operated) -> None:
        async with operated.serving():
            for path in ("/", "/healthz/", "/metrics/../healthz/x", "/grafana.json"):
                assert (await operated.get(path))[0] == 404

    async def test_is_not_there_without_a_port(self, operated: Operated, monkeypatch: pytest.MonkeyPatch) -> None:
        bound: list[object] = []
        bind = socket.socket.bind

        def noting(self: socket.socket, address: Any) -> None:
            bound.append(address)
            bind(self, address)

        monkeypatch.setattr(socket.socket, "bind", noting)
        settings = operated.settings
        operated.settings = settings.model_copy(update={"health_port": None})
        async with operated.serving():
            assert bound == []
            operated.settings = settings
            with pytest.raises(aiohttp.ClientConnectorError):
                await operated.get()
        async with operated.serving():
            assert (await operated.get())[0] == 503

    async def test_is_for_this_machine_alone_unless_told_otherwise(self, operated: Operated) -> None:
        async with operated.serving():
            assert (await operated.get(host="127.0.0.1"))[0] == 503
            with pytest.raises(aiohttp.ClientConnectorError):
                await operated.get(host="127.0.0.2")
        operated.settings = operated.settings.model_copy(update={"health_host": "127.0.0.2"})
        async with operated.serving():
            assert (await operated.get(host="127.0.0.2"))[0] == 503

    async def test_that_is_taken_is_told_at_start(self, operated: Operated) -> None:
        async with operated.serving():
            with pytest.raises(OSError, match=str(operated.settings.health_port)):
                async with operated.serving():
                    pass
        with pytest.raises(aiohttp.ClientConnectorError):
            await operated.get()

    @pytest.mark.usefixtures("impatient")
    async def test_closes_while_something_hangs(self, operated: Operated) -> None:
        async with operated.connected():
            operated.workers.answers.clear()
            assert (await operated.get())[0] == 503
            operated.workers.answers.set()


async def _is_well(operated: Operated) -> bool:
    return (await operated.get())[0] == 200
