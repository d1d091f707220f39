"""Commands: which can be registered, and which options a member can send."""

from __future__ import annotations

from typing import Any

import discord
import pytest
from discord import app_commands

from bot.sandbox import InvocationRefused, LocalDiscord, Upload
from tests.bot.sandbox.conftest import Caller, Probe


def option(name: str = "x", kind: int = 3, **fields: Any) -> dict[str, Any]:
    """An option of a command."""
    return {"name": name, "type": kind, "description": "An option", **fields}


def command(*options: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A command `/paint`."""
    return {"name": "paint", "description": "Paint", "options": list(options), **fields}


LONG_CHOICES = [{"name": f"{number:0100}", "value": f"{number:0100}"} for number in range(25)]
"""5,000 characters. A command may have 8,000."""


async def test_discord_py_registers_commands_that_members_can_use(local: LocalDiscord, bot: Probe) -> None:
    @bot.tree.command(description="Paint")
    @app_commands.choices(mode=[app_commands.Choice(name="Fast", value="fast")])
    async def paint(interaction: discord.Interaction, mode: app_commands.Choice[str], steps: int = 5) -> None:
        await interaction.response.send_message(f"{mode.name} {steps}")

    group = app_commands.Group(name="style", description="Styles", default_permissions=discord.Permissions(8192))

    @group.command(description="Add")
    async def add(interaction: discord.Interaction, name: str) -> None:
        await interaction.response.send_message(f"added {name}")

    bot.tree.add_command(group)
    synced = await bot.tree.sync()
    assert [found.name for found in synced] == ["paint", "style"]
    assert synced[1].default_member_permissions == discord.Permissions(8192)
    assert [found.id for found in await bot.tree.fetch_commands()] == [found.id for found in synced]
    # A second sync keeps the identifiers.
    assert [found.id for found in await bot.tree.sync()] == [found.id for found in synced]

    ann = local.member("Ann")
    painted = await ann.invoke("paint", mode="fast")
    assert (await painted.wait_until(lambda message: True)).content == "Fast 5"
    with pytest.raises(InvocationRefused, match="lacks the permissions"):
        await ann.invoke("style add", name="Wheat")
    ann.permissions |= 8192
    added = await ann.invoke("style add", name="Wheat")
    assert (await added.wait_until(lambda message: True)).content == "added Wheat"
    assert not bot.failures


async def test_commands_of_a_server_take_precedence_over_global_ones(local: LocalDiscord, call: Caller) -> None:
    base = f"/applications/{local.application_id}"
    await call("PUT", f"{base}/commands", json=[command()])
    reply = await call("PUT", f"{base}/guilds/{local.guild_id}/commands", json=[command(option(required=True))])
    assert reply.json[0]["guild_id"] == str(local.guild_id)
    with pytest.raises(InvocationRefused, match=r"needs \['x'\]"):
        await local.member("Ann").invoke("paint")
    await call("PUT", f"{base}/guilds/{local.guild_id}/commands", json=[])
    await local.member("Ann").invoke("paint")
    assert (await call("GET", f"{base}/guilds/{local.guild_id}/commands")).json == []
    assert len((await call("GET", f"{base}/commands", params={"with_localizations": "1"})).json) == 1


async def test_one_command_is_added_or_replaced(local: LocalDiscord, call: Caller) -> None:
    path = f"/applications/{local.application_id}/commands"
    first = await call("POST", path, json=command())
    again = await call("POST", path, json=command(option()))
    assert (first.status, again.status) == (201, 200)
    assert first.json["id"] == again.json["id"]
    assert first.json["version"] != again.json["version"]
    await local.wait_for_commands(0.01)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (command(name="Paint"), ("0", "name")),
        (command(name="two words"), ("0", "name")),
        (command(description=""), ("0", "description")),
        (command(description="x" * 101), ("0", "description")),
        (command(*[option(f"o{index}") for index in range(26)]), ("0", "options")),
        (command(option(choices=[{"name": "c", "value": "c"}] * 26)), ("0", "options", "0", "choices")),
        (command(option("a"), option("b", required=True)), ("0", "options", "1")),
        (command(option(description="")), ("0", "options", "0", "description")),
        (command(option("a"), option("a")), ()),
        (command(option(autocomplete=True, choices=[{"name": "c", "value": "c"}])), ("0", "options", "0")),
        (command(type=3), ("0", "description")),
        (command(name_localizations={"de": "Malen"}), ("0", "name")),
        (command(name_localizations={"de": "zwei wörter"}), ("0", "name_localizations", "de")),
        (command(option(name_localizations={"ja": "x" * 33})), ("0", "options", "0", "name_localizations", "ja")),
        (
            command(option(description_localizations={"de": ""})),
            ("0", "options", "0", "description_localizations", "de"),
        ),
        (command(option("a", name_localizations={"de": "b"}), option("b")), ()),
        (command(*[option(name, choices=LONG_CHOICES) for name in ("a", "b")]), ("0",)),
    ],
)
async def test_the_error_for_a_malformed_command_has_its_path(
    local: LocalDiscord, call: Caller, body: dict[str, Any], place: tuple[str, ...]
) -> None:
    reply = await call.register(body)
    assert (reply.status, reply.json["code"]) == (400, 50035), reply.json
    node = reply.json["errors"]
    for key in place:
        node = node[key]
    assert node["_errors"]
    with pytest.raises(TimeoutError):
        await local.wait_for_commands(0.01)


@pytest.mark.parametrize(
    ("body", "named"),
    [(command(mood="good"), "the field 0.mood"), (command(option(mood=1)), "the field 0.options.0.mood")],
)
async def test_unknown_fields_are_refused_by_name(call: Caller, body: dict[str, Any], named: str) -> None:
    reply = await call.register(body)
    assert reply.status == 501
    assert named in reply.json["message"]


async def test_another_application_or_server_is_refused(local: LocalDiscord, call: Caller) -> None:
    assert (await call("GET", "/applications/7/commands")).json["code"] == 20012
    assert (await call("GET", f"/applications/{local.application_id}/guilds/7/commands")).json["code"] == 50001


@pytest.mark.parametrize(
    ("known", "options", "complaint"),
    [
        (option(), {"y": "a"}, "there is no option 'y'"),
        (option(required=True), {}, "needs"),
        (option(), {"x": 1}, "does not take a int"),
        (option(kind=4), {"x": 1.5}, "does not take a float"),
        (option(kind=4), {"x": True}, "does not take a bool"),
        (option(kind=5), {"x": 1}, "does not take a int"),
        (option(kind=10), {"x": "1"}, "does not take a str"),
        (option(choices=[{"name": "A", "value": "a"}]), {"x": "b"}, "is no choice"),
        (option(kind=4, min_value=1, max_value=3), {"x": 4}, "must be between 1 and 3, not 4"),
        (option(kind=10, max_value=3.5), {"x": 4}, "must be between"),
        (option(min_length=2), {"x": "a"}, "must be between 2 and None, not 1"),
        (option(kind=11), {"x": "a.png"}, "takes an Upload"),
        (option(), {"x": Upload("a.png", b"")}, "does not take a Upload"),
        (option(kind=7), {"x": "1"}, "does not know how to fill"),
        (option(kind=11), {"x": Upload("a.png", bytes(101))}, "has 101 bytes; 100 are allowed"),
    ],
)
async def test_invalid_options_cannot_be_sent(
    local: LocalDiscord, call: Caller, known: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    local.attachment_size_limit = 100
    assert (await call.register(command(known))).status == 200
    with pytest.raises(InvocationRefused, match=complaint):
        await local.member("Ann").invoke("paint", **options)


@pytest.mark.parametrize(
    ("known", "value"),
    [
        (option(kind=4, min_value=1, max_value=3), 3),
        (option(kind=10), 3),
        (option(kind=10), 2.5),
        (option(kind=5), False),
        (option(choices=[{"name": "A", "value": "a"}]), "a"),
        (option(autocomplete=True), "anything"),
        (option(kind=11), Upload("a.png", b"1")),
    ],
)
async def test_valid_options_can_be_sent(local: LocalDiscord, call: Caller, known: dict[str, Any], value: Any) -> None:
    await call.register(command(known))
    invocation = await local.member("Ann").invoke("paint", x=value)
    assert (await call.answer(invocation, 5)).status == 204


async def test_unknown_and_incomplete_command_names_are_refused(local: LocalDiscord, call: Caller) -> None:
    await call.register(command(option("add", 1)))
    ann = local.member("Ann")
    with pytest.raises(InvocationRefused, match=r"no command 'draw' is registered; there are \['paint'\]"):
        await ann.invoke("draw")
    with pytest.raises(InvocationRefused, match=r"name a subcommand: \['add'\]"):
        await ann.invoke("paint")
    with pytest.raises(InvocationRefused, match="no subcommand 'remove'"):
        await ann.invoke("paint remove")
    await ann.invoke("paint add")


async def test_a_member_uses_the_names_in_their_language(local: LocalDiscord, call: Caller) -> None:
    name = option("size", 4, required=True, name_localizations={"de": "größe", "ar": "الحجم"})
    body = command(
        option("add", 1, options=[name], name_localizations={"de": "dazu"}), name_localizations={"de": "male"}
    )
    assert (await call.register(body)).status == 200
    ann = local.member("Ann")
    with pytest.raises(InvocationRefused, match="no command 'male'"):
        await ann.invoke("male dazu", größe=3)
    ann.locale = "de"
    for words, options in (("male dazu", {"größe": 3}), ("paint add", {"size": 3})):
        invocation = await ann.invoke(words, **options)
        assert (await call.answer(invocation, 5)).status == 204
    with pytest.raises(InvocationRefused, match="no option 'الحجم'"):
        await ann.invoke("male dazu", الحجم=3)


async def test_the_same_name_is_the_same_member(local: LocalDiscord) -> None:
    assert local.member("Ann") is local.member("Ann")
    assert local.member("Ann").id != local.member("Bob").id
