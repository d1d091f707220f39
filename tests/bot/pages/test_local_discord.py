"""The page of the local Discord, as members, a moderator and a developer use it."""

import asyncio
import re

import pytest
from playwright.async_api import BrowserContext, Locator
from playwright.async_api import Page as Tab

from bot.demo.start import drawn
from bot.sandbox import Upload
from tests.bot.conftest import CONTENT, STYLE, is_final, is_private_answer
from tests.bot.pages.conftest import Room
from tests.browser import findings, keep, scrolls_sideways
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

PREVIEW = re.compile(r"/(\d+)/preview\.jpg")
"""The id of the attachment in the address of a preview."""
SCRIPT = "<img src=x onerror=alert(1)>"


async def test_a_new_member_gets_a_painting_and_another_with_more_style(room: Room, context: BrowserContext) -> None:
    tab = await room.open(context)
    await use(tab, "stylize")
    await attach(tab, "content: ", "content.jpg")
    await add_option(tab, "style")
    await attach(tab, "style: ", "style.jpg")
    await add_option(tab, "quality", "fine")  # thousands of steps
    await tab.get_by_role("button", name="Send").click()
    preview = tab.locator('img[src*="/preview.jpg"]')
    assert await width(preview)
    shown_first = PREVIEW.findall(await preview.get_attribute("src") or "")[0]
    assert await width(tab.locator(f'img[src*="/preview.jpg"]:not([src*="/{shown_first}/"])'))
    await keep(tab, "local-discord-preview")
    await tab.get_by_role("button", name="Good enough").click()
    first = tab.locator('img[src*="/painting-"]')
    assert await width(first) == 160
    await tab.get_by_role("button", name="More style").click()
    await tab.get_by_text(re.compile("^Painting ")).wait_for()
    await tab.get_by_role("button", name="Good enough").click()
    paintings = tab.get_by_role("button", name="content, painted in the style of style: open at full size")
    second = tab.locator('img[src*="/painting-"]').nth(1)
    await second.wait_for()
    await tab.get_by_text("strength 75").wait_for()
    await paintings.nth(1).click()
    viewer = tab.get_by_role("dialog", name="Picture at full size")
    shown = viewer.get_by_role("img", name="content, painted in the style of style")
    assert await shown.evaluate("image => image.src") == await second.evaluate("image => image.src")
    assert await width(shown) == 160
    await keep(tab, "local-discord-full-size")
    await tab.keyboard.press("Escape")
    await viewer.wait_for(state="hidden")


async def test_a_moderator_changes_settings_and_deletes_anothers_picture(room: Room, context: BrowserContext) -> None:
    await painted(room)
    tab = await room.open(context)
    await act_as(tab, "Grace")
    await use(tab, "settings")
    await tab.get_by_label("Add an option to /settings").press("Enter")
    limit = tab.locator('[data-custom-id="settings:max_open"]')
    await limit.click()
    await tab.get_by_role("option", name="2", exact=True).click()
    await tab.locator('[data-custom-id="settings:max_open"][aria-label$=": 2"]').wait_for()
    await keep(tab, "local-discord-settings")
    picture = tab.locator('img[src*="/painting-"]')
    await picture.wait_for()
    await tab.get_by_role("button", name="Delete", exact=True).click()
    await picture.wait_for(state="detached")
    room.discord.add_thread("A new thread", place=room.place)
    await tab.get_by_role("navigation", name="Channels").get_by_role("button", name="A new thread").wait_for()
    assert [message for message in room.discord.messages(room.place) if message.attachments] == []


async def test_a_reload_in_the_middle_of_a_job_loses_nothing(room: Room, context: BrowserContext) -> None:
    tab = await room.open(context)
    await room.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, quality="fine")
    await tab.locator('img[src*="/preview.jpg"]').wait_for()
    await tab.reload()
    painting = tab.get_by_text(re.compile(r"^Painting .* step \d+ of 5,?000"))
    await painting.wait_for()
    before = await painting.inner_text()
    await tab.get_by_text(re.compile(r"^Painting .* step \d+ of 5,?000")).filter(has_not_text=before).wait_for()
    await eventually(lambda: room.sandbox.page.open_pages == 1)
    await tab.get_by_role("button", name="Cancel", exact=True).click()
    await tab.get_by_text("Cancelled").first.wait_for()


