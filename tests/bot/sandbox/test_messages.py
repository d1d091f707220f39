"""Messages: their files, their components and their places."""

from __future__ import annotations

import io
from dataclasses import replace

import discord
import pytest

from bot.sandbox import LocalDiscord, Message, Upload
from tests.bot.sandbox.conftest import V2, Caller, Probe, button, channel, form, rows, text


async def test_discord_py_receives_the_error_for_a_file_that_is_too_large(local: LocalDiscord, bot: Probe) -> None:
    local.attachment_size_limit = 1000
    await bot.wait_until_ready()
    target = bot.get_channel(local.channel_id)
    assert isinstance(target, discord.TextChannel)
    with pytest.raises(discord.HTTPException) as caught:
        await target.send(file=discord.File(__file__))
    assert (caught.value.status, caught.value.code) == (413, 40005)


async def test_an_edit_keeps_the_fields_that_it_does_not_name(local: LocalDiscord, call: Caller) -> None:
    sent = await call("POST", channel(local), data=form({"content": "a"}, ("a.png", b"1"), ("b.png", b"2")))
    path = channel(local, f"/{sent.json['id']}")
    first, second = sent.json["attachments"]
    # Neither content nor attachments named.
    edited = (await call("PATCH", path, json={"components": [button()]})).json
    assert edited["content"] == "a"
    assert [file["id"] for file in edited["attachments"]] == [first["id"], second["id"]]
    # One is listed, with another description; the other vanishes.
    kept = {"attachments": [{"id": second["id"], "description": "The second"}]}
    edited = (await call("PATCH", path, json=kept)).json
    assert [(file["id"], file["description"]) for file in edited["attachments"]] == [(second["id"], "The second")]
    # A new file beside the kept one, by its index.
    both = {"attachments": [{"id": second["id"]}, {"id": 0, "description": "New"}]}
    edited = (await call("PATCH", path, data=form(both, ("c.png", b"3")))).json
    assert [file["filename"] for file in edited["attachments"]] == ["b.png", "c.png"]
    # No list, but a file: added.
    edited = (await call("PATCH", path, data=form({}, ("d.png", b"4")))).json
    assert [file["filename"] for file in edited["attachments"]] == ["b.png", "c.png", "d.png"]
    assert edited["components"][0]["components"][0]["custom_id"] == "x"
    assert edited["edited_timestamp"] is not None


def unsigned(messages: list[Message]) -> list[Message]:
    """Without the signatures of links, which change from second to second."""
    return [
        replace(each, attachments=tuple(replace(file, url=file.url.partition("?")[0]) for file in each.attachments))
        for each in messages
    ]


async def test_an_edit_that_fails_changes_nothing(local: LocalDiscord, call: Caller) -> None:
    sent = await call("POST", channel(local), data=form({"content": "a"}, ("a.png", b"1")))
    path = channel(local, f"/{sent.json['id']}")
    before = unsigned(local.channel_messages)
    body = {"content": "b", "attachments": [], "components": rows(6)}
    assert (await call("PATCH", path, json=body)).status == 400
    assert (await call("PATCH", path, json={"content": "", "attachments": []})).json["code"] == 50006
    assert unsigned(local.channel_messages) == before
    async with call.session.get(local.channel_messages[0].attachments[0].url) as response:
        assert await response.read() == b"1"


async def test_components_v2_cannot_be_switched_off_again(local: LocalDiscord, call: Caller) -> None:
    sent = await call("POST", channel(local), json={"content": "a"})
    path = channel(local, f"/{sent.json['id']}")
    # The old content prevents it.
    assert (await call("PATCH", path, json={"flags": V2, "components": [text("b")]})).status == 400
    changed = await call("PATCH", path, json={"flags": V2, "components": [text("b")], "content": None})
    assert changed.json["flags"] & V2
    still = await call("PATCH", path, json={"flags": 0, "components": [text("c")]})
    assert still.json["flags"] & V2
    assert (await call("PATCH", path, json={"content": "back"})).status == 400


