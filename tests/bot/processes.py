"""`atelier` as a process of its own, as an operator starts it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.sandbox import LocalDiscord
from bot.settings import Settings

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """The result of a process. Whitespace is collapsed, because lines are wrapped for a terminal."""

    code: int
    out: str
    error: str


@asynccontextmanager
async def started(
    directory: Path, *arguments: str, limit: str = "true", **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m bot` in an empty directory, with only these environment variables, after the shell's `limit`."""
    names = {name.upper() for name in Settings.model_fields}
    inherited = {name: value for name, value in os.environ.items() if name.upper() not in names}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'{limit} && exec "$@"', "sh", sys.executable),
        *("-W", "error", "-W", "ignore:'audioop' is deprecated:DeprecationWarning"),
        *("-m", "bot", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        cwd=directory,
        env=inherited | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "LOG_LEVEL": "WARNING"} | environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()


async def atelier(directory: Path, *arguments: str, limit: str = "true", **environment: str) -> Ended:
    """Run it to its end."""
    async with started(directory, *arguments, limit=limit, **environment) as process, asyncio.timeout(60):
        return await ended(process)


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Wait for the end."""
    out, error = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, " ".join(out.decode().split()), " ".join(error.decode().split()))


def at(local: LocalDiscord, **environment: str) -> dict[str, str]:
    """Variables that point to the local Discord."""
    return {
        "DISCORD_TOKEN": local.token,
        "DISCORD_API_URL": local.api_url,
        "DISCORD_GATEWAY_URL": local.gateway_url,
        "DISCORD_CDN_URL": local.cdn_url,
    } | environment


def names_in(directory: Path) -> set[str]:
    """The names of the files in it."""
    return {path.name for path in directory.iterdir()}