async def test_everything_can_be_done_with_the_keyboard(room: Room, context: BrowserContext) -> None:
    tab = await room.open(context)
    keys = tab.keyboard
    await keys.press("Tab")
    await keys.press("Enter")  # skip to the message box
    await keys.type("/stylize")
    await tab.get_by_role("option", name="/stylize").wait_for()
    await keys.press("Enter")
    await example(tab, "Lake town")
    await keys.type("style")
    await tab.get_by_role("option", name="style", exact=False).first.wait_for()
    await keys.press("Enter")
    await example(tab, "Impasto strokes")
    await keys.type("quality:")
    await keys.type("inst")
    await keys.press("Enter")
    await keys.press("Enter")
    await tab.locator('img[src*="/painting-"]').wait_for()
    for _ in range(30):  # back from the message box
        await keys.press("Shift+Tab")
        if await tab.get_by_role("log").evaluate("log => log === document.activeElement"):
            break
    await keys.press("ArrowUp")
    await keys.press("Tab")
    await keys.press("Enter")
    viewer = tab.get_by_role("dialog", name="Picture at full size")
    await viewer.wait_for()
    await keys.press("Escape")
    await viewer.wait_for(state="hidden")
    await keys.press("Tab")
    focused = tab.locator(":focus")
    assert await focused.inner_text() == "Finish it"
    await keys.press("Tab")
    assert await focused.inner_text() == "More style"


async def test_a_phone_shows_everything_without_scrolling_sideways(room: Room, context: BrowserContext) -> None:
    await painted(room)
    tab = await room.open(context)
    await tab.set_viewport_size({"width": 360, "height": 740})
    await tab.locator('img[src*="/painting-"]').wait_for()
    assert not await scrolls_sideways(tab)
    await keep(tab, "local-discord-phone")
    await use(tab, "stylize")
    await add_option(tab, "style")
    assert not await scrolls_sideways(tab)
    await tab.get_by_role("button", name="Cancel the command").click()
    await tab.get_by_role("button", name="What Discord saw").click()
    await tab.get_by_role("switch", name="Slow answers").wait_for()
    assert not await scrolls_sideways(tab)
    await tab.get_by_role("button", name="Close the panel").click()
    await tab.get_by_role("button", name="Servers and channels").click()
    await tab.get_by_role("button", name="studio", exact=True).click()
    await tab.get_by_role("heading", name="studio", exact=True).first.wait_for()
    assert not await scrolls_sideways(tab)


async def test_axe_finds_nothing_serious(room: Room, context: BrowserContext) -> None:
    await painted(room)
    tab = await room.open(context)

    async def check() -> None:
        await tab.emulate_media(color_scheme="light")
        found = await findings(tab)
        await tab.emulate_media(color_scheme="dark")
        found += await findings(tab, "color-contrast")
        assert not found, "\n".join(found)

    await tab.get_by_role("button", name="What Discord saw").click()
    await tab.get_by_text("INTERACTION_CREATE").last.click()
    await tab.locator("pre").first.wait_for()
    await check()
    await keep(tab, "local-discord-panel")
    await use(tab, "stylize")
    await add_option(tab, "style")
    await tab.get_by_label("Add an option").focus()
    await tab.get_by_role("option").first.wait_for()
    await check()
    await tab.get_by_role("button", name="Cancel the command").click()
    await tab.get_by_role("button", name="Tweak …").click()
    await tab.get_by_role("dialog").wait_for()
    await check()
    await keep(tab, "local-discord-form")


async def test_script_is_shown_as_text_and_never_run(room: Room, context: BrowserContext) -> None:
    """The browser fails the test for each dialog, error and violation of the content security policy."""
    mallory, ada = room.member(SCRIPT), room.member("Ada")
    role = room.discord.add_role(SCRIPT, mallory)
    evil = f"{SCRIPT} <script>alert(2)</script> [link](javascript:alert(3)) <@&{role}> <@{mallory.id}>"
    await mallory.say(evil, Upload(f"{SCRIPT}.png", CONTENT.data, "image/png"))
    await mallory.say("as text/html", Upload("page.html", f"<script>alert(4)</script>{SCRIPT}".encode(), "text/html"))
    await (await ada.invoke("style add", name=SCRIPT, picture=STYLE)).wait_until(is_private_answer)
    typing = await ada.autocomplete("stylize", "saved_style", SCRIPT)
    await typing.acknowledged()
    (style,) = typing.choices
    ordered = await ada.invoke("stylize", content=CONTENT, saved_style=style["value"], quality="instant")
    await ordered.wait_until(is_final)
    tab = await room.open(context)
    await tab.get_by_text(f"{SCRIPT} <script>alert(2)</script>").wait_for()
    await tab.get_by_text(f"@{SCRIPT}").wait_for()
    await tab.get_by_role("link", name="page.html").first.wait_for()
    await tab.get_by_role("img", name=f"town, painted in the style of {SCRIPT}").wait_for()
    await use(tab, "stylize")
    async with tab.expect_file_chooser() as choosing:
        await tab.get_by_role("button", name="Choose a file").click()
    await (await choosing.value).set_files({"name": f"{SCRIPT}.png", "mimeType": "image/png", "buffer": CONTENT.data})
    await tab.get_by_role("button", name=f"Remove {SCRIPT}.png").wait_for()
    await add_option(tab, "saved_style", SCRIPT)
    await tab.get_by_role("option", name=SCRIPT).wait_for()
    await tab.get_by_role("button", name="What Discord saw").click()
    await tab.get_by_text("PATCH /webhooks/").last.click()
    await tab.locator("pre", has_text=f"in the style of {SCRIPT}").first.wait_for()
    assert await tab.locator("a[href^=javascript], img[onerror], img[src=x], body script").count() == 0


