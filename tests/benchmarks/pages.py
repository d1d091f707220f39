"""How long a member waits for a page of ``/jobs``: ``python -m tests.benchmarks.pages``.

The real bot and its embedded worker, as processes, and the local Discord share this machine. A member has 1,000
finished pictures. They use ``/jobs`` and then turn pages; nobody has looked at these pages before. Beside it,
``--painting`` has the worker paint.
"""

import asyncio
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import typer
from PIL import Image, ImageEnhance
from rich.console import Console

from bot.jobs.database.cipher import Cipher, new_key
from bot.jobs.database.store import Store
from bot.jobs.model import Job, Painted, State, new_id
from bot.sandbox import Invocation, LocalDiscord, Message, Upload
from bot.sandbox.state.components import walk
from engine.blobs import Blobs
from engine.images.compose import compose
from engine.recipe import Inputs, Recipe
from tests.benchmarks.machine import CONTENT, STYLE, described
from tests.benchmarks.service import bot_of
from tests.doubles.jobs import insert_job

PICTURES: Final = 1000
DIFFERENT: Final = 50
"""The pictures of different bytes."""
SIZE: Final = 512
"""Pixels of a picture's longer side."""
LATEST: Final = 30.0
"""Seconds for a page."""


async def _stored(database: Path, blobs: Blobs, member: int, *, thumbnails: bool) -> None:
    """Store the pictures, as if they had been painted one a minute."""
    names = []
    photo = Image.open(CONTENT).convert("RGB")
    photo.thumbnail((SIZE, SIZE))
    for number in range(DIFFERENT):
        picture = ImageEnhance.Color(photo).enhance(number / DIFFERENT)
        file = BytesIO()
        picture.save(file, "PNG")
        names.append((blobs.put(file.getvalue()), blobs.put(compose("thumbnail", [picture], 100_000))))
    newest = datetime.now(UTC)
    async with Store.open(f"sqlite+aiosqlite:///{database}", Cipher([new_key()])) as store:
        for number in range(PICTURES):
            painting, thumbnail = names[number % DIFFERENT]
            job = Job(
                id=new_id(),
                owner=member,
                guild_id=None,
                recipe=Recipe(seed=number),
                inputs=Inputs(painting, (painting,)),
                address="",
                description=f"picture {number}",
                max_bytes=2**20,
                state=State.DELIVERED,
                created_at=newest - timedelta(minutes=number),
                delivered_by="token",
                painted=Painted(painting, "png", photo.width, photo.height, 60, 8.0, "finished"),
            )
            await insert_job(store, replace(job, thumbnail=thumbnail) if thumbnails else job)


async def measure(pages: int, *, thumbnails: bool, painting: bool) -> list[tuple[float, int]]:
    """For each page, the seconds from the command or press to the page, and how many thumbnails it has."""
    with tempfile.TemporaryDirectory(prefix="atelier-pages-") as folder:
        async with LocalDiscord() as discord:
            ada = discord.member("Ada")
            blobs = Blobs(str(Path(folder) / "blobs"))
            await _stored(Path(folder) / "atelier.db", blobs, ada.id, thumbnails=thumbnails)
            async with bot_of(discord, Path(folder), "bot", "run"):
                if painting:
                    content, style = (Upload(path.name, path.read_bytes()) for path in (CONTENT, STYLE))
                    order = await discord.member("Bob").invoke("stylize", content=content, style=style, quality="fine")
                    await order.wait_until(lambda message: bool(message.attachments), 120)
                began = time.perf_counter()
                page = await _page(await ada.invoke("jobs"), 0)
                found = [(time.perf_counter() - began, len(page.attachments))]
                for number in range(1, pages):
                    began = time.perf_counter()
                    page = await _page(await ada.press(page, "Older ▶"), number)
                    found.append((time.perf_counter() - began, len(page.attachments)))
                return found


async def _page(asked: Invocation, number: int) -> Message:
    """The page of this number, from 0, once the member sees it."""

    def shown(message: Message) -> bool:
        texts = [part["content"] for part in walk([*message.components]) if part["type"] == 10]
        return any(f"picture {10 * number} " in text for text in [message.content, *texts])

    return await asked.wait_until(shown, LATEST)


def main(
    pages: Annotated[int, typer.Option(min=1, max=PICTURES // 10)] = 20,
    thumbnails: Annotated[bool, typer.Option(help="Whether the pictures have thumbnails already.")] = True,
    painting: Annotated[bool, typer.Option(help="Whether the worker paints meanwhile.")] = False,
) -> None:
    """How long a member waits for a page of /jobs."""
    found = asyncio.run(measure(pages, thumbnails=thumbnails, painting=painting))
    seconds = [each for each, _ in found]
    console = Console()
    console.print(described(), highlight=False, markup=False)
    least, most = min(shown for _, shown in found), max(shown for _, shown in found)
    first, middle, longest = (round(1000 * each) for each in (seconds[0], median(seconds), max(seconds)))
    console.print(f"{pages} pages with {least} to {most} thumbnails")
    console.print(f"the first after {first} ms, median {middle} ms, most {longest} ms")


if __name__ == "__main__":
    typer.run(main)
