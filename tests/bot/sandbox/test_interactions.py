"""Interactions: the first answer, the token, deferred answers and follow-ups."""

from __future__ import annotations

import asyncio
import io

import discord
import pytest

from bot.sandbox import LocalDiscord, Message, Upload
from tests.bot.sandbox.conftest import Caller, Probe, form

EPHEMERAL = 64


async def test_discord_py_answers_a_command_with_a_picture(local: LocalDiscord, bot: Probe) -> None:
    seen: list[discord.Attachment] = []

    @bot.tree.command(description="Paint")
    async def paint(interaction: discord.Interaction, photo: discord.Attachment, steps: int) -> None:
        seen.append(photo)
        await interaction.response.defer()
        picture = await photo.read()
        preview = discord.File(io.BytesIO(picture), "preview.png", description="A preview")
        await interaction.edit_original_response(content=f"{steps} steps", attachments=[preview])
        final = discord.File(io.BytesIO(picture[::-1]), "final picture.png", description="A picture")
        message = await interaction.edit_original_response(content="done", attachments=[final])
        assert await message.attachments[0].read() == picture[::-1]
        assert interaction.filesize_limit == 10 * 1024 * 1024
        assert interaction.guild_id == local.guild_id
        assert interaction.user.display_name == "Ann"

    await bot.tree.sync()
    await local.wait_for_commands()
    upload = Upload("a photo.png", b"\x89PNG", content_type="image/png", width=3, height=4)
    invocation = await local.member("Ann").invoke("paint", photo=upload, steps=7)
    await invocation.wait_until(lambda message: message.content == "done")

    assert not bot.failures
    assert (seen[0].filename, seen[0].size, seen[0].content_type) == ("a_photo.png", 4, "image/png")
    assert (seen[0].width, seen[0].height) == (3, 4)
    thinking, preview, final = invocation.history
    assert thinking.thinking
    assert not thinking.attachments
    assert preview.content == "7 steps"
    assert [(file.filename, file.description, file.data) for file in preview.attachments] == [
        ("preview.png", "A preview", b"\x89PNG")
    ]
    # Filling the placeholder is no edit. Later changes are.
    assert preview.edited_at is None
    assert final.edited_at is not None
    # The preview was not listed in the second edit, so it is gone.
    assert [(file.filename, file.data) for file in final.attachments] == [("final_picture.png", b"GNP\x89")]
    assert invocation.original == final
    assert invocation.acknowledged_after is not None
    assert invocation.failed is None
    assert local.channel_messages == [final]


async def test_unknown_properties_of_a_file_are_not_sent(local: LocalDiscord, bot: Probe) -> None:
    @bot.tree.command(description="Look")
    async def look(interaction: discord.Interaction, photo: discord.Attachment) -> None:
        await interaction.response.send_message(f"{photo.content_type} {photo.width} {photo.height}", ephemeral=True)

    await bot.tree.sync()
    invocation = await local.member("Ann").invoke("look", photo=Upload("a.png", b"x"))
    message = await invocation.wait_until(lambda message: True)
    assert message.content == "None None None"
    assert message.ephemeral
    assert local.channel_messages == []


async def test_the_response_to_an_answer_describes_its_message(local: LocalDiscord, bot: Probe) -> None:
    made: list[tuple[object, ...]] = []
    done = asyncio.Event()

    @bot.tree.command(description="Answer")
    async def ping(interaction: discord.Interaction) -> None:
        answer = await interaction.response.send_message("pong", ephemeral=True)
        made.append((answer.message_id, answer.is_ephemeral(), answer.is_thinking()))
        assert isinstance(answer.resource, discord.InteractionMessage)
        made.append((answer.resource.id, answer.resource.content))
        done.set()

    await bot.tree.sync()
    invocation = await local.member("Ann").invoke("ping")
    message = await invocation.wait_until(lambda message: message.content == "pong")
    await done.wait()
    assert made == [(message.id, True, False), (message.id, "pong")]


async def test_an_answer_without_with_response_has_no_content(call: Caller) -> None:
    reply = await call.answer(await call.begin(), 4, {"content": "pong"})
    assert (reply.status, reply.json) == (204, None)


async def test_a_second_answer_is_40060(call: Caller) -> None:
    invocation = await call.begin()
    assert (await call.answer(invocation, 5)).status == 204
    reply = await call.answer(invocation, 4, {"content": "again"})
    assert (reply.status, reply.json["code"]) == (400, 40060)
    assert len(invocation.history) == 1


