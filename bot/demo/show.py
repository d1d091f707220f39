"""``atelier demo``: the local Discord, the real bot as its own process, and a member who asks for a picture."""

import asyncio
import contextlib
import json
import tempfile
from pathlib import Path
from typing import Final, TextIO

from rich.console import Console

from bot.demo.start import drawn, running_bot
from bot.sandbox.ledger import RestRequest
from bot.sandbox.member import Upload
from bot.sandbox.server import LocalDiscord
from bot.sandbox.state.invocation import Invocation
from bot.sandbox.state.messages import Message
from engine.presets import Quality

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
        async with running_bot(discord, data, console) as bot:
            if bot is None:
                return 1
            member = discord.member("Ada")
            names = " ".join(f"{role}:{upload.filename}" for role, upload in uploads.items())
            console.print(f"[bold]{member.name}[/] types [bold cyan]/stylize[/] {names} quality:{quality}")
            invocation = await member.invoke("stylize", **uploads, quality=quality)
            code = await _follow(invocation, out, console)
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
