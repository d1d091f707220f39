"""The server of the page: who gets an answer, what a page sees and does, and what is left when it closes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bot.sandbox import LocalDiscord
from bot.sandbox.page.contract import Actor, Example
from bot.sandbox.page.server import POLICY, Page
from tests.bot.sandbox.conftest import Caller
from tests.bot.sandbox.page.talk import Socket
from tests.waiting import eventually

EPHEMERAL = 64
PAINT = {
    "name": "paint",
    "description": "Paint",
    "options": [
        {"type": 11, "name": "photo", "description": "A photo", "required": True},
        {"type": 6, "name": "whose", "description": "A member"},
        {"type": 3, "name": "style", "description": "A style", "autocomplete": True},
    ],
}
FORM = {
    "custom_id": "form",
    "title": "More",
    "components": [
        {"type": 18, "label": "Name", "component": {"type": 4, "custom_id": "name", "style": 1}},
        {"type": 18, "label": "Picture", "component": {"type": 19, "custom_id": "picture"}},
    ],
}


@pytest.fixture
async def page(local: LocalDiscord) -> AsyncIterator[Page]:
    """The page of a local Discord with two members and an example picture."""
    actors = [Actor(local.member(name), "Member") for name in ("Ann", "Bob")]
    async with Page(local, actors, [Example("town.jpg", "Town", "content", b"town")]) as page:
        yield page


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """Keeps cookies, as a browser does."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


def origin_of(page: Page) -> str:
    """The address of the page without its key."""
    return page.url.partition("/?")[0]


async def opened(page: Page, browser: aiohttp.ClientSession) -> tuple[aiohttp.ClientWebSocketResponse, Any]:
    """The socket of an open page, and its welcome."""
    async with browser.get(page.url) as index:
        assert index.status == 200
    socket = await browser.ws_connect(f"{origin_of(page)}/live", origin=origin_of(page))
    return socket, await socket.receive_json()


