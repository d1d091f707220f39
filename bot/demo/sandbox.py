"""``atelier sandbox``: the local Discord as a page in the browser, with the real bot as its own process."""

import asyncio
import contextlib
import signal
import tempfile
import webbrowser
from typing import Final

from rich.console import Console

from bot.demo.start import drawn, running_bot
from bot.library.built_in import BUILT_IN
from bot.sandbox.member import Upload
from bot.sandbox.page.contract import Actor, Example, Starter
from bot.sandbox.page.server import Page
from bot.sandbox.protocol.permissions import Permission
from bot.sandbox.server import LocalDiscord

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STARTER: Final = Starter(
    "Try it: paint the lake town in the style of the impasto strokes",
    "stylize",
    {"content": {"example": "town.jpg"}, "style": {"example": "strokes.jpg"}},
)


def serve(port: int, *, open_browser: bool) -> int:
    """Serve the page until Ctrl-C, SIGTERM or the end of the bot. Return the exit code. Raises ``OSError``."""
    with tempfile.TemporaryDirectory(prefix="atelier-sandbox-", ignore_cleanup_errors=True) as data:
        return asyncio.run(serve_until_asked(port, data, open_browser=open_browser))


async def serve_until_asked(port: int, data: str, *, open_browser: bool) -> int:
    """Serve the page until a signal or the end of the bot, which keeps its files in the folder ``data``."""
    leaving = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, leaving.set)
    console = Console()
    async with LocalDiscord() as discord:
        actors = await furnish(discord)
        operators = [actors[-1].member.id]
        async with Page(discord, actors, examples(), starter=STARTER, port=port) as page:
            starting = asyncio.create_task(_run(discord, page, data, console, operators, open_browser=open_browser))
            asked = asyncio.create_task(leaving.wait())
            await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
            if leaving.is_set():
                starting.cancel()
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            with contextlib.suppress(asyncio.CancelledError):
                await starting
    for number in SIGNALS:
        loop.remove_signal_handler(number)
    return 0 if leaving.is_set() else 1


async def _run(
    discord: LocalDiscord, page: Page, data: str, console: Console, operators: list[int], *, open_browser: bool
) -> None:
    """Run the bot until it ends, and show where the page is."""
    async with running_bot(discord, data, console, operators) as bot:
        if bot is None:
            return
        console.print("Open this page; Ctrl-C ends everything:")
        # On a line of its own and never wrapped, for scripts.
        print(page.url, flush=True)  # noqa: T201
        if open_browser:
            await asyncio.to_thread(_open, page.url)
        await bot.wait()
        console.print("[red]The bot has ended; what it said is above.[/]")


def _open(link: str) -> None:
    """Open a link in a browser with windows. One in the terminal would take it from the bot."""
    with contextlib.suppress(webbrowser.Error):
        browser = webbrowser.get()
        in_terminal = isinstance(browser, webbrowser.GenericBrowser)
        if not in_terminal or isinstance(browser, webbrowser.BackgroundBrowser):
            browser.open(link)


async def furnish(discord: LocalDiscord) -> list[Actor]:
    """Fill a local Discord with channels, members and a few messages. The last member is the bot's operator."""
    ada, grace, edsger = (discord.member(name) for name in ("Ada", "Grace", "Edsger"))
    grace.permissions |= Permission.MANAGE_GUILD | Permission.MANAGE_MESSAGES
    edsger.permissions |= Permission.ADMINISTRATOR
    discord.add_channel("gallery")
    thread = discord.add_thread("Lake town")
    post = discord.add_post("Which style fits?")
    elsewhere = discord.add_guild("Second server")
    await grace.say("Welcome! Type `/` to see what Atelier can do. Right-click a message with a picture for more.")
    await ada.at(thread).say("A thread about the lake town.")
    await grace.at(post).say("A post of the forum. Commands work here, too.", Upload("town.jpg", _town()))
    await edsger.at(elsewhere).say("Another server of the same bot.")
    return [
        Actor(ada, "Member"),
        Actor(grace, "Moderator"),
        Actor(edsger, "Operator of the bot"),
    ]


def examples() -> list[Example]:
    """The pictures that the project drew, to attach without having any."""
    return [
        Example("town.jpg", "Lake town", "content", _town()),
        Example("strokes.jpg", "Impasto strokes", "style", drawn("style.jpg").read_bytes()),
        *(Example(f"{each.id}.jpg", each.name, "style", each.file.read_bytes()) for each in BUILT_IN),
    ]


def _town() -> bytes:
    return drawn("content.jpg").read_bytes()
