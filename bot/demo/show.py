"""``atelier demo``: the local Discord, the real bot as its own process, and a member who asks for a picture."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console

from bot.sandbox.ledger import RestRequest
from bot.sandbox.member import Upload
from bot.sandbox.server import LocalDiscord
from bot.sandbox.state.invocation import Invocation
from bot.sandbox.state.messages import Message
from engine.presets import Quality

START_WITHIN: Final = 120.0
"""Seconds for the bot to load VGG19 and connect; a cold disk reads torch slowly."""
OPERATORS_OWN: Final = {"DATABASE_URL", "SCHEDULER", "HEALTH_PORT"}
PAINT_WITHIN: Final = 1800.0


def show(out: Path, content: Path | None, style: Path | None, quality: Quality) -> int:
    """Show one picture from command to result. Return the exit code, 0 when the picture came. Raises ``OSError``."""
    out.mkdir(parents=True, exist_ok=True)
    for earlier in (*out.glob("preview-*"), *out.glob("final.*")):
        earlier.unlink()
    uploads = {
        role: Upload(path.name, path.read_bytes())
        for role, path in (("content", content or drawn("content.jpg")), ("style", style or drawn("style.jpg")))
    }
    with (out / "transcript.jsonl").open("w") as transcript, tempfile.TemporaryDirectory() as data:
        return asyncio.run(_show(out, uploads, quality, transcript, data))


async def _show(out: Path, uploads: dict[str, Upload], quality: Quality, transcript: TextIO, data: str) -> int:
    console = Console()
    async with LocalDiscord() as discord:
        discord.on_request(lambda request: _note(transcript, request))
        # The bot must not see the operator's settings: neither their environment nor, hence the folder, their .env.
        environment = {name: value for name, value in os.environ.items() if name not in OPERATORS_OWN} | {
            "DISCORD_TOKEN": discord.token,
            "DISCORD_API_URL": discord.api_url,
            "DISCORD_GATEWAY_URL": discord.gateway_url,
            "DISCORD_CDN_URL": discord.cdn_url,
            "DATA_DIRECTORY": data,
            "LOG_LEVEL": "WARNING",
            "LOG_FORMAT": "console",
        }
        console.print("A local Discord listens at", discord.api_url)
        console.print("[dim]$ atelier sync[/]")
        async with _atelier("sync", environment, data) as sync:
            if await sync.wait() != 0:
                return 1
        console.print("[dim]$ atelier run[/]")
        async with _atelier("run", environment, data) as bot:
            connected = asyncio.create_task(discord.wait_for_bot(START_WITHIN))
            ended = asyncio.create_task(bot.wait())
            await asyncio.wait((connected, ended), return_when=asyncio.FIRST_COMPLETED)
            if not connected.done() or connected.exception():
                connected.cancel()
                console.print("[red]The bot did not connect; what it said is above.[/]")
                return 1
            member = discord.member("Ada")
            names = " ".join(f"{role}:{upload.filename}" for role, upload in uploads.items())
            console.print(f"[bold]{member.name}[/] types [bold cyan]/stylize[/] {names} quality:{quality}")
            invocation = await member.invoke("stylize", **uploads, quality=quality)
            code = await _follow(invocation, out, console)
            ended.cancel()
    console.print(f"Saved to {out}: previews, the painting, and transcript.jsonl.")
    return code


async def _follow(invocation: Invocation, out: Path, console: Console) -> int:
    """Print each state of the reply and save its pictures. Return 0 when the last state is a painting."""
    saved: dict[int, Path] = {}
    async with asyncio.timeout(PAINT_WITHIN), contextlib.aclosing(invocation.messages()) as states:
        async for message in states:
            if message.thinking:
                console.print("[bold]Atelier[/] is thinking …")
                continue
            for attachment in message.attachments:
                if attachment.id not in saved:
                    saved[attachment.id] = _save(out, attachment.filename, attachment.data, len(saved) + 1)
            shown = ", ".join(saved[attachment.id].name for attachment in message.attachments)
            if message.deleted:
                console.print("[bold]Atelier[/] takes its reply away")
                continue
            whom = " (only Ada sees this)" if message.ephemeral else ""
            console.print(f"[bold]Atelier[/]{whom}: {message.content}", f"[dim]{shown}[/]" if shown else "")
            if _is_final(message):
                return 0
            if message.ephemeral:
                return 1
    return 1


def _is_final(message: Message) -> bool:
    return any(attachment.filename.startswith("painting-") for attachment in message.attachments)


def _save(out: Path, filename: str, data: bytes, number: int) -> Path:
    suffix = Path(filename).suffix
    name = f"preview-{number:02}{suffix}" if filename.startswith("preview") else f"final{suffix}"
    path = out / name
    path.write_bytes(data)
    return path


def _note(transcript: TextIO, request: RestRequest) -> None:
    line = {
        "time": round(request.at, 3),
        "method": request.method,
        "path": request.path,
        "status": request.status,
        "request_bytes": request.request_bytes,
        "response_bytes": request.response_bytes,
    }
    transcript.write(json.dumps(line, ensure_ascii=False) + "\n")


def drawn(name: str) -> Path:
    """A picture that the project drew and ships."""
    return Path(str(files("bot.demo") / name))


@asynccontextmanager
async def _atelier(command: str, environment: dict[str, str], folder: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """``atelier COMMAND`` as a process of its own, stopped on exit."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bot", command, env=environment, cwd=folder)
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
