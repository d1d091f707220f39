"""The pages in a real browser: how late an edit is shown, how 2,000 messages scroll, their weight, the bot's lag.

``python -m tests.benchmarks.page`` opens the page of the local Discord and the operator's page in Chromium, with the
real bot as its own process, which paints meanwhile.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import aiohttp
import typer
from playwright.async_api import Browser, Response, async_playwright
from playwright.async_api import Page as Tab
from rich.console import Console
from rich.table import Table

from bot.demo.sandbox import examples, furnish
from bot.sandbox import LocalDiscord, Message, Upload
from bot.sandbox.page.server import Page
from tests.benchmarks.machine import CONTENT, STYLE, described, percentile
from tests.benchmarks.service import bot_of, job
from tests.browser import ARGUMENTS, program
from tests.ports import free_port

WATCH = """() => {
  const log = document.querySelector("[role=log]");
  const now = () => performance.timeOrigin + performance.now();
  const painted = (act) => requestAnimationFrame(() => setTimeout(act)); // after the frame
  window.texts = {};
  window.pictures = {};
  window.shown = async (count) => {
    const least = () => Math.min(Object.keys(texts).length, Object.keys(pictures).length);
    while (least() < count) await new Promise(requestAnimationFrame);
  };
  new MutationObserver(() => painted(() => {
    for (const [mark] of log.textContent.matchAll(/edit \\d+ of/g)) window.texts[mark] ??= now();
  })).observe(log, { childList: true, subtree: true, characterData: true });
  log.addEventListener("load", (event) => {
    const { src } = event.target; // an edit shows the old picture until the new one is there
    if (src?.includes("/preview.jpg")) painted(() => window.pictures[src] ??= now());
  }, true);
}"""
SCROLL = """async () => {
  const log = document.querySelector("[role=log]");
  const frame = () => new Promise(requestAnimationFrame);
  log.scrollTop = log.scrollHeight;
  await frame();
  const times = [await frame()];
  while (log.scrollTop > 0) {
    log.scrollTop -= 300;
    times.push(await frame());
  }
  return times.slice(1).map((time, index) => time - times[index]);
}"""


@dataclass(frozen=True)
class Figures:
    """Seconds; bytes for the weights."""

    weights: dict[str, int]
    texts: list[float]
    pictures: list[float]
    frames: list[float]
    lags: dict[str, list[tuple[float, float]]]
    """The bot's, and its own work in each: see :mod:`tests.benchmarks.probe`."""


async def weigh(browser: Browser, url: str) -> int:
    """The bytes of the page itself, uncompressed: no attachments, no pictures to choose from."""
    answers: list[Response] = []
    async with await browser.new_context() as context:
        tab = await context.new_page()
        tab.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright marks it
        await tab.goto(url, wait_until="load")
        parts = [each for each in answers if "/attachments/" not in each.url and "/examples/" not in each.url]
        return sum([len(await each.body()) for each in parts if each.status == 200])


async def edits(discord: LocalDiscord, tab: Tab, count: int) -> tuple[list[float], list[float]]:
    """Seconds from the moment at which the local Discord accepts an edit until the page shows its text; its picture."""
    accepted: dict[str, float] = {}

    def note(message: Message) -> None:
        accepted.setdefault(message.content, 1000 * time.time())

    discord.on_message(note)
    headers, messages = (
        {"Authorization": f"Bot {discord.token}"},
        f"{discord.api_url}/channels/{discord.channel_id}/messages",
    )
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(messages, json={"content": "An edit follows."}) as answer:
            message = (await answer.json())["id"]
        await tab.get_by_text("An edit follows.").wait_for()
        await tab.evaluate(WATCH)
        for number in range(count):
            discord.clock.advance(1)  # clear of the rate limit
            form = aiohttp.FormData()
            content = f"edit {number} of {count}"
            form.add_field("payload_json", json.dumps({"content": content, "attachments": [{"id": 0}]}))
            form.add_field("files[0]", STYLE.read_bytes(), filename="preview.jpg")
            async with session.patch(f"{messages}/{message}", data=form) as answer:
                assert answer.status == 200, await answer.text()
            await tab.evaluate("count => shown(count)", number + 1)
    texts: dict[str, float] = await tab.evaluate("texts")
    pictures: list[float] = await tab.evaluate("Object.values(pictures)")
    at = [accepted[f"edit {number} of {count}"] for number in range(count)]
    return (
        [(texts[f"edit {number} of"] - at[number]) / 1000 for number in range(count)],
        [(shown - began) / 1000 for shown, began in zip(pictures, at, strict=True)],
    )