async def test_a_closed_page_leaves_nothing_running(room: Room, context: BrowserContext) -> None:
    tabs = [await room.open(context) for _ in range(2)]
    for tab in tabs:
        await tab.get_by_role("button", name="What Discord saw").click()
        await use(tab, "stylize")
    page = room.sandbox.page
    await eventually(lambda: page.open_pages == 2)  # those of other tests are closed, too
    assert of_pages()
    for tab in tabs:
        await tab.close()
    await eventually(lambda: page.open_pages == 0)
    await eventually(lambda: not of_pages())


async def test_the_bot_handles_faults_that_the_panel_simulates(room: Room, context: BrowserContext) -> None:
    tab = await room.open(context)
    await tab.get_by_role("button", name="What Discord saw").click()
    await turn(tab, "Galleries refused", on=True)
    await use(tab, "style list")
    await tab.get_by_label("Add an option to /style list").press("Enter")
    requests = tab.get_by_role("list", name="Requests and events").get_by_role("listitem")
    await requests.filter(has_text="PATCH").filter(has_text="400").first.wait_for()
    await tab.get_by_role("button", name=": open at full size").first.wait_for()
    await turn(tab, "Galleries refused", on=False)

    await turn(tab, "Lost gateway", on=True)
    await eventually(lambda: room.discord.bots == 0)
    await turn(tab, "Lost gateway", on=False)
    await requests.filter(has_text="RESUMED").last.wait_for()

    await turn(tab, "Dead reply tokens", on=True)
    await turn(tab, "Small uploads", on=True)
    assert room.discord.attachment_size_limit == 256 * 1024
    ordered = await room.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, quality="quick")
    await requests.filter(has_text="expired token").first.wait_for()
    await requests.filter(has_text="PATCH /channels/").first.wait_for()  # by the bot's own token
    await ordered.wait_until(is_final)
    await tab.locator('img[src*="/painting-"]').wait_for()
    await keep(tab, "local-discord-trouble")
    for name in ("Dead reply tokens", "Small uploads"):
        await turn(tab, name, on=False)
    assert room.discord.attachment_size_limit == 10 * 1024 * 1024


async def use(tab: Tab, command: str) -> None:
    """Start a command: type its name, and choose it from the list."""
    await tab.get_by_role("textbox", name="Message ").fill(f"/{command}")
    await tab.get_by_role("option", name=f"/{command} ").first.click()
    await tab.get_by_role("group", name=f"Command {command}").wait_for()


async def attach(tab: Tab, option: str, name: str) -> None:
    """Choose a picture of the demo for an option."""
    async with tab.expect_file_chooser() as choosing:
        await tab.get_by_role("group", name=option).get_by_role("button", name="Choose a file").click()
    await (await choosing.value).set_files(drawn(name))
    await tab.get_by_role("button", name=f"Remove {name}").wait_for()


async def add_option(tab: Tab, name: str, value: str = "") -> None:
    """Add an option to the command, with a value if there is one."""
    await tab.get_by_label("Add an option").fill(f"{name}")
    await tab.get_by_label("Add an option").press(":")
    if value:
        await tab.get_by_role("combobox", name=f"{name}: ").fill(value)


async def example(tab: Tab, title: str) -> None:
    """Choose an example picture for the option that has the focus, with the keyboard."""
    await tab.get_by_role("button", name="Choose a file").last.wait_for()
    await tab.keyboard.press("Tab")
    await tab.keyboard.press("Enter")
    await tab.get_by_role("menuitem", name=title).wait_for()
    await tab.keyboard.press("Enter")  # the first of the list
    await tab.get_by_role("button", name="Remove ").last.wait_for()


async def act_as(tab: Tab, name: str) -> None:
    """Become another member."""
    await tab.get_by_role("button", name="Act as somebody else").click()
    await tab.get_by_role("menuitem", name=name).click()
    await tab.get_by_role("button", name=f"You are {name}").wait_for()


async def turn(tab: Tab, name: str, *, on: bool) -> None:
    """Turn the switch of a fault on or off, and wait until it is."""
    switch = tab.get_by_role("switch", name=name)
    await switch.set_checked(on)
    await switch.and_(tab.locator(":not([aria-busy])")).wait_for()
    assert await switch.is_checked() == on


async def painted(room: Room) -> None:
    """Have Ada order an instant picture, and wait for it."""
    ordered = await room.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, quality="instant")
    await ordered.wait_until(is_final)


async def width(picture: Locator) -> int:
    """The width of the file of a picture in pixels, when it is loaded."""
    await picture.wait_for()
    found = 0

    async def loaded() -> bool:
        nonlocal found
        found = await picture.evaluate("image => image.naturalWidth")
        return bool(found)

    await eventually(loaded, "a picture that is loaded")
    return found


def of_pages() -> list[str]:
    """The tasks that serve pages."""
    return [repr(task) for task in asyncio.all_tasks() if "bot/sandbox/page/" in repr(task)]
