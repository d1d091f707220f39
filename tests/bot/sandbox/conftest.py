"""A local Discord for each test, and two clients: discord.py, and bare requests."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import discord
import pytest
import yarl
from discord import app_commands

from bot.sandbox import Invocation, LocalDiscord
from tests.bot.sandbox.openapi import PATH, OpenAPI

V2 = 1 << 15
"""The flag of a message that consists of components."""


def channel(local: LocalDiscord, rest: str = "") -> str:
    """The path of the channel's messages."""
    return f"/channels/{local.channel_id}/messages{rest}"


def button(**fields: Any) -> dict[str, Any]:
    """A row with one button."""
    return {"type": 1, "components": [{"type": 2, "style": 1, "label": "x", "custom_id": "x"} | fields]}


def text(content: str) -> dict[str, Any]:
    """A text display."""
    return {"type": 10, "content": content}


def rows(count: int) -> list[dict[str, Any]]:
    """As many rows with a button."""
    return [button(custom_id=str(index)) for index in range(count)]


class Probe(discord.Client):
    """A minimal client. Each test gives it its own commands."""

    def __init__(self, **options: Any) -> None:
        """Use the intents of Atelier. `options` are those of discord.py's client."""
        # discord.py waits this long for further servers before it is ready; here there is one.
        super().__init__(intents=discord.Intents.default(), guild_ready_timeout=0.05, **options)
        self.tree = app_commands.CommandTree(self)
        self.failures: list[Exception] = []
        self.tree.error(self._on_failure)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Do not wait 5 seconds before each further identify, which Discord requires."""

    async def _on_failure(self, interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
        self.failures.append(error)


@dataclass(frozen=True)
class Reply:
    """An answer to a bare request."""

    status: int
    headers: dict[str, str]
    json: Any


class Caller:
    """Sends bare requests with the bot's token."""

    def __init__(self, local: LocalDiscord, session: aiohttp.ClientSession) -> None:
        """Send them to this server."""
        self.local = local
        self.session = session

    async def __call__(self, method: str, path: str, *, token: str | None = None, **arguments: Any) -> Reply:
        """Send one request; `arguments` are those of aiohttp."""
        headers = {"Authorization": f"Bot {self.local.token if token is None else token}"}
        url = f"{self.local.api_url}{path}"
        async with self.session.request(method, url, headers=headers, **arguments) as response:
            text = await response.text()
            is_json = response.headers.get("Content-Type") == "application/json"
            return Reply(response.status, dict(response.headers), json.loads(text) if is_json else text or None)

    async def answer(self, invocation: Invocation, kind: int, data: object = None, **arguments: Any) -> Reply:
        """Answer an interaction."""
        path = f"/interactions/{invocation.id}/{invocation.token}/callback"
        return await self("POST", path, json={"type": kind, "data": data}, **arguments)

    async def register(self, *commands: dict[str, Any]) -> Reply:
        """Register these commands everywhere."""
        return await self("PUT", f"/applications/{self.local.application_id}/commands", json=list(commands))

    def hook(self, invocation: Invocation, rest: str = "") -> str:
        """The path of the webhook of an interaction."""
        return f"/webhooks/{self.local.application_id}/{invocation.token}{rest}"

    async def begin(self, name: str = "Ann", **arguments: Any) -> Invocation:
        """Let a member send the command `/ping`. Register it first if necessary."""
        if not any(request.method == "PUT" for request in self.local.requests):
            await self.register({"name": "ping", "description": "Answer"})
        return await self.local.member(name).invoke("ping", **arguments)


def form(payload: object, *files: tuple[str, bytes]) -> aiohttp.FormData:
    """A multipart body as Discord takes it."""
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("payload_json", json.dumps(payload), content_type="application/json")
    for index, (filename, content) in enumerate(files):
        data.add_field(
            f"files[{index}]", io.BytesIO(content), filename=filename, content_type="application/octet-stream"
        )
    return data


@pytest.fixture
async def call(local: LocalDiscord) -> AsyncIterator[Caller]:
    """Bare requests to it."""
    async with aiohttp.ClientSession() as session:
        yield Caller(local, session)


@pytest.fixture
def connected(
    local: LocalDiscord, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractAsyncContextManager[Probe]]:
    """Connects the real discord.py to it, with options of discord.py's."""
    monkeypatch.setattr(discord.http.Route, "BASE", local.api_url)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(local.gateway_url))

    @asynccontextmanager
    async def connecting(**options: Any) -> AsyncIterator[Probe]:
        client = Probe(**options)
        before = local.bots
        running = asyncio.create_task(client.start(local.token))
        try:
            await local.wait_for_bot(count=before + 1)
            yield client
        finally:
            await client.close()
            await running

    return connecting


@pytest.fixture
async def bot(connected: Callable[..., AbstractAsyncContextManager[Probe]]) -> AsyncIterator[Probe]:
    """The real discord.py, connected to it."""
    async with connected() as client:
        yield client


@pytest.fixture
def openapi() -> OpenAPI:
    """Discord's OpenAPI document."""
    document = OpenAPI.load()
    if document is None:
        pytest.skip(f"Discord's OpenAPI document is not at {PATH}")
    return document
