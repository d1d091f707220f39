"""Where the application is installed: in servers, by members, in direct messages, and in several servers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.sandbox import InvocationRefused, LocalDiscord, Permission, Place, Upload
from tests.bot.sandbox.conftest import Caller, Probe

BUTTON = {"type": 1, "components": [{"type": 2, "style": 1, "label": "More", "custom_id": "more"}]}
Seen = list[tuple[Any, ...]]


@pytest.fixture
async def seen(bot: Probe) -> Seen:
    """The contexts that the command `/where` receives. It is offered everywhere."""
    found: Seen = []

    @bot.tree.command(description="Where am I?")
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def where(interaction: discord.Interaction, photo: discord.Attachment | None = None) -> None:
        context = interaction.context
        places = [name for name in ("guild", "dm_channel", "private_channel") if getattr(context, name)]
        found.append((places, interaction.is_guild_integration(), interaction.is_user_integration()))
        await interaction.response.defer()
        assert photo is None or await photo.read() == b"1"
        await interaction.edit_original_response(content="here")

    await bot.wait_until_ready()
    await bot.tree.sync()
    return found


async def test_discord_py_receives_the_context_of_each_place(local: LocalDiscord, bot: Probe, seen: Seen) -> None:
    ann, bob = local.member("Ann"), local.member("Bob")
    places: list[Place] = [
        local.home,
        replace(local.home, installed="both"),
        local.add_guild("With the bot"),
        local.add_guild("Without the bot", installed="user"),
        local.add_thread(),
        local.add_post(),
        local.direct(ann),
        local.direct(ann, installed="user"),
        local.add_group(ann, bob),
    ]
    for place in places:
        invocation = await ann.at(place).invoke("where", photo=Upload("a.png", b"1"))
        await invocation.wait_until(lambda message: message.content == "here")
        assert invocation.channel_id == place.channel_id
        assert local.messages(place)[-1] == invocation.original
    assert seen == [
        (["guild"], True, False),
        (["guild"], True, True),
        (["guild"], True, False),
        (["guild"], False, True),
        (["guild"], True, False),
        (["guild"], True, False),
        (["dm_channel"], False, False),
        (["dm_channel"], False, True),
        (["private_channel"], False, True),
    ]
    assert bot.failures == []
    assert local.refusals == []


async def test_discord_py_receives_threads_and_languages(local: LocalDiscord, bot: Probe) -> None:
    found = asyncio.get_running_loop().create_future()

    @bot.tree.command(description="Where am I?")
    async def where(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("here")
        found.set_result(interaction)

    await bot.wait_until_ready()
    await bot.tree.sync()
    joined = bot.wait_for("guild_join")
    abroad = local.add_guild(locale="fr")
    assert (await joined).preferred_locale is discord.Locale.french
    made = bot.wait_for("thread_create")
    post = local.add_post("Town hall", place=abroad)
    thread = await made
    assert (thread.id, thread.name, thread.archived) == (post.channel_id, "Town hall", False)
    assert isinstance(thread.parent, discord.ForumChannel)
    ann = local.member("Ann").at(post)
    ann.locale = "de"
    await ann.invoke("where")
    interaction = await found
    assert (interaction.locale, interaction.guild_locale) == (discord.Locale.german, discord.Locale.french)
    assert interaction.channel == thread


@pytest.mark.parametrize("locked", [False, True])
async def test_a_message_reopens_an_archived_thread(local: LocalDiscord, call: Caller, locked: bool) -> None:
    await call.register({"name": "ping", "description": "Answer"})
    place = local.add_thread()
    invocation = await local.member("Ann").at(place).invoke("ping")
    await call.answer(invocation, 4, {"content": "a"})
    assert invocation.original is not None
    local.archive_thread(place, locked=locked)
    path = f"/channels/{place.channel_id}/messages"
    for edited in (f"{path}/{invocation.original.id}", call.hook(invocation, "/messages/@original")):
        reply = await call("PATCH", edited, json={"content": "b"})
        assert (reply.status, reply.json["code"]) == (400, 50083)
    sent = await call("POST", path, json={"content": "b"})
    again = await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": "c"})
    assert (sent.status, again.status) == ((400, 400) if locked else (200, 200))


async def test_a_forum_has_messages_only_in_its_posts(local: LocalDiscord, bot: Probe, call: Caller) -> None:
    await bot.wait_until_ready()
    made = bot.wait_for("thread_create")
    local.add_post()
    thread = await made
    refused = await call("POST", f"/channels/{thread.parent_id}/messages", json={"content": "a"})
    assert (refused.status, refused.json["code"]) == (400, 50008)
    assert (await thread.send("a")).content == "a"
    local.forbid(Permission.SEND_MESSAGES_IN_THREADS, Place(thread.id, local.guild_id))
    with pytest.raises(discord.Forbidden):
        await thread.send("b")


async def test_the_owners_of_an_installation_are_described_like_discords(local: LocalDiscord) -> None:
    ann = local.member("Ann")
    abroad = local.add_guild(installed="user")
    assert local.home.owners(ann.user) == {"0": str(local.guild_id)}
    assert abroad.owners(ann.user) == {"1": str(ann.id)}
    assert local.direct(ann).owners(ann.user) == {"0": "0"}
    assert local.direct(ann, installed="both").owners(ann.user) == {"0": "0", "1": str(ann.id)}


async def test_the_bots_token_cannot_reach_places_without_the_bot(local: LocalDiscord, call: Caller) -> None:
    await call.register({"name": "ping", "description": "Answer"})
    ann = local.member("Ann")
    for place in (local.add_guild(installed="user"), local.add_group(ann, local.member("Bob"))):
        invocation = await ann.at(place).invoke("ping")
        await call.answer(invocation, 4, {"content": "a"})
        assert invocation.original is not None
        path = f"/channels/{place.channel_id}/messages"
        for method, rest in (("POST", ""), ("GET", ""), ("PATCH", f"/{invocation.original.id}")):
            reply = await call(method, path + rest, json=None if method == "GET" else {"content": "b"})
            assert (reply.status, reply.json["code"]) == (403, 50001)
        reply = await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": "c"})
        assert reply.status == 200
        direct = await call("POST", "/users/@me/channels", json={"recipient_id": str(ann.id)})
        sent = await call("POST", f"/channels/{direct.json['id']}/messages", json={"content": "d"})
        assert sent.status == 200


async def test_an_app_outside_the_server_has_five_follow_ups(local: LocalDiscord, call: Caller) -> None:
    await call.register({"name": "ping", "description": "Answer"})
    ann = local.member("Ann")
    abroad = local.add_guild(installed="user")
    for place, last in ((abroad, 400), (local.home, 200), (local.direct(ann, installed="user"), 200)):
        invocation = await ann.at(place).invoke("ping")
        await call.answer(invocation, 4, {"content": "a"})
        replies = []
        for number in range(6):
            local.clock.advance(2)
            replies.append(await call("POST", call.hook(invocation), json={"content": str(number)}))
        assert [reply.status for reply in replies] == [200] * 5 + [last]
        assert last == 200 or replies[-1].json["code"] == 40094
        # Edits are no follow-ups.
        assert (await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": "b"})).status == 200


async def test_a_press_has_the_place_of_its_message(local: LocalDiscord, call: Caller) -> None:
    await call.register({"name": "ping", "description": "Answer"})
    ann = local.member("Ann")
    abroad = local.add_guild(installed="user")
    invocation = await ann.at(abroad).invoke("ping")
    await call.answer(invocation, 4, {"content": "a", "components": [BUTTON]})
    assert invocation.original is not None
    # The place of the member does not matter.
    pressed = await ann.press(invocation.original, "More")
    assert pressed.place == abroad
    await call.answer(
        pressed,
        9,
        {
            "custom_id": "m",
            "title": "t",
            "components": [{"type": 18, "label": "l", "component": {"type": 4, "custom_id": "f", "style": 1}}],
        },
    )
    assert (await ann.submit(pressed, f="x")).place == abroad


async def test_a_press_on_a_direct_message_is_answered_there(local: LocalDiscord, call: Caller) -> None:
    ann = local.member("Ann")
    path = f"/channels/{local.direct(ann).channel_id}/messages"
    assert (await call("POST", path, json={"content": "a", "components": [BUTTON]})).status == 200
    pressed = await ann.press(local.direct_messages(ann)[0], "More")
    assert pressed.place == local.direct(ann)
    await call.answer(pressed, 5)
    await call("POST", call.hook(pressed), json={"content": "b"})
    assert [message.content for message in local.direct_messages(ann)] == ["a", "b"]


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({}, {"home", "second", "abroad", "direct", "group"}),
        ({"integration_types": [0]}, {"home", "second", "direct"}),
        ({"integration_types": [1]}, {"abroad", "group"}),
        ({"contexts": [0]}, {"home", "second", "abroad"}),
        ({"contexts": [1, 2]}, {"direct", "group"}),
        ({"dm_permission": False}, {"home", "second", "abroad"}),
    ],
)
async def test_a_command_is_offered_only_in_its_contexts(
    local: LocalDiscord, call: Caller, fields: dict[str, Any], offered: set[str]
) -> None:
    await call.register({"name": "ping", "description": "Answer"} | fields)
    ann = local.member("Ann")
    places = {
        "home": local.home,
        "second": local.add_guild(),
        "abroad": local.add_guild(installed="user"),
        "direct": local.direct(ann),
        "group": local.add_group(ann),
    }
    for name, place in places.items():
        if name in offered:
            await ann.at(place).invoke("ping")
        else:
            with pytest.raises(InvocationRefused, match="is not offered"):
                await ann.at(place).invoke("ping")


async def test_a_command_of_one_server_exists_only_there(local: LocalDiscord, call: Caller) -> None:
    second = local.add_guild()
    path = f"/applications/{local.application_id}/guilds/{second.guild_id}/commands"
    assert (await call("PUT", path, json=[{"name": "ping", "description": "Answer"}])).status == 200
    ann = local.member("Ann")
    await ann.at(second).invoke("ping")
    with pytest.raises(InvocationRefused):
        await ann.invoke("ping")
    abroad = local.add_guild(installed="user")
    reply = await call("PUT", path.replace(str(second.guild_id), str(abroad.guild_id)), json=[])
    assert reply.json["code"] == 50001


async def test_the_bot_joins_a_second_server_at_once(local: LocalDiscord, bot: Probe) -> None:
    await bot.wait_until_ready()
    joined = bot.wait_for("guild_join")
    second = local.add_guild("Second")
    guild = await joined
    assert (guild.id, guild.name) == (second.guild_id, "Second")
    channel = guild.get_channel(second.channel_id)
    assert isinstance(channel, discord.TextChannel)
    await channel.send("hello")
    assert [message.content for message in local.messages(second)] == ["hello"]
    assert local.channel_messages == []


async def test_messages_in_servers_without_the_bot_are_not_received(local: LocalDiscord, bot: Probe) -> None:
    heard = asyncio.Queue[str]()

    @bot.event
    async def on_message(message: discord.Message) -> None:
        heard.put_nowait(message.author.name)

    ann = local.member("Ann")
    await ann.at(local.add_guild(installed="user")).say("hello")
    await local.member("Bob").say("hello")
    assert await heard.get() == "Bob"
    assert heard.empty()
