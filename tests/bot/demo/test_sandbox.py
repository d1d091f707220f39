"""`atelier sandbox` around its page: the link, the members, and the end. The bot has no part in it here."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from rich.console import Console

from bot.demo import sandbox
from bot.sandbox import LocalDiscord
from tests.waiting import eventually


async def test_prints_a_link_that_works_until_the_bot_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ended = asyncio.Event()
    started: list[set[str]] = []

    class Bot:
        """Runs until it is told to end."""

        async def wait(self) -> int:
            """Wait for the end."""
            await ended.wait()
            return 1

    @asynccontextmanager
    async def running_bot(
        discord: LocalDiscord, data: str, console: Console, operators: Iterable[int]
    ) -> AsyncIterator[Bot]:
        started.append({name for name in ("Ada", "Grace", "Edsger") if discord.member(name).id in operators})
        yield Bot()

    monkeypatch.setattr(sandbox, "running_bot", running_bot)
    printed: list[str] = []

    def links() -> list[str]:
        printed.append(capsys.readouterr().out)
        return [line for line in "".join(printed).splitlines() if line.startswith("http://127.0.0.1:")]

    serving = asyncio.create_task(sandbox.serve_until_asked(0, str(tmp_path), open_browser=False))
    try:
        await eventually(links)
        assert started == [{"Edsger"}]
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(links()[0]) as page:
                assert page.status == 200
                assert "<title>Atelier sandbox</title>" in await page.text()
            ended.set()
            assert await serving == 1
            with pytest.raises(aiohttp.ClientConnectionError):
                await browser.get(links()[0])
    finally:
        serving.cancel()
