"""`/healthz` as a supervisor sees it: the real client at the local Discord, and a stand-in for the workers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import aiohttp
import discord
import pytest
import yarl

from bot.client import Atelier
from bot.sandbox import LocalDiscord
from bot.settings import Settings
from bot.web.health import serve_health
from engine.executor import Executor


class Workers:
    """As much of an executor as health asks for."""

    def __init__(self) -> None:
        self.now = 1
        self.lost = False

    async def slots(self) -> int:
        if self.lost:
            raise OSError("the scheduler is gone")
        return self.now


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client points discord.py elsewhere, for the whole process."""
    monkeypatch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
    gateway = discord.gateway.DiscordWebSocket
    monkeypatch.setattr(gateway, "DEFAULT_GATEWAY", yarl.URL(str(gateway.DEFAULT_GATEWAY)))


@pytest.fixture
async def local() -> AsyncIterator[LocalDiscord]:
    """A local Discord that a test may leave early."""
    async with LocalDiscord() as server:
        yield server


@pytest.fixture
def settings(local: LocalDiscord, unused_tcp_port: int) -> Settings:
    """Settings with a port for health."""
    return Settings(
        _env_file=None,
        discord_api_url=local.api_url,
        discord_gateway_url=local.gateway_url,
        health_port=unused_tcp_port,
    )


@pytest.fixture
def workers() -> Workers:
    """One worker that is there."""
    return Workers()


@asynccontextmanager
async def connecting(settings: Settings, local: LocalDiscord, workers: Workers) -> AsyncIterator[Atelier]:
    """The client on its way to Discord, with health served."""
    async with Atelier(settings) as client:
        # discord.py waits this long for further servers before it is ready; here there is one.
        client._connection.guild_ready_timeout = 0.05
        client.executor = cast(Executor, workers)
        await client.login(local.token)
        async with serve_health(settings, client):
            connection = asyncio.create_task(client.connect())
            yield client
            connection.cancel()
            await asyncio.gather(connection, return_exceptions=True)


async def health(settings: Settings, path: str = "/healthz", *, host: str = "127.0.0.1") -> tuple[int, Any]:
    """Status and body."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{host}:{settings.health_port}{path}") as response,
    ):
        is_json = response.content_type == "application/json"
        return response.status, await (response.json() if is_json else response.text())


async def test_all_is_well_once_connected(settings: Settings, local: LocalDiscord, workers: Workers) -> None:
    async with connecting(settings, local, workers) as client:
        await client.wait_until_ready()
        assert await health(settings) == (200, {"gateway": True, "workers": True, "slots": 1})


async def test_before_discord_answers_the_gateway_is_missing(
    settings: Settings, local: LocalDiscord, workers: Workers
) -> None:
    async with Atelier(settings) as client:
        client.executor = cast(Executor, workers)
        async with serve_health(settings, client):
            assert await health(settings) == (503, {"gateway": False, "workers": True, "slots": 1})
            await client.login(local.token)
            assert (await health(settings))[0] == 503


async def test_a_gateway_that_goes_down_is_noticed(settings: Settings, workers: Workers) -> None:
    async with AsyncExitStack() as discords, AsyncExitStack() as clients:
        local = await discords.enter_async_context(LocalDiscord())
        here = {"discord_api_url": local.api_url, "discord_gateway_url": local.gateway_url}
        settings = settings.model_copy(update=here)
        client = await clients.enter_async_context(connecting(settings, local, workers))
        await client.wait_until_ready()
        assert (await health(settings))[0] == 200
        lost = asyncio.create_task(client.wait_for("disconnect", timeout=20))
        await asyncio.sleep(0)
        await discords.aclose()
        await lost
        assert await health(settings) == (503, {"gateway": False, "workers": True, "slots": 1})


async def test_a_lost_connection_that_is_taken_up_again_is_well(
    settings: Settings, local: LocalDiscord, workers: Workers
) -> None:
    async with connecting(settings, local, workers) as client:
        await client.wait_until_ready()
        resumed = asyncio.create_task(client.wait_for("resumed", timeout=20))
        await asyncio.sleep(0)
        await local.drop_gateway()
        await resumed
        assert (await health(settings))[0] == 200


async def test_without_workers_it_is_not_well(settings: Settings, local: LocalDiscord, workers: Workers) -> None:
    async with connecting(settings, local, workers) as client:
        await client.wait_until_ready()
        workers.now = 0
        assert await health(settings) == (503, {"gateway": True, "workers": False, "slots": 0})
        workers.now = 3
        assert await health(settings) == (200, {"gateway": True, "workers": True, "slots": 3})


async def test_without_a_scheduler_it_is_not_well(settings: Settings, local: LocalDiscord, workers: Workers) -> None:
    async with connecting(settings, local, workers) as client:
        await client.wait_until_ready()
        workers.lost = True
        assert await health(settings) == (503, {"gateway": True, "workers": False, "slots": 0})


async def test_nothing_else_is_served(settings: Settings, local: LocalDiscord, workers: Workers) -> None:
    async with connecting(settings, local, workers):
        assert (await health(settings, "/"))[0] == 404
        assert (await health(settings, "/healthz/"))[0] == 404


async def test_without_a_port_nobody_listens(
    settings: Settings, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: list[object] = []
    bind = socket.socket.bind

    def noting(self: socket.socket, address: Any) -> None:
        bound.append(address)
        bind(self, address)

    monkeypatch.setattr(socket.socket, "bind", noting)
    async with Atelier(settings) as client:
        client.executor = cast(Executor, workers)
        async with serve_health(settings.model_copy(update={"health_port": None}), client):
            assert bound == []
            with pytest.raises(aiohttp.ClientConnectorError):
                await health(settings)
        async with serve_health(settings, client):
            assert (await health(settings))[0] == 503


async def test_only_this_machine_is_listened_to_unless_told_otherwise(settings: Settings, workers: Workers) -> None:
    async with Atelier(settings) as client:
        client.executor = cast(Executor, workers)
        async with serve_health(settings, client):
            assert (await health(settings, host="127.0.0.1"))[0] == 503
            with pytest.raises(aiohttp.ClientConnectorError):
                await health(settings, host="127.0.0.2")
        async with serve_health(settings.model_copy(update={"health_host": "127.0.0.2"}), client):
            assert (await health(settings, host="127.0.0.2"))[0] == 503


async def test_a_port_in_use_is_told_at_start(settings: Settings, workers: Workers) -> None:
    async with Atelier(settings) as client:
        client.executor = cast(Executor, workers)
        async with serve_health(settings, client):
            with pytest.raises(OSError, match=str(settings.health_port)):
                async with serve_health(settings, client):
                    pass
        with pytest.raises(aiohttp.ClientConnectorError):
            await health(settings)
