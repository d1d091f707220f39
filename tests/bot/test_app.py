"""``atelier run``: how its process starts, waits for Discord and ends, at the local Discord."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import discord
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.app import running
from bot.jobs.database.cipher import new_key
from bot.sandbox import LocalDiscord
from bot.settings import Settings
from tests.bot.processes import at, atelier, ended, names_in, started

ME = "GET /users/@me"


def seen_by_others(folder: Path) -> list[Path]:
    """The paths in a folder that other users have a permission for, including the folder."""
    return [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


async def worker_of(process: asyncio.subprocess.Process) -> list[psutil.Process]:
    """All children, once a worker is among them."""
    while True:
        with contextlib.suppress(psutil.NoSuchProcess):  # a child may have ended
            family = psutil.Process(process.pid).children(recursive=True)
            if any("spawn_main" in " ".join(each.cmdline()) for each in family):
                return family
        await asyncio.sleep(0.05)


async def test_a_rejected_token_ends_the_start_before_anything_is_opened(tmp_path: Path, local: LocalDiscord) -> None:
    settings = Settings(_env_file=None, discord_api_url=local.api_url, data_directory=tmp_path / "data")
    with pytest.raises(discord.LoginFailure):
        async with running(settings, "abc.def.ghi"):
            pass
    assert not settings.data_directory.exists()


class TestRun:
    async def test_connects_serves_health_and_stops_cleanly_on_sigterm(
        self, tmp_path: Path, local: LocalDiscord, unused_tcp_port: int
    ) -> None:
        environment = at(local, HEALTH_PORT=str(unused_tcp_port), LOG_FORMAT="json", LOG_LEVEL="INFO")
        data = tmp_path / "data"
        data.mkdir()
        data.chmod(0o777)
        (data / "secret.key").write_text(f"{new_key()}\n")
        async with started(tmp_path, "run", **environment) as process:
            await local.wait_for_bot()
            assert names_in(data) >= {"atelier.db", "atelier.db-wal", "secret.key", "blobs"}
            assert seen_by_others(data) == []
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{unused_tcp_port}/healthz") as response,
            ):
                assert (await response.json())["workers"] is True
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                result = await ended(process)
        assert result.code == 0
        assert '"event": "stopping"' in result.error
        assert "Traceback" not in result.error
        assert local.token not in result.error
        assert "atelier.db" in names_in(tmp_path / "data")
        assert family
        assert psutil.wait_procs(family, timeout=15)[1] == []

    @pytest.mark.parametrize(
        ("moment", "send", "number"),
        [
            ("login", os.kill, signal.SIGTERM),
            ("worker", os.killpg, signal.SIGTERM),
            ("worker", os.killpg, signal.SIGINT),
            ("run", os.killpg, signal.SIGINT),
        ],
    )
    async def test_a_signal_stops_it_cleanly(
        self, tmp_path: Path, local: LocalDiscord, moment: str, send: Callable[[int, int], None], number: int
    ) -> None:
        """A container runtime signals the process. A service manager and a terminal signal the whole group."""
        if moment == "login":
            local.fail_next(ME, 503, times=9)
        asked = asyncio.Event()
        local.on_request(lambda _: asked.set())
        async with started(tmp_path, "run", **at(local)) as process, asyncio.timeout(60):
            await (local.wait_for_bot() if moment == "run" else asked.wait())
            family = await worker_of(process) if moment == "worker" else []
            send(process.pid, number)
            async with asyncio.timeout(9):
                result = await ended(process)
            assert (result.code, result.out) == (0, "")
            assert "Traceback" not in result.error
            assert "unexpected error" not in result.error
            assert psutil.wait_procs(family, timeout=5)[1] == []

    async def test_a_second_signal_ends_it_at_once(self, tmp_path: Path, local: LocalDiscord) -> None:
        async with started(tmp_path, "run", **at(local, LOG_LEVEL="INFO")) as process, asyncio.timeout(90):
            await local.wait_for_bot()
            family = psutil.Process(process.pid).children(True)
            for each in family:
                each.suspend()  # so that stopping takes time
            process.terminate()
            assert process.stderr is not None
            while b"stopping" not in await process.stderr.readline():
                pass
            process.terminate()
            # Not wait(), which also waits for the pipes that the suspended processes hold.
            while process.returncode is None:  # noqa: ASYNC110 - another process ends
                await asyncio.sleep(0.02)
            assert process.returncode == 128 + signal.SIGTERM, "a shutdown would return 0 or 1"
        assert psutil.wait_procs(family, timeout=15)[1] == []

    async def test_errors_at_login_are_retried(self, tmp_path: Path, local: LocalDiscord, scheduler: str) -> None:
        local.fail_next(ME, 503)
        local.fail_next(ME, 429, html="<html>error code: 1015</html>")
        async with started(tmp_path, "run", **at(local, SCHEDULER=scheduler)) as process:
            await local.wait_for_bot()
            process.terminate()
            async with asyncio.timeout(15):
                result = await ended(process)
        assert local.unmet == []
        assert result.code == 0
        assert result.error.count("logging in to Discord failed") == 2
        assert "Traceback" not in result.error

    @pytest.mark.parametrize("setting", ["DISCORD_API_URL", "DISCORD_GATEWAY_URL"])
    async def test_an_unreachable_discord_is_retried(
        self, tmp_path: Path, local: LocalDiscord, scheduler: str, unused_tcp_port: int, setting: str
    ) -> None:
        scheme = "ws" if "GATEWAY" in setting else "http"
        nowhere = {setting: f"{scheme}://127.0.0.1:{unused_tcp_port}/"}
        words = b"the gateway can't be reached" if "GATEWAY" in setting else b"logging in to Discord failed"
        environment = at(local, SCHEDULER=scheduler) | nowhere
        async with started(tmp_path, "run", **environment) as process, asyncio.timeout(60):
            assert process.stderr is not None
            for _ in range(2):
                while words not in (line := await process.stderr.readline()):
                    assert line
            process.terminate()
            assert await process.wait() == 0

    async def test_a_permanent_refusal_of_the_gateway_is_explained(
        self, tmp_path: Path, local: LocalDiscord, scheduler: str
    ) -> None:
        async def refuse(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.close(code=4011)
            return socket

        gateway = web.Application()
        gateway.router.add_get("/", refuse)
        async with TestServer(gateway) as server:
            environment = at(local, SCHEDULER=scheduler) | {"DISCORD_GATEWAY_URL": f"ws://127.0.0.1:{server.port}/"}
            result = await atelier(tmp_path, "run", **environment)
        assert (result.code, result.out) == (1, "")
        assert result.error == (
            "Discord closed the connection for good, with code 4011: the bot is in too many servers for one process; "
            "set SHARD_ID and SHARD_COUNT."
        )

    @pytest.mark.parametrize("limit", ["ulimit -v 600000", "ulimit -v 2500000", "ulimit -n 20"])
    async def test_a_resource_limit_that_is_too_low_is_explained(
        self, tmp_path: Path, local: LocalDiscord, limit: str
    ) -> None:
        result = await atelier(tmp_path, "run", limit=limit, **at(local))
        assert (result.code, result.out) == (1, "")
        assert limit.rpartition(" ")[0] in result.error
        assert "too low" in result.error
        assert "Traceback" not in result.error
