"""A local Discord, and the real bot connected to it over real sockets."""

import asyncio
import io
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from PIL import Image, ImageDraw
from pydantic import SecretStr

from bot import features
from bot.app import open_store, running
from bot.client.attachments import AttachmentDownloader
from bot.client.client import Atelier
from bot.client.services import Services
from bot.client.sync import sync
from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.connect import connected
from bot.jobs.database.store import Store
from bot.jobs.history import JobHistory
from bot.jobs.members import MemberData
from bot.jobs.rules import Policy
from bot.jobs.storage import Storage, StoragePolicy
from bot.library.library import LibraryPolicy, StyleLibrary
from bot.library.networks import NetworkStyle
from bot.sandbox import LocalDiscord, Message, Upload
from bot.sandbox.state.components import walk
from bot.settings import MEBIBYTE, Settings
from bot.telemetry import logs
from engine import presets
from engine.blobs import Blobs
from tests.bot.sandbox.openapi import OpenAPI
from tests.doubles.executor import FakeExecutor
from tests.doubles.jobs import FakeJobs

Bot = Callable[[], AbstractAsyncContextManager[list[asyncio.Task[None]]]]


@pytest.fixture(autouse=True)
def small_efforts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paint thumbnails: `quick` takes half a second, `standard` two, `fine` longer than any test."""
    small: dict[presets.Quality, presets.Preset] = {
        "instant": presets.Preset(128, 6, "instant"),
        "quick": presets.Preset(96, 4),
        "standard": presets.Preset(128, 30),
        "fine": presets.Preset(160, 5000),
    }
    for tier in presets.PRESETS:
        monkeypatch.setitem(cast(dict[presets.Tier, object], presets.PRESETS), tier, small)


@pytest.fixture(autouse=True)
def quick_edits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edit replies more often than in production, and within the rate limit of the local Discord."""
    monkeypatch.setattr("bot.delivery.reply.EDIT_EVERY", 0.5)


@pytest.fixture(autouse=True)
def logging_as_an_operator() -> None:
    """Configure the log as the product does, so that tests see what an operator sees."""
    logs.configure("INFO", "console")


@pytest.fixture
async def discord() -> AsyncIterator[LocalDiscord]:
    """A local Discord. At the end, check that no request was invalid, and that each ordered failure has happened."""
    async with LocalDiscord() as local:
        yield local
    assert local.refusals == []
    assert local.unmet == []
    if document := OpenAPI.load():
        assert [found for request in local.requests for found in document.request(request)] == []


@pytest.fixture
async def local() -> AsyncIterator[LocalDiscord]:
    """A local Discord without a bot. Its requests may be invalid."""
    async with LocalDiscord() as server:
        yield server


@pytest.fixture
def settings(discord: LocalDiscord, scheduler: str, place: str, tmp_path: Path, empty_database: Path) -> Settings:
    """An operator's settings for that Discord. The database has its tables."""
    (tmp_path / "data").mkdir(mode=0o700)
    shutil.copyfile(empty_database, tmp_path / "data" / "atelier.db")
    return Settings(
        _env_file=None,
        discord_token=SecretStr(discord.token),
        discord_api_url=discord.api_url,
        discord_gateway_url=discord.gateway_url,
        discord_cdn_url=discord.cdn_url,
        data_directory=tmp_path / "data",
        blobs_url=place,
        scheduler=scheduler,
        max_picture_mb=1,
    )


