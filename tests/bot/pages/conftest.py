"""The page of a local Discord with the real bot and a real worker, in a real browser."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count

import discord
import pytest
import pytest_asyncio
import yarl
from playwright.async_api import Browser, BrowserContext
from playwright.async_api import Page as Tab
from pydantic import SecretStr

from bot import features
from bot.app import open_store, running
from bot.client.client import Atelier
from bot.client.sync import sync
from bot.demo.sandbox import examples, furnish
from bot.sandbox import LocalDiscord, Member, Place
from bot.sandbox.page.server import Page
from bot.settings import Settings
from tests.ports import free_port

OPERATOR_TOKEN = "the-token-of-the-operators"
_NUMBERS = count(1)


@dataclass
class Sandbox:
    """What `atelier sandbox` starts, in this process."""

    discord: LocalDiscord
    page: Page
    settings: Settings


@dataclass
class Room:
    """A channel of its own for a test."""

    sandbox: Sandbox
    name: str
    place: Place

    @property
    def discord(self) -> LocalDiscord:
        """The local Discord that it is in."""
        return self.sandbox.discord

    def member(self, name: str) -> Member:
        """A member in it."""
        return self.discord.member(name).at(self.place)

    async def open(self, context: BrowserContext) -> Tab:
        """Open the link that `atelier sandbox` prints, at this channel."""
        tab = await context.new_page()
        await tab.goto(f"{self.sandbox.page.url}#{self.place.channel_id}")
        await tab.get_by_role("heading", name=self.name, exact=True).first.wait_for()
        return tab


@pytest.fixture
def room(sandbox: Sandbox) -> Room:
    """A new channel."""
    name = f"room-{next(_NUMBERS)}"
    return Room(sandbox, name, sandbox.discord.add_channel(name))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox(
    browser: Browser, scheduler: str, place: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sandbox]:
    """One for each module; none without a browser. At the end, check that none of the bot's tasks has ended."""
    with pytest.MonkeyPatch.context() as patch:
        # The client changes these for the whole process.
        patch.setattr(discord.http.Route, "BASE", discord.http.Route.BASE)
        gateway = discord.gateway.DiscordWebSocket
        patch.setattr(gateway, "DEFAULT_GATEWAY", yarl.URL(str(gateway.DEFAULT_GATEWAY)))
        async with LocalDiscord() as local:
            actors = await furnish(local)
            settings = Settings(
                _env_file=None,
                discord_token=SecretStr(local.token),
                discord_api_url=local.api_url,
                discord_gateway_url=local.gateway_url,
                discord_cdn_url=local.cdn_url,
                data_directory=tmp_path_factory.mktemp("data"),
                blobs_url=place,
                scheduler=scheduler,
                operator_ids=frozenset({actors[-1].member.id}),
                operator_token=SecretStr(OPERATOR_TOKEN),
                operator_pictures=True,
                health_port=free_port(),
            )
            async with open_store(settings) as store, Atelier(settings) as client:
                features.load(client)
                await client.login(local.token)
                await sync(client, store)
            async with Page(local, actors, examples()) as page, running(settings, local.token) as tasks:
                await local.wait_for_bot()
                yield Sandbox(local, page, settings)
                assert not any(task.done() for task in tasks)
            assert local.refusals == []