async def test_discord_py_sends_a_layout_with_its_picture(local: LocalDiscord, bot: Probe) -> None:
    class Layout(discord.ui.LayoutView):
        row: discord.ui.ActionRow[Layout] = discord.ui.ActionRow()

        @row.button(label="More", custom_id="more")
        async def more(self, interaction: discord.Interaction, button: discord.ui.Button[Layout]) -> None:
            raise NotImplementedError

    @bot.tree.command(description="Paint")
    async def paint(interaction: discord.Interaction) -> None:
        await interaction.response.defer()
        view = Layout()
        view.add_item(discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://a.png", description="A picture")))
        view.add_item(discord.ui.Container(discord.ui.TextDisplay("done"), discord.ui.Separator()))
        message = await interaction.edit_original_response(
            view=view, attachments=[discord.File(__file__, "a.png", description="A picture")]
        )
        assert message.flags.components_v2
        # discord.py can send again what it has read.
        await message.edit(view=discord.ui.LayoutView.from_message(message))

    await bot.tree.sync()
    invocation = await local.member("Ann").invoke("paint")
    message = await invocation.wait_until(lambda message: message.edited_at is not None)
    assert not bot.failures
    [shown] = message.components[1]["items"]
    assert shown["media"]["url"].startswith(f"{local.cdn_url}/")
    assert shown["description"] == "A picture"
    assert [found.label for found in message.buttons] == ["More"]
    assert local.refusals == []


async def test_an_embed_shows_its_attachment(local: LocalDiscord, bot: Probe) -> None:
    await bot.wait_until_ready()
    target = bot.get_channel(local.channel_id)
    assert isinstance(target, discord.TextChannel)
    embed = discord.Embed(title="Done", colour=0x123456)
    embed.set_image(url="attachment://my_picture.png").set_footer(text="12 s").add_field(name="Steps", value="5")
    sent = await target.send(embed=embed, file=discord.File(__file__, "my picture.png"))
    assert sent.embeds[0].image.url == sent.attachments[0].url
    await sent.edit(embed=sent.embeds[0].copy(), content="again")
    assert local.channel_messages[0].content == "again"


async def test_discord_py_sends_edits_and_deletes_channel_messages(local: LocalDiscord, bot: Probe) -> None:
    await bot.wait_until_ready()
    target = bot.get_channel(local.channel_id)
    assert isinstance(target, discord.TextChannel)
    sent = await target.send("one", nonce="job-1")
    assert (await target.send("one", nonce="job-1")).id == sent.id
    reply = await sent.reply("two")
    assert reply.reference is not None
    assert reply.reference.message_id == sent.id
    assert [message.content async for message in target.history(limit=5)] == ["two", "one"]
    assert [message.content async for message in target.history(after=sent, oldest_first=True)] == ["two"]
    assert (await target.fetch_message(sent.id)).content == "one"
    await sent.edit(content="changed")
    assert [message.content for message in local.channel_messages] == ["changed", "two"]
    await sent.delete()
    assert [message.content for message in local.channel_messages] == ["two"]
    with pytest.raises(discord.NotFound) as caught:
        await target.fetch_message(sent.id)
    assert caught.value.code == 10008


async def test_an_enforced_nonce_is_forgotten_after_five_minutes(local: LocalDiscord, call: Caller) -> None:
    body = {"content": "x", "nonce": "n", "enforce_nonce": True}
    first = await call("POST", channel(local), json=body)
    again = await call("POST", channel(local), json=body)
    assert again.json["id"] == first.json["id"]
    local.clock.advance(301)
    assert (await call("POST", channel(local), json=body)).json["id"] != first.json["id"]


async def test_an_ephemeral_message_is_not_in_the_channel(local: LocalDiscord, call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 4, {"content": "secret", "flags": 64})
    assert invocation.original is not None
    reply = await call("PATCH", channel(local, f"/{invocation.original.id}"), json={"content": "y"})
    assert (reply.status, reply.json["code"]) == (404, 10008)
    assert (await call("GET", channel(local))).json == []


async def test_messages_of_others_cannot_be_changed(local: LocalDiscord, call: Caller) -> None:
    said = await local.member("Ann").say("mine", Upload("a.png", b"1"))
    reply = await call("PATCH", channel(local, f"/{said.id}"), json={"content": "yours"})
    assert (reply.status, reply.json["code"]) == (403, 50005)
    reply = await call("DELETE", channel(local, f"/{said.id}"))
    assert (reply.status, reply.json["code"]) == (403, 50013)


async def test_discord_py_sends_direct_messages(local: LocalDiscord, bot: Probe) -> None:
    ann = local.member("Ann")
    user = discord.Object(ann.id)
    direct = await bot.create_dm(user)
    await direct.send("your picture")
    await direct.send("your second picture")
    assert [message.content for message in local.direct_messages(ann)] == ["your picture", "your second picture"]
    assert local.channel_messages == []


async def test_unknown_channels_and_recipients_are_refused(call: Caller) -> None:
    reply = await call("POST", "/channels/7/messages", json={"content": "x"})
    assert (reply.status, reply.json["code"]) == (404, 10003)
    reply = await call("POST", "/users/@me/channels", json={"recipient_id": "7"})
    assert (reply.status, reply.json["code"]) == (400, 50033)


async def test_messages_reach_discord_py_as_events(local: LocalDiscord, bot: Probe) -> None:
    heard = bot.wait_for("message")
    await local.member("Ann").say("hello")
    message = await heard
    assert message.author.name == "Ann"
    assert message.channel.id == local.channel_id
    # No intent for the content.
    assert message.content == ""


async def test_messages_can_be_listed_around_a_message(local: LocalDiscord, call: Caller) -> None:
    ann = local.member("Ann")
    said = [await ann.say(str(number)) for number in range(7)]

    async def look(**query: int) -> list[str]:
        reply = await call("GET", channel(local), params=query)
        assert reply.status == 200
        return [message["content"] for message in reply.json]

    assert await look(limit=2) == ["6", "5"]
    assert await look(before=said[3].id, limit=2) == ["2", "1"]
    assert await look(after=said[3].id, limit=2) == ["5", "4"]
    assert await look(around=said[3].id, limit=3) == ["4", "3", "2"]
    local.clock.advance(5)
    assert await look(around=said[3].id, limit=1) == ["3"]
    assert await look(around=said[0].id, limit=4) == ["1", "0"]
    reply = await call("GET", channel(local), params={"before": said[3].id, "after": said[1].id})
    assert "after and before at once" in reply.json["message"]


async def test_a_reply_contains_the_message_that_it_replies_to(local: LocalDiscord, call: Caller) -> None:
    said = await local.member("Ann").say("hello")
    body = {"content": "a", "message_reference": {"message_id": str(said.id), "fail_if_not_exists": False}}
    first = (await call("POST", channel(local), json=body)).json
    assert (first["type"], first["referenced_message"]["id"]) == (19, str(said.id))
    second = (
        await call("POST", channel(local), json={"content": "b", "message_reference": {"message_id": first["id"]}})
    ).json
    # One step, not the whole conversation.
    assert "referenced_message" not in second["referenced_message"]
    local.delete_message(said)
    assert (await call("GET", channel(local, f"/{first['id']}"))).json["referenced_message"] is None
    # What it replies to is gone: either no message, or one that replies to nothing.
    third = (await call("POST", channel(local), json=body)).json
    assert (third["type"], "message_reference" in third) == (0, False)
    body["message_reference"] = {"message_id": str(said.id)}
    local.clock.advance(5)
    assert (await call("POST", channel(local), json=body)).json["code"] == 50035


async def test_a_nonce_applies_in_its_channel_while_its_message_exists(local: LocalDiscord, call: Caller) -> None:
    body = {"content": "x", "nonce": 5, "enforce_nonce": True}
    first = (await call("POST", channel(local), json=body)).json
    assert first["nonce"] == 5
    direct = f"/channels/{local.direct(local.member('Ann')).channel_id}/messages"
    assert (await call("POST", direct, json=body)).json["id"] != first["id"]
    await call("DELETE", channel(local, f"/{first['id']}"))
    assert (await call("POST", channel(local), json=body)).json["id"] != first["id"]
    unenforced = {"content": "x", "nonce": 5}
    assert (await call("POST", direct, json=unenforced)).status == 200
    assert len(local.direct_messages(local.member("Ann"))) == 2


async def test_direct_messages_are_edited_and_deleted_with_the_bots_token(local: LocalDiscord, bot: Probe) -> None:
    ann = local.member("Ann")
    user = await bot.create_dm(discord.Object(ann.id))
    sent = await user.send(file=discord.File(io.BytesIO(b"1"), "a.png"), nonce="job-1")
    assert (await user.send("x", nonce="job-1")).id == sent.id
    await sent.edit(content="again", attachments=[discord.File(io.BytesIO(b"2"), "b.png")])
    [message] = local.direct_messages(ann)
    assert (message.content, message.attachments[0].data) == ("again", b"2")
    assert [found.content async for found in user.history(around=sent, limit=3)] == ["again"]
    await sent.delete()
    with pytest.raises(discord.NotFound) as caught:
        await sent.edit(content="too late")
    assert caught.value.code == 10008