@pytest.fixture
def start(discord: LocalDiscord, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Bot:
    """Starts the bot, its commands registered, and waits until it is connected. It shows positions more often."""
    monkeypatch.setattr("bot.jobs.queue_positions.BUCKET_EVERY", 0.5)

    @asynccontextmanager
    async def starting() -> AsyncIterator[list[asyncio.Task[None]]]:
        async with open_store(settings) as store, Atelier(settings) as client:
            features.load(client)
            await client.login(discord.token)
            await sync(client, store)
        async with running(settings, discord.token) as tasks:
            await discord.wait_for_bot()
            yield tasks

    return starting


@pytest.fixture
async def bot(start: Bot) -> AsyncIterator[None]:
    """The running bot. At the end, check that none of its tasks has ended."""
    async with start() as tasks:
        yield
        assert not any(task.done() for task in tasks)


@pytest.fixture
def fake_jobs() -> FakeJobs:
    """The jobs of :func:`client`."""
    return FakeJobs()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with tables, to copy. A migration takes longer than most tests."""
    path = tmp_path_factory.mktemp("database") / "empty.db"

    async def migrate() -> None:
        async with connected(f"sqlite+aiosqlite:///{path}"):
            pass

    asyncio.run(migrate())
    return path


@pytest.fixture
def client_settings(discord: LocalDiscord, tmp_path: Path) -> Settings:
    """The settings of :func:`client`."""
    return Settings(
        _env_file=None,
        discord_api_url=discord.api_url,
        discord_gateway_url=discord.gateway_url,
        discord_cdn_url=discord.cdn_url,
        data_directory=tmp_path / "data",
    )


@pytest.fixture
async def client_store(empty_database: Path, tmp_path: Path) -> AsyncIterator[Store]:
    """The database of :func:`services`. The jobs of :func:`fake_jobs` are not in it."""
    database = tmp_path / "client.db"
    await asyncio.to_thread(shutil.copyfile, empty_database, database)
    async with Store.open(f"sqlite+aiosqlite:///{database}", Cipher([new_key()])) as store:
        yield store


@pytest.fixture
def networks() -> tuple[NetworkStyle, ...]:
    """The styles of trained networks: none, unless a module has others."""
    return ()


@pytest.fixture
async def services(
    discord: LocalDiscord, fake_jobs: FakeJobs, client_store: Store, networks: tuple[NetworkStyle, ...], tmp_path: Path
) -> AsyncIterator[Services]:
    """The services of :func:`client`. They accept attachments of at most 1 MiB."""
    store, blobs = client_store, Blobs(str(tmp_path / "blobs"))
    executor = FakeExecutor(blobs)
    async with aiohttp.ClientSession() as session:
        downloader = AttachmentDownloader(session, discord.cdn_url, MEBIBYTE)
        storage = Storage(blobs, store, StoragePolicy(min_free_bytes=0))
        library_policy = LibraryPolicy(max_per_member=12, max_per_server=2)
        styles = StyleLibrary(store, storage, executor, library_policy, networks)
        history, own_data = JobHistory(store, storage, executor), MemberData(store, storage, fake_jobs)
        policy = Policy(max_open=3, max_per_day=20)
        yield Services(fake_jobs, history, own_data, executor, downloader, styles, store, policy)


@pytest.fixture
async def client(discord: LocalDiscord, client_settings: Settings, services: Services) -> AsyncIterator[Atelier]:
    """The real client, connected, its commands registered. Its jobs are accepted but not painted."""
    async with Atelier(client_settings, services) as client:
        features.load(client)
        await client.login(discord.token)
        await client.tree.sync()
        connected = asyncio.create_task(client.connect())
        await discord.wait_for_bot()
        yield client
        await handled()  # else one that still reads the database would fail when it closes
        await client.close()
        await asyncio.gather(connected, return_exceptions=True)


async def handled() -> None:
    """Wait until the client handles no interaction, at most 5 s: a test may leave one that waits forever.

    A member may have read the answer before the handler has ended.
    """
    names = "CommandTree-invoker", "discord-ui-"
    handlers = [task for task in asyncio.all_tasks() if task.get_name().startswith(names)]
    if handlers:
        await asyncio.wait(handlers, timeout=5)


def photo(size: tuple[int, int] = (120, 90), *, hue: int = 0) -> bytes:
    """A small picture with edges, as PNG."""
    image = Image.new("RGB", size, (200, (hue * 60) % 256, 90))
    draw = ImageDraw.Draw(image)
    width, height = size
    draw.ellipse((width // 6, height // 6, width // 2, height // 2), fill=(30, 60, 160))
    for x in range(0, width, 9):
        draw.line((x, 0, width - x, height), fill=(240, 220, 40 + hue * 40), width=2)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


CONTENT = Upload("town.png", photo())
STYLE = Upload("strokes.png", photo((100, 100), hue=2))


def is_painting(message: Message) -> bool:
    """Whether a message says that the job is being painted."""
    return message.content.startswith("Painting")


def has_preview(message: Message) -> bool:
    """Whether a message shows a preview."""
    return any(attachment.filename == "preview.jpg" for attachment in message.attachments)


def is_final(message: Message) -> bool:
    """Whether a message shows a finished painting."""
    return any(attachment.filename.startswith("painting-") for attachment in message.attachments)


def text_of(message: Message) -> str:
    """The text of a message, or of its components."""
    return message.content or "\n".join(part["content"] for part in walk([*message.components]) if part["type"] == 10)


def is_private_answer(message: Message) -> bool:
    """Whether a message is an ephemeral answer with text."""
    return message.ephemeral and not message.deleted and bool(text_of(message))