async def scrolling(discord: LocalDiscord, tab: Tab, count: int) -> list[float]:
    """Seconds between frames while the page scrolls through so many messages; every tenth has a picture."""
    speaker, picture = discord.member("Ada"), Upload("town.jpg", CONTENT.read_bytes(), "image/jpeg", 640, 480)
    for number in range(count):
        await speaker.say(
            f"Message {number}: **bold**, `code` and a few more words.", *([picture] if number % 10 == 0 else [])
        )
        if number % 100 == 99:
            await tab.get_by_text(f"Message {number}:").wait_for()
    found: list[float] = await tab.evaluate(SCROLL)
    return [milliseconds / 1000 for milliseconds in found]


async def measure(edit_count: int, message_count: int, page_count: int) -> Figures:
    """Start everything, and measure one after the other."""
    content, style = (Upload(path.name, path.read_bytes()) for path in (CONTENT, STYLE))
    with tempfile.TemporaryDirectory() as data:
        file, port = Path(data) / "lags.json", free_port()
        spans: dict[str, tuple[float, float]] = {}
        async with LocalDiscord() as discord, async_playwright() as playwright:
            actors = await furnish(discord)
            browser = await playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
            async with (
                Page(discord, actors, examples()) as page,
                bot_of(discord, Path(data), "tests.benchmarks.probe", str(file), HEALTH_PORT=str(port)),
            ):
                operators = f"http://127.0.0.1:{port}/"
                weights = {
                    "the local Discord": await weigh(browser, page.url),
                    "the operator's": await weigh(browser, operators),
                }
                async with await browser.new_context() as context:
                    tab = await context.new_page()
                    await tab.goto(page.url)
                    texts, pictures = await edits(discord, tab, edit_count)
                    frames = await scrolling(discord, tab, message_count)
                await job(discord, "instant", content, style)
                for name, url in (("the local Discord", page.url), ("the operator's", operators)):
                    # A browser has six connections to a host for each profile; a page of the operator's keeps one.
                    contexts = [await browser.new_context() for _ in range(page_count)]
                    for context in contexts:
                        await (await context.new_page()).goto(url)
                    began = time.time()
                    await job(discord, "quick", content, style)
                    spans[name] = began, time.time()
                    for context in contexts:
                        await context.close()
            await browser.close()
        lags = json.loads(file.read_text())["lags"]
    return Figures(
        weights,
        texts,
        pictures,
        frames,
        {name: [(lag, own) for at, lag, own in lags if began <= at <= ended] for name, (began, ended) in spans.items()},
    )


def main(
    edit_count: Annotated[int, typer.Option("--edits")] = 100,
    messages: int = 2000,
    pages: Annotated[int, typer.Option(help="Open at the same time, while the bot's lag is measured.")] = 10,
) -> None:
    """How late an edit is shown, how smoothly messages scroll, the pages' weight, and the lag of the bot."""
    figures = asyncio.run(measure(edit_count, messages, pages))
    table = Table("", "median", "99th percentile", "most")

    def row(name: str, values: Sequence[float]) -> None:
        table.add_row(
            name, *(f"{1000 * value:.1f} ms" for value in (median(values), percentile(values, 0.99), max(values)))
        )

    row("an edit is accepted until its text is shown", figures.texts)
    row("… until its picture is shown", figures.pictures)
    row(f"between frames while {messages} messages scroll", figures.frames)
    for name, lags in figures.lags.items():
        row(f"the bot's lag while it paints, with {pages} of {name} page open", [lag for lag, _ in lags])
        row("… of it the bot's own work", [own for _, own in lags])
    console = Console()
    console.print(described(), highlight=False, markup=False)
    console.print(table)
    for name, weight in figures.weights.items():
        console.print(f"{name} page weighs {weight / 1000:.0f} KB uncompressed")


if __name__ == "__main__":
    typer.run(main)