async def test_only_the_page_with_the_key_gets_an_answer(page: Page, browser: aiohttp.ClientSession) -> None:
    origin = origin_of(page)
    elsewhere = {"Origin": "http://evil.example"}

    async def status(path: str, method: str = "GET", **headers: str) -> int:
        async with browser.request(method, origin + path, headers=headers, allow_redirects=False) as answer:
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            return answer.status

    for path in ("/", "/?key=wrong", "/?key=schlüssel", "/live", "/static/app.js", "/examples/town.jpg"):
        assert await status(path) == 403
    async with browser.get(page.url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
    for path in ("/", "/static/app.js", "/examples/town.jpg"):
        assert await status(path) == 200
        assert await status(path, **elsewhere) == 403
        assert await status(path, Host="evil.example") == 421
    assert await status("/static/../server.py") == 404
    assert await status("/uploads", "POST") == 403  # without an origin
    for wrong in (None, "http://evil.example"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await browser.ws_connect(f"{origin}/live", origin=wrong)
    assert page.open_pages == 0


async def test_a_member_types_a_command_with_files_and_fills_in_a_form(
    page: Page, browser: aiohttp.ClientSession, local: LocalDiscord, call: Caller
) -> None:
    await call.register(PAINT, {"name": "Frame", "type": 3})
    socket, welcome = await opened(page, browser)
    ann, channel = Socket(socket), str(local.channel_id)
    offered = await ann.ask("commands", channel=channel)
    assert [(each["name"], each["type"]) for each in offered["commands"]] == [("paint", 1), ("Frame", 3)]

    suggesting = asyncio.create_task(
        ann.ask("autocomplete", channel=channel, command="paint", option="style", text="i")
    )
    await eventually(lambda: len(local.invocations) == 1)
    await call.answer(local.invocations[0], 8, {"choices": [{"name": "Ink", "value": "ink"}]})
    assert (await suggesting)["choices"] == [{"name": "Ink", "value": "ink"}]

    address = f"{origin_of(page)}/uploads?live={welcome['live']}&filename=%3Cb%3Emy photo.png&width=8&height=6"
    async with browser.post(address, data=b"pixels", headers={"Origin": origin_of(page)}) as answer:
        upload = await answer.json()
    options = {"photo": upload | {"spoiler": True}, "whose": welcome["members"][1]["id"], "style": "ink"}
    invoking = asyncio.create_task(ann.ask("invoke", channel=channel, command="paint", options=options))
    await eventually(lambda: len(local.invocations) == 2)
    command = local.invocations[1]
    await call.answer(command, 9, FORM)
    answered = await invoking
    assert (answered["failed"], answered["modal"]["title"]) == (None, "More")
    assert command.command == "paint"

    fields = {"name": "Town", "picture": [{"example": "town.jpg"}]}
    submitting = asyncio.create_task(ann.ask("submit", interaction=answered["interaction"], fields=fields))
    await eventually(lambda: len(local.invocations) == 3)
    await call.answer(local.invocations[2], 4, {"content": "Painted"})
    assert (await submitting)["failed"] is None
    told = ann.events[-1]["message"]
    assert (told["content"], told["command"], told["pings"]) == ("Painted", None, [])

    missing = await ann.ask("invoke", channel=channel, command="paint", options={})
    assert (missing["type"], missing["reason"]) == ("refused", "/paint needs ['photo']")
    gone = await ann.ask("invoke", channel=channel, command="paint", options={"photo": {"upload": "gone"}})
    assert "attach it again" in gone["reason"]
    for malformed in ({"channel": "x"}, {}, {"channel": channel, "command": "paint", "options": [1]}):
        assert (await ann.ask("invoke", **malformed))["type"] == "refused"
    assert (await ann.ask("nothing"))["reason"] == "There is no action 'nothing'."


async def test_a_page_shows_what_its_member_sees(
    page: Page, browser: aiohttp.ClientSession, local: LocalDiscord, call: Caller
) -> None:
    ann, bob = [Socket((await opened(page, browser))[0]) for _ in range(2)]
    members = [str(local.member(name).id) for name in ("Ann", "Bob")]
    channel = str(local.channel_id)
    await bob.ask("act_as", member=members[1])
    await call.answer(await call.begin("Ann"), 4, {"content": "<script>", "flags": EPHEMERAL})
    said = await bob.ask("say", channel=channel, content="Hello", files=[])
    await ann.ask("commands", channel=channel)
    assert [event["message"]["content"] for event in ann.events if event["type"] == "message"] == ["<script>", "Hello"]
    assert [event["message"]["content"] for event in bob.events if event["type"] == "message"] == ["Hello"]
    assert (await bob.ask("delete", message=said["message"]))["type"] == "done"
    (mine,) = (await ann.ask("open", channel=channel))["messages"]
    assert (await bob.ask("open", channel=channel))["messages"] == []
    assert (await bob.ask("dismiss", message=mine["id"]))["type"] == "refused"
    assert (await ann.ask("dismiss", message=mine["id"]))["type"] == "done"
    assert (await ann.ask("open", channel=channel))["messages"] == []
    direct = local.direct(local.member("Ann"))
    assert (await bob.ask("open", channel=str(direct.channel_id)))["reason"] == "You don't see this channel."
    for number in range(60):
        await ann.ask("say", channel=str(direct.channel_id), content=str(number))
    newest = await ann.ask("open", channel=str(direct.channel_id))
    assert ([each["content"] for each in newest["messages"]], newest["more"]) == ([str(n) for n in range(10, 60)], True)
    older = await ann.ask("open", channel=str(direct.channel_id), before=newest["messages"][0]["id"])
    assert ([each["content"] for each in older["messages"]], older["more"]) == ([str(n) for n in range(10)], False)


async def test_a_page_shows_new_servers_and_threads_at_once(
    page: Page, browser: aiohttp.ClientSession, local: LocalDiscord
) -> None:
    ann = Socket((await opened(page, browser))[0])
    local.add_guild("Second server")
    thread = local.add_thread("Lake")
    local.archive_thread(thread)
    channel = str(thread.channel_id)
    await ann.ask("open", channel=channel)
    (places,) = [event for event in ann.events if event["type"] == "places"]
    assert [guild["name"] for guild in places["guilds"]] == ["Local Discord", "Second server"]
    assert [each["archived"] for each in places["channels"] if each["id"] == channel] == [True]
    await ann.ask("say", channel=channel, content="Hello")
    await ann.ask("open", channel=channel)
    places = [event for event in ann.events if event["type"] == "places"][-1]
    assert [each["archived"] for each in places["channels"] if each["id"] == channel] == [False]


async def test_files_of_members_never_run_as_pages(
    page: Page, browser: aiohttp.ClientSession, local: LocalDiscord
) -> None:
    socket, welcome = await opened(page, browser)
    ann, origin, shown = Socket(socket), origin_of(page), []
    for name in ("script.html", "picture.png"):
        address = f"{origin}/uploads?live={welcome['live']}&filename={name}"
        async with browser.post(address, data=b"<script>alert(1)</script>", headers={"Origin": origin}) as answer:
            shown.append(await answer.json())
    await ann.ask("say", channel=str(local.channel_id), content="", files=shown)
    dispositions = []
    for attachment in ann.events[-1]["message"]["attachments"]:
        async with browser.get(attachment["url"].replace(local.cdn_url, f"{origin}/attachments")) as answer:
            assert answer.status == 200
            assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            dispositions.append(answer.headers.get("Content-Disposition"))
    assert dispositions == ["attachment", None]
    local.attachment_size_limit = 10
    address = f"{origin}/uploads?live={welcome['live']}&filename=large.png"
    async with browser.post(address, data=b"12345678901", headers={"Origin": origin}) as answer:
        assert answer.status == 413
        assert "large.png is too large" in (await answer.json())["reason"]


async def test_a_closed_page_leaves_nothing_running(
    page: Page, browser: aiohttp.ClientSession, local: LocalDiscord, call: Caller
) -> None:
    await call.register({"name": "ping", "description": "Answer"})
    before = asyncio.all_tasks()
    socket, _ = await opened(page, browser)
    invoke = {"type": "invoke", "id": 1, "channel": str(local.channel_id), "command": "ping"}
    await socket.send_json(invoke)
    await eventually(lambda: len(local.invocations) == 1)
    assert page.open_pages == 1
    await socket.close()
    await eventually(lambda: page.open_pages == 0)
    await eventually(lambda: not [task for task in asyncio.all_tasks() - before if "page/" in repr(task)])
