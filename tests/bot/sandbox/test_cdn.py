"""Files: their links, which are signed and expire."""

from __future__ import annotations

import pytest

from bot.sandbox import LocalDiscord, Upload
from bot.sandbox.cdn import clean_filename
from tests.bot.sandbox.conftest import Caller, form


async def fetch(call: Caller, url: str) -> tuple[int, bytes, str]:
    """The status, bytes and content type of the response."""
    async with call.session.get(url) as response:
        return response.status, await response.read(), response.headers["Content-Type"]


async def test_a_link_serves_its_file(local: LocalDiscord, call: Caller) -> None:
    said = await local.member("Ann").say("", Upload("a b.png", b"\x00\x01"), Upload("c", b"3"))
    first, second = said.attachments
    assert first.url.startswith(f"{local.cdn_url}/{local.channel_id}/{first.id}/a_b.png?ex=")
    assert await fetch(call, first.url) == (200, b"\x00\x01", "image/png")
    assert await fetch(call, second.url) == (200, b"3", "application/octet-stream")
    assert second.content_type is None


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("hm=", "hm=0", 403),
        ("ex=", "ex=f", 403),
        ("&hm", "&other", 403),
        ("hm=", "hm=ü", 403),
        ("a.png", "b.png", 404),
        ("/attachments/", "/attachments/1", 404),
    ],
)
async def test_a_changed_link_is_refused(local: LocalDiscord, call: Caller, old: str, new: str, status: int) -> None:
    [file] = (await local.member("Ann").say("", Upload("a.png", b"1"))).attachments
    assert old in file.url
    assert (await fetch(call, file.url.replace(old, new)))[0] == status


async def test_a_link_expires_after_a_day(local: LocalDiscord, call: Caller) -> None:
    [file] = (await local.member("Ann").say("", Upload("a.png", b"1"))).attachments
    local.clock.advance(23 * 3600)
    assert (await fetch(call, file.url))[0] == 200
    local.clock.advance(3601)
    assert (await fetch(call, file.url))[0] == 404
    # The message has a fresh link.
    assert (await fetch(call, local.channel_messages[0].attachments[0].url))[0] == 200


async def test_the_file_of_a_removed_attachment_is_gone(call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 5)
    path = call.hook(invocation, "/messages/@original")
    await call("PATCH", path, data=form({}, ("preview.png", b"1")))
    [preview] = invocation.history[-1].attachments
    await call("PATCH", path, data=form({"attachments": [{"id": 0}]}, ("final.png", b"2")))
    [final] = invocation.history[-1].attachments
    assert (await fetch(call, preview.url))[0] == 404
    assert (await fetch(call, final.url))[0] == 200
    await call("DELETE", path)
    assert (await fetch(call, final.url))[0] == 404
    assert preview.data == b"1"


@pytest.mark.parametrize(("given", "kept"), [("a b.png", "a_b.png"), ("a/../b:c.png", "a..bc.png"), ("?", "unknown")])
def test_file_names_are_cleaned(given: str, kept: str) -> None:
    assert clean_filename(given) == kept
