"""The operator's page, as an operator uses it."""

import re

import pytest
from playwright.async_api import BrowserContext

from tests.bot.conftest import CONTENT, STYLE, is_final
from tests.bot.pages.conftest import OPERATOR_TOKEN, Room
from tests.browser import findings, keep, scrolls_sideways

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_operator_watches_a_painting_pauses_the_bot_and_cancels(room: Room, context: BrowserContext) -> None:
    tab = await context.new_page()
    await tab.goto(f"http://127.0.0.1:{room.sandbox.settings.health_port}/")
    await tab.get_by_role("status").filter(has_text="Live").wait_for()
    assert not await tab.get_by_role("button", name="Pause").is_visible()
    await tab.get_by_label("Operators' token").fill(OPERATOR_TOKEN)
    await tab.get_by_role("button", name="Use token").click()

    running = tab.get_by_role("region", name="Being painted").get_by_role("listitem")
    await room.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, quality="fine")
    await running.get_by_role("img").wait_for()
    step = running.get_by_text(re.compile(r"Step \d+ of \d+"))
    before = await step.inner_text()
    await step.filter(has_not_text=before).wait_for()
    await keep(tab, "operator")

    await tab.get_by_role("button", name="Pause").click()
    await tab.get_by_text("Paused: no painting begins", exact=True).wait_for()
    waiting = await room.member("Grace").invoke("stylize", content=CONTENT, style=STYLE, quality="instant")
    queue = tab.get_by_role("region", name="Queue").get_by_role("listitem")
    await queue.filter(has_text="waits for").wait_for()
    found = await findings(tab)
    await tab.emulate_media(color_scheme="dark")
    assert found + await findings(tab, "color-contrast") == []

    await running.get_by_role("button", name="Cancel job").click()
    await tab.get_by_role("dialog").get_by_role("button", name="Cancel the job").click()
    ended = tab.get_by_role("region", name="Last results").get_by_role("listitem")
    await ended.filter(has_text="Cancelled").wait_for()
    await running.wait_for(state="detached")
    await tab.get_by_role("button", name="Resume").click()
    await waiting.wait_until(is_final)
    await ended.filter(has_text="Delivered").get_by_role("img").wait_for()
    gateway = tab.get_by_role("listitem").filter(has_text="gateway")
    await gateway.get_by_text("Well", exact=True).wait_for()
    await tab.set_viewport_size({"width": 360, "height": 740})
    assert not await scrolls_sideways(tab)
    await keep(tab, "operator-phone")
    await tab.get_by_role("button", name="Forget token").click()
    await tab.get_by_role("button", name="Pause").wait_for(state="hidden")
