"""What the panel beside the chat is told, over its socket."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import pytest

from bot.sandbox import LocalDiscord
from bot.sandbox.page.contract import Actor
from bot.sandbox.page.server import Page
from bot.sandbox.page.trouble import SMALL_LIMIT, Trouble
from tests.bot.sandbox.conftest import Caller, Probe, form
from tests.bot.sandbox.page.talk import Socket


@pytest.fixture
async def socket(local: LocalDiscord, call: Caller) -> AsyncIterator[Socket]:
    """An open page of the local Discord."""
    jar = aiohttp.CookieJar(unsafe=True)  # that keeps cookies of an address
    actors = [Actor(local.member("Ann"), "Member")]
    async with Page(local, actors) as page, aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(page.url) as index:
            assert index.status == 200
            origin = str(index.url.origin())
        async with session.ws_connect(f"{origin}/live", origin=origin) as socket:
            yield Socket(socket)


async def test_shows_each_request_and_event_without_secrets(
    socket: Socket, call: Caller, connected: Callable[..., AbstractAsyncContextManager[Probe]]
) -> None:
    local = call.local
    assert (await socket.ask("watch", on=True))["entries"] == []
    async with connected() as probe:
        await probe.wait_until_ready()
        session_id = probe.ws.session_id
        invocation = await call.begin()
        await call.answer(invocation, 4, {"content": f"my token is {local.token}"})
        await call("POST", call.hook(invocation), data=form({"content": "a file"}, ("town.png", b"picture")))
        await call("GET", "/nowhere")
    seen = await socket.ask("watch", on=True)
    told = [event["entry"] for event in socket.events if event["type"] == "traffic"]
    entries = seen["entries"]
    assert told == entries[: len(told)]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    shown = {entry["title"]: entry for entry in entries}
    assert shown["IDENTIFY"]["kind"] == "sent"
    assert shown["INTERACTION_CREATE"]["kind"] == "event"
    assert shown[f"POST /interactions/{invocation.id}/…/callback"]["status"] == 204
    assert shown[f"POST /webhooks/{local.application_id}/…"]["files"] == 1
    assert shown["GET /nowhere"]["status"] == 501
    bodies = {each["title"]: await socket.ask("bodies", number=each["number"]) for each in entries}
    assert bodies["INTERACTION_CREATE"]["body"]["data"]["name"] == "ping"
    assert bodies["INTERACTION_CREATE"]["body"]["token"] == "…"
    assert bodies[f"POST /webhooks/{local.application_id}/…"]["answer"]["attachments"][0]["filename"] == "town.png"
    text = json.dumps([entries, bodies], ensure_ascii=False)
    assert "my token is …" in text
    assert "hm=…" in text
    for secret in (local.token, invocation.token, session_id):
        assert secret
        assert secret not in text
    assert (await socket.ask("bodies", number=len(entries) + 99))["type"] == "refused"


async def test_switches_make_trouble_until_they_are_turned_off(socket: Socket, call: Caller) -> None:
    local = call.local

    async def statuses(times: int = 25) -> Counter[int]:
        found: Counter[int] = Counter()
        for _ in range(times):
            local.clock.advance(1)  # clear of the usual rate limit
            found[(await call("GET", "/users/@me")).status] += 1
        return found

    for trouble in (Trouble.RATE_LIMITS, Trouble.SERVER_ERRORS, Trouble.SMALL_UPLOADS, Trouble.NO_GALLERIES):
        assert (await socket.ask("trouble", name=trouble, on=True))["type"] == "done"
    assert socket.events[-1]["file_limit"] == SMALL_LIMIT == local.attachment_size_limit
    assert _refuses_galleries(local)
    met = await statuses()
    assert met[429]
    assert met[500] + met[502] + met[503]
    assert met[200]
    for trouble in Trouble:
        await socket.ask("trouble", name=trouble, on=False)
    assert await statuses() == {200: 25}
    assert not _refuses_galleries(local)
    assert local.attachment_size_limit > SMALL_LIMIT
    assert (await socket.ask("trouble", name="no such trouble", on=True))["type"] == "refused"


def _refuses_galleries(local: LocalDiscord) -> bool:
    # mypy takes the attribute for unchanged.
    return local.refuses_gallery_edits
