"""The archive of the local Discord."""

from __future__ import annotations

from bot.sandbox import LocalDiscord, Upload
from tests.bot.sandbox.conftest import Caller, form

EPHEMERAL = 64


async def test_the_archive_has_every_message(local: LocalDiscord, call: Caller) -> None:
    ann = local.member("Ann")
    said = await ann.say("hello", Upload("a.png", b"1"))
    invocation, hidden = await call.begin(), await call.begin("Bob")
    await call.answer(invocation, 5)
    original = call.hook(invocation, "/messages/@original")
    await call("PATCH", original, json={"content": "a preview"})
    await call("PATCH", original, data=form({"content": "done"}, ("b.png", b"2")))
    await call("DELETE", original)
    await call.answer(hidden, 4, {"content": "for Bob", "flags": EPHEMERAL})
    channel = f"/channels/{local.channel_id}/messages"
    body = {"content": "again", "nonce": "job-1", "enforce_nonce": True, "message_reference": {"message_id": said.id}}
    for _ in range(2):
        await call("POST", channel, json=body)
    direct = local.direct(ann)
    await call("POST", f"/channels/{direct.channel_id}/messages", json={"content": "for Ann", "nonce": 7})
    abroad = local.add_guild(installed="user")
    away = await ann.at(abroad).invoke("ping")
    await call.answer(away, 4, {"content": "away"})

    found = [
        (kept.message.content, kept.by_bot, kept.deleted, kept.edits, kept.nonce, kept.invoked_by, kept.seen_by)
        for kept in local.archive()
    ]
    assert found == [
        ("hello", False, False, 0, None, None, ()),
        ("done", True, True, 2, None, "Ann", ()),
        ("for Bob", True, False, 0, None, "Bob", ("Bob",)),
        ("again", True, False, 0, "job-1", None, ()),
        ("for Ann", True, False, 0, 7, None, ("Ann",)),
        ("away", True, False, 0, None, "Ann", ()),
    ]
    kept = local.archive()
    assert [one.interaction for one in kept] == [None, invocation.id, hidden.id, None, None, away.id]
    assert [one.replies_to for one in kept] == [None, None, None, said.id, None, None]
    assert kept[1].message.attachments[0].data == b"2"
    assert kept[4].message.channel_id == direct.channel_id
    assert local.invocations == [invocation, hidden, away]
