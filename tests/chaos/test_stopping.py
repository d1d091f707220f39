"""A bot that is stopped or killed, as a separate process, during a painting or an order."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import create_engine, text

from bot.error_messages import error_message
from bot.jobs.errors import OrderInterrupted
from bot.sandbox import LocalDiscord, Message
from bot.sandbox.cdn import Cdn
from tests.bot.conftest import CONTENT, STYLE, is_final, is_painting, is_private_answer
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def bot(discord: LocalDiscord, data: Path, command: str = "run") -> AsyncIterator[asyncio.subprocess.Process]:
    """The bot at thumbnail sizes. It is killed at the exit if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.child", command),
        env=os.environ
        | {
            "PYTHONPATH": str(ROOT),
            "DISCORD_TOKEN": discord.token,
            "DISCORD_API_URL": discord.api_url,
            "DISCORD_GATEWAY_URL": discord.gateway_url,
            "DISCORD_CDN_URL": discord.cdn_url,
            "DATA_DIRECTORY": str(data),
            "LOG_LEVEL": "WARNING",
            "THREADS": "2",
        },
        cwd=data.parent,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def job(data: Path) -> tuple[str, str, bool]:
    """The state of the only job, its process, and whether it has a checkpoint."""
    engine = create_engine(f"sqlite:///{data / 'atelier.db'}")
    with engine.connect() as connection:
        id, state, process = connection.execute(text("SELECT id, state, process FROM jobs")).one()
        saved = connection.execute(
            text("SELECT count(*) FROM claims WHERE owner_id = :id AND role = 'checkpoint'"), {"id": id}
        )
        found = (state, process, bool(saved.scalar_one()))
    engine.dispose()
    return found


def step(message: Message) -> int:
    found = re.search(r"step (\d+) of", message.content)
    return int(found[1]) if found else 0


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_stopped_bot_saves_a_checkpoint_and_the_next_one_continues_from_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with LocalDiscord() as discord:
        async with bot(discord, data, "sync") as sync:
            assert await sync.wait() == 0
        async with bot(discord, data) as first:
            await discord.wait_for_bot()
            ann = discord.member("Ann")
            invocation = await ann.invoke("stylize", content=CONTENT, style=STYLE, quality="fine")
            before = await invocation.wait_until(lambda message: is_painting(message) and step(message) > 20)
            first.send_signal(signal.SIGTERM)
            async with asyncio.timeout(15):
                assert await first.wait() == 0
        assert job(data) == ("queued", "", True)
        seen = len(invocation.history)
        async with bot(discord, data) as second:
            after = await invocation.wait_until(lambda m: m in invocation.history[seen:] and is_painting(m))
            assert step(after) > step(before)
            # A second signal ends it at once.
            second.send_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            second.send_signal(signal.SIGINT)
            async with asyncio.timeout(15):
                await second.wait()
        async with bot(discord, data):
            await invocation.wait_until(is_final)
            await eventually(lambda: job(data)[0] == "delivered")
        assert [message for message in invocation.history if is_private_answer(message)] == []


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_after_a_bot_is_killed_before_an_order_is_stored_the_next_one_tells_the_member_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, killed = asyncio.Event(), asyncio.Event()

    async def hanging_download(_cdn: Cdn, _request: web.Request) -> web.Response:
        asked.set()
        await killed.wait()
        return web.Response(status=404)

    def notes() -> int:
        engine = create_engine(f"sqlite:///{data / 'atelier.db'}")
        with engine.connect() as connection:
            found: int = connection.execute(text("SELECT count(*) FROM acknowledged")).scalar_one()
        engine.dispose()
        return found

    data = tmp_path / "data"
    explanation = error_message(OrderInterrupted())
    monkeypatch.setattr(Cdn, "handle", hanging_download)
    async with LocalDiscord() as discord:
        async with bot(discord, data, "sync") as sync:
            assert await sync.wait() == 0
        async with bot(discord, data) as first:
            await discord.wait_for_bot()
            invocation = await discord.member("Ann").invoke("stylize", content=CONTENT, style=STYLE)
            await asked.wait()
            assert notes() == 1
            first.send_signal(signal.SIGKILL)
            await first.wait()
            killed.set()
        (thinking,) = invocation.history
        async with bot(discord, data):
            message = await invocation.wait_until(lambda message: message.content == explanation)
            assert message.id == thinking.id
            await eventually(lambda: notes() == 0)
        async with bot(discord, data):
            await discord.wait_for_bot()
            await eventually(lambda: notes() == 0)
        assert [message.content for message in invocation.history] == ["", explanation]
        assert [message.content for message in discord.channel_messages] == [explanation]
