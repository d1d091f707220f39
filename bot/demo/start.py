"""Starts the bot, as its own process, against a local Discord; with the pictures that the project drew."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from rich.console import Console

from bot.sandbox.server import LocalDiscord
from engine.cluster.signals import interrupts_blocked

START_WITHIN: Final = 120.0
"""Seconds for the bot to load VGG19 and connect; a cold disk reads torch slowly."""
OPERATORS_OWN: Final = {"DATABASE_URL", "SCHEDULER", "HEALTH_PORT"}


@asynccontextmanager
async def running_bot(
    discord: LocalDiscord, data: str, console: Console, operators: Iterable[int] = ()
) -> AsyncIterator[asyncio.subprocess.Process | None]:
    """The bot with its commands registered and its workers, connected to a local Discord, within the context.

    ``data`` is the folder for its data, and ``operators`` are the members who may use ``/admin``. None if the bot did
    not start; it has said why.
    """
    # The bot must not see the operator's settings: neither their environment nor, hence the folder, their .env.
    environment = {name: value for name, value in os.environ.items() if name not in OPERATORS_OWN} | {
        "DISCORD_TOKEN": discord.token,
        "DISCORD_API_URL": discord.api_url,
        "DISCORD_GATEWAY_URL": discord.gateway_url,
        "DISCORD_CDN_URL": discord.cdn_url,
        "DATA_DIRECTORY": data,
        "OPERATOR_IDS": ",".join(map(str, operators)),
        "LOG_LEVEL": "WARNING",
        "LOG_FORMAT": "console",
    }
    console.print("A local Discord listens at", discord.api_url)
    console.print("[dim]$ atelier sync[/]")
    async with _atelier("sync", environment, data) as sync:
        synced = await sync.wait() == 0
    if not synced:
        yield None
        return
    console.print("[dim]$ atelier run[/]")
    async with _atelier("run", environment, data) as bot:
        connected = asyncio.create_task(discord.wait_for_bot(START_WITHIN))
        ended = asyncio.create_task(bot.wait())
        try:
            await asyncio.wait((connected, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (connected, ended):
                task.cancel()
            await asyncio.gather(connected, ended, return_exceptions=True)
        if connected.cancelled() or connected.exception():
            console.print("[red]The bot did not connect; what it said is above.[/]")
            yield None
        else:
            yield bot


@asynccontextmanager
async def _atelier(command: str, environment: dict[str, str], folder: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``atelier COMMAND`` as a process of its own, stopped on exit."""
    with interrupts_blocked():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", command, env=environment, cwd=folder
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


def drawn(name: str) -> Path:
    """A picture that the project drew and ships."""
    return Path(str(files("bot.demo") / name))