async def test_an_answer_after_three_seconds_is_10062(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    before = invocation.failed
    assert before is None
    local.clock.advance(3.1)
    reply = await call.answer(invocation, 5)
    assert (reply.status, reply.json["code"]) == (404, 10062)
    assert invocation.failed == "The application did not respond"
    with pytest.raises(TimeoutError, match="The application did not respond"):
        await invocation.wait_until(lambda message: True)


async def test_an_answer_within_three_seconds_is_accepted(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    local.clock.advance(1.0)
    assert (await call.answer(invocation, 5)).status == 204
    await invocation.acknowledged()
    assert invocation.failed is None


async def test_an_answer_needs_the_right_token(call: Caller) -> None:
    invocation = await call.begin()
    reply = await call("POST", f"/interactions/{invocation.id}/guess/callback", json={"type": 5})
    assert (reply.status, reply.json["code"]) == (404, 10062)
    reply = await call("POST", f"/interactions/1/{invocation.token}/callback", json={"type": 5})
    assert (reply.status, reply.json["code"]) == (404, 10062)


async def test_a_token_is_valid_for_fifteen_minutes(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 5)
    local.clock.advance(14 * 60)
    original = call.hook(invocation, "/messages/@original")
    assert (await call("PATCH", original, json={"content": "still"})).status == 200
    local.clock.advance(61)
    for method, path in (("PATCH", original), ("GET", original), ("POST", call.hook(invocation))):
        reply = await call(method, path, json={"content": "too late"} if method != "GET" else None)
        assert (reply.status, reply.json["code"]) == (401, 50027)
    assert invocation.original is not None
    assert invocation.original.content == "still"


async def test_a_deferred_answer_that_is_never_completed_is_a_failure(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 5)
    assert invocation.failed is None
    local.clock.advance(15 * 60 + 1)
    assert invocation.failed == "The application did not respond"


async def test_a_follow_up_before_the_answer_is_refused(call: Caller) -> None:
    invocation = await call.begin()
    reply = await call("POST", call.hook(invocation), json={"content": "early"})
    assert (reply.status, reply.json["code"]) == (404, 10015)
    reply = await call("GET", f"/webhooks/{call.local.application_id}/guess/messages/@original")
    assert (reply.status, reply.json["code"]) == (404, 10015)


@pytest.mark.parametrize("deferred_flags", [0, EPHEMERAL])
async def test_the_first_follow_up_replaces_the_placeholder(call: Caller, deferred_flags: int) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 5, {"flags": deferred_flags})
    assert invocation.original is not None
    placeholder = invocation.original
    assert placeholder.thinking
    # Its own flag has no effect: the flag of the deferred answer applies.
    reply = await call("POST", call.hook(invocation), json={"content": "here", "flags": EPHEMERAL - deferred_flags})
    assert reply.json["id"] == str(placeholder.id)
    assert invocation.original.content == "here"
    assert invocation.original.ephemeral == bool(deferred_flags)
    assert not invocation.original.thinking
    second = await call("POST", call.hook(invocation), json={"content": "more"})
    assert second.json["id"] != str(placeholder.id)


async def test_after_a_deleted_placeholder_a_follow_up_has_its_own_flag(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 5)
    assert (await call("DELETE", call.hook(invocation, "/messages/@original"))).status == 204
    assert invocation.original is None
    assert invocation.history[-1].deleted
    await call("POST", call.hook(invocation), json={"content": "secret", "flags": EPHEMERAL})
    assert invocation.history[-1].ephemeral
    assert local.channel_messages == []
    reply = await call("GET", call.hook(invocation, "/messages/@original"))
    assert (reply.status, reply.json["code"]) == (404, 10008)


async def test_a_deferred_answer_can_have_only_the_ephemeral_flag(call: Caller) -> None:
    invocation = await call.begin()
    reply = await call.answer(invocation, 5, {"flags": 1 << 15})
    assert (reply.status, reply.json["code"]) == (400, 50035)
    assert "flags" in reply.json["errors"]["data"]
    assert invocation.acknowledged_after is None


async def test_follow_ups_are_edited_and_deleted_by_their_id(call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 4, {"content": "first"})
    sent = await call("POST", call.hook(invocation), json={"content": "second"})
    path = call.hook(invocation, f"/messages/{sent.json['id']}")
    assert (await call("PATCH", path, json={"content": "changed"})).json["content"] == "changed"
    assert (await call("GET", path)).json["content"] == "changed"
    assert (await call("DELETE", path)).status == 204
    assert (await call("GET", path)).json["code"] == 10008
    assert [message.content for message in invocation.history] == ["first", "second", "changed", "changed"]
    assert invocation.history[2].edited_at is not None


async def test_a_token_cannot_change_messages_of_another_interaction(call: Caller) -> None:
    mine, other = await call.begin(), await call.begin("Bob")
    await call.answer(mine, 4, {"content": "mine"})
    await call.answer(other, 4, {"content": "other"})
    assert mine.original is not None
    reply = await call("PATCH", call.hook(other, f"/messages/{mine.original.id}"), json={"content": "stolen"})
    assert (reply.status, reply.json["code"]) == (404, 10008)


@pytest.mark.parametrize("kind", [6, 7, 8])
async def test_a_command_refuses_answers_for_other_interactions(call: Caller, kind: int) -> None:
    reply = await call.answer(await call.begin(), kind, {"choices": []} if kind == 8 else None)
    assert (reply.status, reply.json["code"]) == (400, 50035)
    assert "type" in reply.json["errors"]


@pytest.mark.parametrize("kind", [1, 10, 12, 99])
async def test_an_unknown_type_of_answer_is_refused_by_name(call: Caller, kind: int) -> None:
    invocation = await call.begin()
    reply = await call.answer(invocation, kind)
    assert reply.status == 501
    assert reply.json == {
        "message": f"the local Discord does not know the answer of type {kind} to an interaction",
        "code": 0,
    }
    assert len(call.local.refusals) == 1
    assert invocation.acknowledged_after is None


async def test_discord_py_suggests_choices(local: LocalDiscord, bot: Probe) -> None:
    @bot.tree.command(description="Choose")
    async def choose(interaction: discord.Interaction, style: str) -> None:
        await interaction.response.send_message(style)

    @choose.autocomplete("style")
    async def suggest(interaction: discord.Interaction, text: str) -> list[discord.app_commands.Choice[str]]:
        return [discord.app_commands.Choice(name=f"{text} field", value="wheat")]

    await bot.tree.sync()
    typed = await local.member("Ann").autocomplete("choose", "style", "wheat")
    await typed.acknowledged()
    assert typed.choices == ({"name": "wheat field", "value": "wheat"},)


async def test_discord_py_handles_a_message_command(local: LocalDiscord, bot: Probe) -> None:
    @bot.tree.context_menu(name="Paint this")
    async def paint_this(interaction: discord.Interaction, message: discord.Message) -> None:
        [picture] = message.attachments
        await interaction.response.send_message(f"{message.content} {len(await picture.read())}")

    await bot.tree.sync()
    said = await local.member("Bob").say("look", Upload("a.png", b"123"))
    invocation = await local.member("Ann").invoke_on("Paint this", said)
    answer = await invocation.wait_until(lambda message: True)
    assert answer.content == "look 3"


async def test_messages_can_be_followed_as_they_come(call: Caller) -> None:
    invocation = await call.begin()
    states: list[Message] = []

    async def follow() -> None:
        async for message in invocation.messages():
            states.append(message)
            if message.content == "end":
                return

    following = asyncio.create_task(follow())
    await call.answer(invocation, 5)
    for content in ("begin", "end"):
        await call("PATCH", call.hook(invocation, "/messages/@original"), json={"content": content})
    await following
    assert [state.content for state in states] == ["", "begin", "end"]
    # A late follower gets everything from the beginning.
    late = invocation.messages()
    assert [await anext(late), await anext(late)] == states[:2]


async def test_the_first_answer_can_have_files(call: Caller) -> None:
    invocation = await call.begin()
    payload = {"type": 4, "data": {"attachments": [{"id": 0, "filename": "b.png", "description": "A picture"}]}}
    path = f"/interactions/{invocation.id}/{invocation.token}/callback"
    reply = await call("POST", path, data=form(payload, ("a.png", b"1")), params={"with_response": "1"})
    assert reply.status == 200
    [file] = reply.json["resource"]["message"]["attachments"]
    assert (file["filename"], file["description"], file["size"]) == ("b.png", "A picture", 1)
    assert call.local.requests[-1].files == ("files[0]",)
    assert call.local.requests[-1].body == payload
    assert invocation.token not in call.local.requests[-1].path


async def test_listeners_receive_every_state_of_every_message(local: LocalDiscord, call: Caller) -> None:
    told: list[Message] = []
    local.on_message(told.append)
    await local.member("Bob").say("hello")
    invocation = await call.begin()
    await call.answer(invocation, 4, {"content": "secret", "flags": EPHEMERAL})
    await call("DELETE", call.hook(invocation, "/messages/@original"))
    assert [(state.author, state.content, state.ephemeral, state.deleted) for state in told] == [
        ("Bob", "hello", False, False),
        ("Atelier", "secret", True, False),
        ("Atelier", "secret", True, True),
    ]


async def test_waiting_for_an_answer_has_a_timeout(call: Caller) -> None:
    invocation = await call.begin()
    with pytest.raises(TimeoutError, match="did not come within"):
        await invocation.acknowledged(timeout=0.01)
    with pytest.raises(TimeoutError, match="no such message within"):
        await invocation.wait_until(lambda message: True, 0.01)


async def test_discord_py_receives_the_error_of_an_expired_token(local: LocalDiscord, bot: Probe) -> None:
    caught: list[discord.HTTPException] = []

    @bot.tree.command(description="Take long")
    async def wait(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        local.clock.advance(15 * 60 + 1)
        try:
            await interaction.edit_original_response(content="too late")
        except discord.HTTPException as error:
            caught.append(error)
            assert isinstance(interaction.channel, discord.TextChannel)
            await interaction.channel.send("here it is")

    await bot.tree.sync()
    sent = asyncio.Event()
    local.on_message(lambda message: sent.set() if message.content == "here it is" else None)
    await local.member("Ann").invoke("wait")
    await sent.wait()
    assert [(type(error), error.status, error.code) for error in caught] == [(discord.HTTPException, 401, 50027)]
