"""Requests and responses conform to Discord's OpenAPI document, and the check can fail."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import discord
import pytest
from discord import app_commands

from bot.sandbox import LocalDiscord, RestRequest, Upload
from tests.bot.sandbox.conftest import Caller, Probe, form
from tests.bot.sandbox.openapi import OpenAPI

GOOD = RestRequest(
    at=0.0,
    method="PATCH",
    path="/webhooks/1/…/messages/@original",
    status=200,
    request_bytes=0,
    response_bytes=0,
    route="/webhooks/{webhook_id}/{webhook_token}/messages/@original",
    body={"content": "x", "attachments": [{"id": 0, "description": "A picture"}]},
    query={"with_components": "1"},
    files=("files[0]",),
)


def test_a_valid_request_has_no_violations(openapi: OpenAPI) -> None:
    assert openapi.request(GOOD) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"route": "/webhook"}, "no route /webhook"),
        ({"method": "PUT"}, "takes no PUT"),
        ({"path": "/webhooks/x/…/messages/@original"}, "path webhook_id"),
        ({"path": "/webhooks"}, "is not /webhooks/{webhook_id}"),
        ({"query": {"mood": "good"}}, "unknown query argument mood"),
        ({"query": {"with_components": "perhaps"}}, "query with_components"),
        ({"body": {"content": "x" * 2001}}, "body['content']"),
        ({"body": {"attachments": [{"description": "x"}]}}, "'id' is a required property"),
        ({"body": {"attachments": [{"id": -1}]}}, "body['attachments'][0]['id']"),
        ({"body": {"components": [{"type": 2}]}}, "body['components'][0]"),
        ({"body": None, "files": ()}, "no body"),
        ({"method": "GET", "query": {}}, "a body where none is taken"),
        (
            {
                "method": "PUT",
                "route": "/applications/{application_id}/commands",
                "path": "/applications/1/commands",
                "query": {},
                "body": [],
            },
            "no body of type multipart/form-data is taken",
        ),
    ],
)
def test_each_kind_of_violation_is_found(openapi: OpenAPI, change: dict[str, Any], complaint: str) -> None:
    found = openapi.request(dataclasses.replace(GOOD, **change))
    assert any(complaint in sentence for sentence in found), found


async def test_discord_py_conforms_to_the_document(local: LocalDiscord, bot: Probe, openapi: OpenAPI) -> None:
    class Buttons(discord.ui.View):
        @discord.ui.button(label="More", custom_id="more")
        async def more(self, interaction: discord.Interaction, button: discord.ui.Button[Buttons]) -> None:
            await interaction.response.edit_message(content="more", attachments=[])

    @bot.tree.command(description="Paint")
    @app_commands.default_permissions(attach_files=True)
    async def paint(
        interaction: discord.Interaction, photo: discord.Attachment, steps: app_commands.Range[int, 1, 9] = 1
    ) -> None:
        await interaction.response.defer()
        picture = discord.File(io.BytesIO(await photo.read()), "a.png", description="A picture")
        message = await interaction.edit_original_response(content="a", attachments=[picture], view=Buttons())
        await interaction.edit_original_response(content="b", attachments=[message.attachments[0]])
        await interaction.followup.send("c", ephemeral=True, embed=discord.Embed(title="d"))
        assert isinstance(interaction.channel, discord.TextChannel)
        sent = await interaction.channel.send("e", nonce="f", allowed_mentions=discord.AllowedMentions.none())
        await sent.edit(content="g")
        await sent.delete()

    await bot.tree.sync()
    await bot.tree.fetch_commands()
    ann = local.member("Ann")
    invocation = await ann.invoke("paint", photo=Upload("a.png", b"1"))
    await invocation.wait_until(lambda message: message.content == "c")
    assert invocation.original is not None
    pressed = await ann.press(invocation.original, "More")
    await pressed.wait_until(lambda message: message.content == "more")

    assert not bot.failures
    assert local.refusals == []
    assert len(local.requests) >= 9
    found = {(request.method, request.route): openapi.request(request) for request in local.requests}
    assert {key: sentences for key, sentences in found.items() if sentences} == {}


async def test_the_local_discord_conforms_to_the_document(local: LocalDiscord, call: Caller, openapi: OpenAPI) -> None:
    button = {"type": 2, "style": 1, "label": "x", "custom_id": "x", "emoji": {"name": "🖼"}}
    body = {"content": "a", "components": [{"type": 1, "components": [button]}], "embeds": [{"title": "t"}]}
    application, channel = f"/applications/{local.application_id}", f"/channels/{local.channel_id}"
    option = {"type": 4, "name": "steps", "description": "Steps", "min_value": 1, "required": True}
    command = {"name": "ping", "description": "Answer"}
    invocation = await call.begin()
    said = await local.member("Ann").say("hello")
    answering = {"message_reference": {"message_id": str(said.id)}, "nonce": "n", "enforce_nonce": True}
    abroad = local.add_guild(installed="user")
    direct = f"/channels/{local.direct(local.member('Ann')).channel_id}"
    callback = f"/interactions/{invocation.id}/{invocation.token}/callback"
    hook = call.hook(invocation)
    shown = {"media": {"url": "attachment://a.png"}}
    gallery = {"type": 12, "items": [shown, {"media": {"url": "https://a.example/b.png"}, "description": "b"}]}
    section = {"type": 9, "components": [{"type": 10, "content": "t"}], "accessory": {"type": 11, **shown}}
    choice = {"label": "l", "value": "v", "description": None}
    select = {"type": 1, "components": [{"type": 3, "custom_id": "s", "options": [choice], "placeholder": None}]}
    file = {"type": 13, "file": {"url": "attachment://a.png"}}
    everything = [{"type": 17, "components": [gallery, section, {"type": 14}]}, select, file]
    picture = form({"attachments": [{"id": 0, "description": "d"}], "flags": 1 << 15, "components": everything})
    picture.add_field("files[0]", io.BytesIO(b"1"), filename="a.png")
    requests: list[tuple[str, str, str, dict[str, Any]]] = [
        ("GET", "/gateway/bot", "/gateway/bot", {}),
        ("GET", "/gateway", "/gateway", {}),
        ("GET", "/users/@me", "/users/@me", {}),
        ("GET", "/applications/@me", "/applications/@me", {}),
        ("GET", "/oauth2/applications/@me", "/oauth2/applications/@me", {}),
        ("POST", "/users/@me/channels", "/users/@me/channels", {"json": {"recipient_id": str(invocation.user.id)}}),
        ("PUT", application + "/commands", "/applications/{application_id}/commands", {"json": [command]}),
        ("POST", application + "/commands", "/applications/{application_id}/commands", {"json": command}),
        (
            "PUT",
            f"{application}/guilds/{local.guild_id}/commands",
            "/applications/{application_id}/guilds/{guild_id}/commands",
            {"json": [command | {"options": [option], "default_member_permissions": "8"}]},
        ),
        (
            "POST",
            callback,
            "/interactions/{interaction_id}/{interaction_token}/callback",
            {"json": {"type": 4, "data": body}, "params": {"with_response": "1"}},
        ),
        ("POST", hook, "/webhooks/{webhook_id}/{webhook_token}", {"data": picture}),
        (
            "PATCH",
            hook + "/messages/@original",
            "/webhooks/{webhook_id}/{webhook_token}/messages/@original",
            {"json": {"content": "b"}},
        ),
        (
            "DELETE",
            hook + "/messages/@original",
            "/webhooks/{webhook_id}/{webhook_token}/messages/@original",
            {},
        ),
        ("POST", channel + "/messages", "/channels/{channel_id}/messages", {"json": body}),
        ("POST", channel + "/messages", "/channels/{channel_id}/messages", {"json": {"content": "x" * 2001}}),
        ("GET", channel + "/messages", "/channels/{channel_id}/messages", {}),
        ("POST", channel + "/messages", "/channels/{channel_id}/messages", {"json": body | answering}),
        ("GET", channel + f"/messages/{said.id}", "/channels/{channel_id}/messages/{message_id}", {}),
        ("DELETE", channel + f"/messages/{said.id}", "/channels/{channel_id}/messages/{message_id}", {}),
        ("GET", channel, "/channels/{channel_id}", {}),
        ("GET", f"/channels/{abroad.channel_id}", "/channels/{channel_id}", {}),
        ("POST", direct + "/messages", "/channels/{channel_id}/messages", {"json": body}),
        ("GET", direct, "/channels/{channel_id}", {}),
        ("POST", channel + "/typing", "/channels/{channel_id}/typing", {}),
        ("GET", "/channels/7", "/channels/{channel_id}", {}),
    ]
    found: dict[str, list[str]] = {}
    for method, path, route, arguments in requests:
        reply = await call(method, path, **arguments)
        assert reply.status < 500, reply.json
        if "errors" in (reply.json or {}):
            # The document wants numbers for the codes inside; Discord sends words, as its prose says.
            del reply.json["errors"]
        sentences = openapi.answer(route, method, reply.status, reply.json)
        found |= {f"{method} {route} {reply.status}": sentences} if sentences else {}
    assert found == {}
    assert openapi.answer("/users/@me", "GET", 200, {"id": "x"}) != []
