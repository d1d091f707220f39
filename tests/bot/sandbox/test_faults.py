"""Faults: random ones, and those of one interaction, message, channel or member."""

from __future__ import annotations

from collections import Counter

import aiohttp
import discord
import pytest

from bot.sandbox import Faults, LocalDiscord, Permission
from tests.bot.sandbox.conftest import Caller, Probe, form

MESSAGES = "/channels/{channel_id}/messages"
EDITS = "/webhooks/{webhook_id}/{webhook_token}/messages/@original"
EPHEMERAL = 64


async def ask(call: Caller, times: int) -> list[int]:
    """The statuses of that many requests; 0 for a lost connection."""
    found: list[int] = []
    for _ in range(times):
        # The usual rate limit does not apply.
        call.local.clock.advance(1)
        try:
            # aiohttp itself would repeat DELETE and GET.
            reply = await call("POST", "/users/@me/channels", json={"recipient_id": str(call.local.member("Ann").id)})
        except aiohttp.ClientConnectionError:
            found.append(0)
        else:
            assert reply.status != 429 or reply.headers["Via"]
            assert reply.status != 429 or 0 < reply.json["retry_after"] <= 0.3
            found.append(reply.status)
    return found


async def test_each_fault_happens_to_its_share_of_requests(local: LocalDiscord, call: Caller) -> None:
    local.inject(
        Faults(
            seed=5,
            rate_limit=0.1,
            server_error=0.1,
            late_error=0.1,
            reset_before=0.1,
            reset_after=0.1,
            retry_after=0.3,
        )
    )
    statuses = Counter(await ask(call, 200))
    assert 80 <= statuses[200] <= 120
    assert statuses[429] == local.faults["rate_limit"]
    assert statuses[0] == local.faults["reset_before"] + local.faults["reset_after"]
    errors = statuses[500] + statuses[502] + statuses[503]
    assert errors == local.faults["server_error"] + local.faults["late_error"]
    assert min(statuses[status] for status in (500, 502, 503)) > 0
    assert all(5 <= local.faults[kind] <= 40 for kind in local.faults)
    assert len(local.faults) == 5
    assert local.faults == Counter(request.fault for request in local.requests if request.fault)
    local.inject(None)
    assert set(await ask(call, 50)) == {200}


async def test_the_same_seed_gives_the_same_faults(local: LocalDiscord, call: Caller) -> None:
    faults = Faults(seed=3, rate_limit=0.2, server_error=0.2, reset_before=0.2, reset_after=0.2)
    local.inject(faults)
    first = await ask(call, 30)
    local.inject(faults)
    assert await ask(call, 30) == first


@pytest.mark.parametrize("faults", [Faults(reset_after=1), Faults(late_error=1)])
async def test_a_response_can_be_lost_after_the_request_was_carried_out(
    local: LocalDiscord, call: Caller, faults: Faults
) -> None:
    path = f"/channels/{local.channel_id}/messages"
    body = {"content": "done", "nonce": "job", "enforce_nonce": True}
    local.inject(faults)
    try:
        assert (await call("POST", path, data=form(body, ("a.png", b"1")))).status >= 500
    except aiohttp.ClientConnectionError:
        assert faults.reset_after == 1
    [message] = local.channel_messages
    local.inject(None)
    # A second request with the same nonce returns the existing message.
    again = await call("POST", path, data=form(body, ("a.png", b"1")))
    assert again.json["id"] == str(message.id)
    assert local.channel_messages == [message]


@pytest.mark.parametrize("faults", [Faults(reset_before=1), Faults(server_error=1), Faults(rate_limit=1)])
async def test_a_fault_before_a_request_prevents_it(local: LocalDiscord, call: Caller, faults: Faults) -> None:
    local.inject(faults)
    try:
        reply = await call("POST", f"/channels/{local.channel_id}/messages", json={"content": "done"})
        assert reply.status >= 429
    except aiohttp.ClientConnectionError:
        assert local.requests[-1].status == 0
    assert local.channel_messages == []


