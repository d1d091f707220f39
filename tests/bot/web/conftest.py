"""The real client at the local Discord, a real database, and a fake executor, behind the real endpoints."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import discord
import pytest
import yarl

from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.store import Store
from bot.sandbox import LocalDiscord
from bot.settings import Settings
from bot.web.health import Health
from bot.web.server import serve
from engine.blobs import Blobs
from engine.executor.api import Executor
from tests.doubles.executor import FakeExecutor

DETAILS = "detail"


class Workers(FakeExecutor):
    """An executor that may hang or fail."""

    def __init__(self, blobs: Blobs) -> None:
        super().__init__(blobs)
        self.lost = False
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()

    async def slots(self) -> int:
        """Return the number of slots, after the executor is allowed to answer."""
        self.asked += 1
        while not self.answers.is_set():
            try:
                await self.answers.wait()
            except asyncio.CancelledError:
                continue  # as code that waits for a connection may do
        if self.lost:
            raise OSError("the scheduler at tcp://secret:8786 is gone")
        return self.slots_now


@dataclass
class Operated:
    """An operator's settings and endpoints."""

    settings: Settings
    local: LocalDiscord
    store: Store
    directory: Path
    workers: Workers
    executor: Executor | None = None
    """Used instead of ``workers``."""
    services: Services | None = None
    """Needed to answer commands."""
    intake: bool = True
    min_free_bytes: int = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Atelier]:
        """The endpoints of a client that has not logged in yet."""
        async with Atelier(self.settings, self.services) as client:
            # discord.py waits this long for further servers before it is ready. Here there is only one.
            client._connection.guild_ready_timeout = 0.05
            health = Health(
                client, self.executor or self.workers, self.store, self.directory, min_free_bytes=self.min_free_bytes
            )
            here = self.settings.health_host, self.settings.health_port
            async with serve(*here, health, lambda: self.intake):
                yield client

    @asynccontextmanager
    async def connecting(self) -> AsyncIterator[Atelier]:
        """The same, with a client that connects to Discord."""
        async with self.serving() as client:
            await client.login(self.local.token)
            connection = asyncio.create_task(client.connect())
            yield client
            connection.cancel()
            await asyncio.gather(connection, return_exceptions=True)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Atelier]:
        """The same, with a connected client."""
        async with self.connecting() as client:
            await client.wait_until_ready()
            yield client

    async def get(self, path: str = "/healthz", *, host: str = "127.0.0.1", **headers: str) -> tuple[int, Any]:
        """The status of a response, and its JSON without details, or its text."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{host}:{self.settings.health_port}{path}", headers=headers) as response,
        ):
            if response.content_type != "application/json":
                return response.status, await response.text()
            answer = await response.json()
            return response.status, {part: well for part, well in answer.items() if part != DETAILS}

    async def detail(self, part: str, path: str = "/healthz") -> str:
        """The detail of one part."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.settings.health_port}{path}") as response,
        ):
            found: str = (await response.json())[DETAILS][part]
            return found


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore discord.py's addresses, which the client changes for the whole process."""
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
    """Settings with a port for the endpoints."""
    return Settings(
        _env_file=None,
        discord_api_url=local.api_url,
        discord_gateway_url=local.gateway_url,
        health_port=unused_tcp_port,
    )


@pytest.fixture
async def operated(settings: Settings, local: LocalDiscord, tmp_path: Path) -> AsyncIterator[Operated]:
    """Everything that the endpoints need, with one worker. Nothing listens yet."""
    async with Store.open(f"sqlite+aiosqlite:///{tmp_path / 'atelier.db'}", Cipher([new_key()])) as store:
        yield Operated(settings, local, store, tmp_path, Workers(Blobs(str(tmp_path / "blobs"))))