async def test_a_lost_acknowledgement_still_counts(call: Caller) -> None:
    invocation = await call.begin()
    call.local.inject(Faults(reset_after=1))
    with pytest.raises(aiohttp.ClientConnectionError):
        await call.answer(invocation, 5)
    call.local.inject(None)
    assert (await call.answer(invocation, 5)).json["code"] == 40060
    assert (await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": "x"})).status == 200


async def test_discord_py_retries_after_rate_limits(local: LocalDiscord, bot: Probe) -> None:
    @bot.tree.command(description="Answer")
    async def ping(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        for number in range(4):
            await interaction.edit_original_response(content=str(number))

    await bot.tree.sync()
    local.inject(Faults(seed=1, rate_limit=0.4, retry_after=0.02))
    invocation = await local.member("Ann").invoke("ping")
    await invocation.wait_until(lambda message: message.content == "3")
    assert local.faults["rate_limit"] > 0
    assert [message.content for message in invocation.history] == ["", "0", "1", "2", "3"]


async def test_faults_apply_only_to_their_routes(local: LocalDiscord, call: Caller) -> None:
    path = f"/channels/{local.channel_id}/messages"
    local.inject(Faults(server_error=1, only=frozenset({MESSAGES}), spare=frozenset({f"GET {MESSAGES}"})))
    assert (await call("POST", path, json={"content": "x"})).status >= 500
    assert (await call("GET", path)).status == 200
    assert (await call("GET", "/users/@me")).status == 200


async def test_impossible_faults_are_refused(local: LocalDiscord) -> None:
    with pytest.raises(ValueError, match="shares"):
        Faults(rate_limit=0.6, server_error=0.6)
    with pytest.raises(ValueError, match="shares"):
        Faults(rate_limit=-0.1)
    with pytest.raises(ValueError, match="no route '/message'"):
        local.inject(Faults(only=frozenset({"/message"})))


async def test_tokens_expire_at_random(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    local.inject(Faults(expired_token=1))
    # It is not yet acknowledged, so its token can't expire.
    assert (await call.answer(invocation, 5)).status == 204
    reply = await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": "x"})
    assert (reply.status, reply.json["code"]) == (401, 50027)
    local.inject(None)
    reply = await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": "x"})
    assert reply.json["code"] == 50027
    assert local.faults == {"expired_token": 1}


async def test_messages_are_deleted_before_an_edit_at_random(local: LocalDiscord, call: Caller) -> None:
    invocation, hidden = await call.begin(), await call.begin("Bob")
    await call.answer(invocation, 4, {"content": "x"})
    await call.answer(hidden, 4, {"content": "x", "flags": EPHEMERAL})
    local.inject(Faults(deleted_message=1))
    reply = await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": "y"})
    assert (reply.status, reply.json["code"]) == (404, 10008)
    # A moderator can't delete an ephemeral message.
    assert (await call("PATCH", call.hook(hidden, "/messages/@original"), json={"content": "y"})).status == 200
    sent = await call("POST", f"/channels/{local.channel_id}/messages", json={"content": "z"})
    path = f"/channels/{local.channel_id}/messages/{sent.json['id']}"
    assert (await call("PATCH", path, json={"content": "y"})).json["code"] == 10008
    assert local.channel_messages == []
    assert local.faults == {"deleted_message": 2}


async def test_one_token_can_be_expired(local: LocalDiscord, call: Caller) -> None:
    mine, other = await call.begin(), await call.begin("Bob")
    await call.answer(mine, 4, {"content": "a"})
    await call.answer(other, 4, {"content": "b"})
    local.expire_token(mine)
    assert (await call("GET", call.hook(mine, "/messages/@original"))).json["code"] == 50027
    assert (await call("GET", call.hook(other, "/messages/@original"))).status == 200
    # The message is the bot's own, so its own token still changes it.
    assert mine.original is not None
    reply = await call("PATCH", f"/channels/{local.channel_id}/messages/{mine.original.id}", json={"content": "c"})
    assert reply.status == 200
    assert mine.original.content == "c"


async def test_a_moderator_deletes_a_message(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 4, {"content": "a"})
    assert invocation.original is not None
    message = invocation.original
    local.delete_message(message)
    assert (await call("GET", call.hook(invocation, "/messages/@original"))).json["code"] == 10008
    reply = await call("PATCH", f"/channels/{local.channel_id}/messages/{message.id}", json={"content": "b"})
    assert reply.json["code"] == 10008
    with pytest.raises(ValueError, match="nobody could delete"):
        local.delete_message(message)


@pytest.mark.parametrize(
    ("forbidden", "refused"),
    [
        (Permission.SEND_MESSAGES, dict.fromkeys(["POST", "file", "reply", "typing"], 50013)),
        (Permission.ATTACH_FILES, {"file": 50013, "PATCH file": 50013}),
        (Permission.READ_MESSAGE_HISTORY, {"reply": 160002, "GET one": 50001}),
        (
            Permission.VIEW_CHANNEL,
            dict.fromkeys(
                ["POST", "file", "reply", "PATCH", "PATCH file", "DELETE", "GET", "GET one", "typing", "channel"], 50001
            ),
        ),
    ],
)
async def test_missing_permissions_are_refused_with_discords_codes(
    local: LocalDiscord, call: Caller, forbidden: Permission, refused: dict[str, int]
) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 5)
    path = f"/channels/{local.channel_id}"
    sent = [(await call("POST", f"{path}/messages", json={"content": "x"})).json["id"] for _ in range(2)]
    local.forbid(forbidden)
    found: dict[str, int] = {}
    for name, method, rest, arguments in (
        ("POST", "POST", "/messages", {"json": {"content": "x"}}),
        ("file", "POST", "/messages", {"data": form({}, ("a.png", b"1"))}),
        ("reply", "POST", "/messages", {"json": {"content": "x", "message_reference": {"message_id": sent[0]}}}),
        ("PATCH", "PATCH", f"/messages/{sent[0]}", {"json": {"content": "y"}}),
        ("PATCH file", "PATCH", f"/messages/{sent[0]}", {"data": form({}, ("a.png", b"1"))}),
        ("GET", "GET", "/messages", {}),
        ("GET one", "GET", f"/messages/{sent[0]}", {}),
        ("DELETE", "DELETE", f"/messages/{sent[1]}", {}),
        ("typing", "POST", "/typing", {}),
        ("channel", "GET", "", {}),
    ):
        local.clock.advance(5)
        reply = await call(method, path + rest, **arguments)
        if reply.status >= 400:
            found[name] = reply.json["code"]
        if name == "GET" and forbidden is Permission.READ_MESSAGE_HISTORY:
            assert reply.json == []
    assert found == refused
    # The token of an interaction needs no permission.
    edited = await call("PATCH", call.hook(invocation, "/messages/@original"), data=form({}, ("a.png", b"1")))
    assert edited.status == 200
    local.permit(forbidden)
    local.clock.advance(5)
    assert (await call("GET", f"{path}/messages/{sent[0]}")).status == 200
    assert local.faults == {"missing_permissions": 1}


async def test_discord_py_receives_changes_of_its_permissions(local: LocalDiscord, bot: Probe) -> None:
    seen: list[bool] = []

    @bot.tree.command(description="Answer")
    async def ping(interaction: discord.Interaction) -> None:
        seen.append(interaction.app_permissions.send_messages)
        await interaction.response.send_message("pong")

    await bot.wait_until_ready()
    await bot.tree.sync()
    changed = bot.wait_for("guild_channel_update")
    local.forbid(Permission.SEND_MESSAGES | Permission.ATTACH_FILES)
    _, channel = await changed
    assert isinstance(channel, discord.TextChannel)
    assert not channel.permissions_for(channel.guild.me).send_messages
    with pytest.raises(discord.Forbidden) as caught:
        await channel.send("x")
    assert caught.value.code == 50013
    invocation = await local.member("Ann").invoke("ping")
    await invocation.wait_until(lambda message: message.content == "pong")
    changed = bot.wait_for("guild_channel_update")
    local.permit(Permission.SEND_MESSAGES)
    _, channel = await changed
    allowed = channel.permissions_for(channel.guild.me)
    assert (allowed.send_messages, allowed.attach_files) == (True, False)
    assert seen == [False]


async def test_permissions_can_only_be_removed_where_the_bot_has_some(local: LocalDiscord) -> None:
    for place in (local.direct(local.member("Ann")), local.add_guild(installed="user")):
        with pytest.raises(ValueError, match="the bot has no permissions in"):
            local.forbid(Permission.SEND_MESSAGES, place)


async def test_a_member_can_refuse_direct_messages(local: LocalDiscord, bot: Probe) -> None:
    ann = local.member("Ann")
    direct = await bot.create_dm(discord.Object(ann.id))
    first = await direct.send("still welcome")
    local.refuse_direct_messages(ann)
    with pytest.raises(discord.Forbidden) as caught:
        await direct.send("not any more")
    assert caught.value.code == 50007
    # An existing message can be changed.
    await first.edit(content="changed")
    local.refuse_direct_messages(ann, refuse=False)
    await direct.send("welcome again")
    assert [message.content for message in local.direct_messages(ann)] == ["changed", "welcome again"]


async def test_requested_failures_and_dropped_connections_are_counted(
    local: LocalDiscord, call: Caller, bot: Probe
) -> None:
    local.fail_next("/users/@me", 500)
    local.rate_limit_next("/users/@me", 0.01)
    assert [(await call("GET", "/users/@me")).status for _ in range(3)] == [500, 429, 200]
    await bot.wait_until_ready()
    resumed = bot.wait_for("resumed")
    await local.drop_gateway()
    await resumed
    assert local.faults == {"ordered": 2, "dropped_gateway": 1}
