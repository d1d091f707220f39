"""Buttons, menus and modals: what a member can do with them, and how the bot answers."""

from __future__ import annotations

import discord
import pytest

from bot.sandbox import InvocationRefused, LocalDiscord, Upload
from tests.bot.sandbox.conftest import Caller, Probe

EPHEMERAL = 64
ROW = {"type": 1, "components": [{"type": 2, "style": 1, "label": "More", "custom_id": "more:1"}]}


async def test_discord_py_handles_a_button(local: LocalDiscord, bot: Probe) -> None:
    class Buttons(discord.ui.View):
        @discord.ui.button(label="More", custom_id="more:1")
        async def more(self, interaction: discord.Interaction, button: discord.ui.Button[Buttons]) -> None:
            button.disabled = True
            await interaction.response.edit_message(content="more", view=self)
            await interaction.followup.send("coming", ephemeral=True)

    @bot.tree.command(description="Answer")
    async def ping(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("pong", view=Buttons())

    await bot.tree.sync()
    ann = local.member("Ann")
    invocation = await ann.invoke("ping")
    message = await invocation.wait_until(lambda message: bool(message.buttons))
    pressed = await local.member("Bob").press(message, "More")
    changed = await pressed.wait_until(lambda message: message.content == "more")
    assert changed.id == message.id
    assert changed.buttons[0].disabled
    # The member who sent the command sees the change, too.
    assert invocation.original == changed
    follow_up = await pressed.wait_until(lambda message: message.content == "coming")
    assert follow_up.ephemeral
    assert pressed.original == changed
    with pytest.raises(InvocationRefused, match="0 buttons 'More'"):
        await ann.press(message, "More")


async def test_after_a_deferred_press_the_token_edits_the_message(call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 4, {"content": "pong", "components": [ROW]})
    assert invocation.original is not None
    pressed = await call.local.member("Ann").press(invocation.original, "more:1")
    reply = await call.answer(pressed, 6)
    assert reply.status == 204
    states = pressed.history
    assert states == ()
    await call("PATCH", call.hook(pressed, "/messages/@original"), json={"content": "changed", "components": []})
    assert pressed.original is not None
    assert (pressed.original.id, pressed.original.content) == (invocation.original.id, "changed")
    await call("POST", call.hook(pressed), json={"content": "a new message"})
    assert pressed.history[-1].id != invocation.original.id


async def test_a_press_can_be_answered_with_a_new_deferred_message(call: Caller) -> None:
    invocation = await call.begin()
    await call.answer(invocation, 4, {"content": "pong", "components": [ROW]})
    assert invocation.original is not None
    pressed = await call.local.member("Ann").press(invocation.original, "More")
    reply = await call.answer(pressed, 5, {"flags": EPHEMERAL}, params={"with_response": "true"})
    described = reply.json["interaction"]
    assert described["response_message_loading"] is True
    assert described["response_message_ephemeral"] is True
    assert described["response_message_id"] != str(invocation.original.id)


async def test_only_members_who_see_a_message_can_press_its_buttons(call: Caller) -> None:
    invocation = await call.begin("Ann")
    await call.answer(invocation, 4, {"content": "pong", "components": [ROW], "flags": EPHEMERAL})
    assert invocation.original is not None
    with pytest.raises(InvocationRefused, match="Bob does not see"):
        await call.local.member("Bob").press(invocation.original, "More")
    await call.local.member("Ann").press(invocation.original, "More")
    await call("DELETE", call.hook(invocation, "/messages/@original"))
    with pytest.raises(InvocationRefused, match="deleted"):
        await call.local.member("Ann").press(invocation.history[0], "More")


async def test_discord_py_opens_a_modal_with_a_file(local: LocalDiscord, bot: Probe) -> None:
    class Ask(discord.ui.Modal, title="A style"):
        name: discord.ui.TextInput[Ask] = discord.ui.TextInput(label="Name", custom_id="name", min_length=2)
        picture: discord.ui.Label[Ask] = discord.ui.Label(
            text="Picture", component=discord.ui.FileUpload(custom_id="picture")
        )

        async def on_submit(self, interaction: discord.Interaction) -> None:
            assert isinstance(self.picture.component, discord.ui.FileUpload)
            [file] = self.picture.component.values
            await interaction.response.send_message(f"{self.name.value} {file.filename} {len(await file.read())}")

    @bot.tree.command(description="Ask")
    async def ask(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Ask())

    await bot.tree.sync()
    ann = local.member("Ann")
    asked = await ann.invoke("ask")
    await asked.acknowledged()
    with pytest.raises(InvocationRefused, match="2 to 4000 characters"):
        await ann.submit(asked, name="W", picture=[Upload("w.png", b"12")])
    with pytest.raises(InvocationRefused, match="1 to 1 values, not 0"):
        await ann.submit(asked, name="Wheat")
    submitted = await ann.submit(asked, name="Wheat", picture=[Upload("w.png", b"12")])
    message = await submitted.wait_until(lambda message: True)
    assert message.content == "Wheat w.png 2"


async def test_discord_py_handles_a_select_menu(local: LocalDiscord, bot: Probe) -> None:
    class Menu(discord.ui.View):
        @discord.ui.select(
            custom_id="style", options=[discord.SelectOption(label="Wheat"), discord.SelectOption(label="Waves")]
        )
        async def style(self, interaction: discord.Interaction, select: discord.ui.Select[Menu]) -> None:
            await interaction.response.edit_message(content=select.values[0], view=None)

    @bot.tree.command(description="Choose")
    async def choose(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("which?", view=Menu())

    await bot.tree.sync()
    ann = local.member("Ann")
    asked = await (await ann.invoke("choose")).wait_until(lambda message: True)
    with pytest.raises(InvocationRefused, match="offers"):
        await ann.choose(asked, "style", "Clouds")
    chosen = await (await ann.choose(asked, "style", "Waves")).wait_until(lambda message: True)
    assert (chosen.content, chosen.components) == ("Waves", ())


async def test_discord_py_handles_a_button_in_direct_messages(local: LocalDiscord, bot: Probe) -> None:
    class Buttons(discord.ui.View):
        @discord.ui.button(label="Again", custom_id="again")
        async def again(self, interaction: discord.Interaction, button: discord.ui.Button[Buttons]) -> None:
            where = "direct" if interaction.guild is None and interaction.context.dm_channel else "elsewhere"
            await interaction.response.edit_message(content=f"{interaction.user.name} {where}", view=None)

    ann = local.member("Ann")
    direct = await bot.create_dm(discord.Object(ann.id))
    await direct.send("your picture", view=Buttons())
    [message] = local.direct_messages(ann)
    pressed = await ann.press(message, "Again")
    assert (await pressed.wait_until(lambda message: True)).content == "Ann direct"


async def test_missing_commands_and_components_cannot_be_used(local: LocalDiscord, call: Caller) -> None:
    said = await local.member("Bob").say("hello")
    ann = local.member("Ann")
    with pytest.raises(InvocationRefused, match="no command 'Paint this'"):
        await ann.invoke_on("Paint this", said)
    with pytest.raises(InvocationRefused, match="no select menu 'style'"):
        await ann.choose(said, "style", "Waves")
    invocation = await call.begin()
    with pytest.raises(InvocationRefused, match="no modal is open"):
        await ann.submit(invocation, name="Wheat")
    with pytest.raises(InvocationRefused, match="no option 'style' that suggests"):
        await ann.autocomplete("ping", "style", "w")


async def test_links_and_disabled_buttons_cannot_be_pressed(call: Caller) -> None:
    link = {"type": 2, "style": 5, "label": "Site", "url": "https://a.example"}
    disabled = {"type": 2, "style": 1, "label": "Later", "custom_id": "later", "disabled": True}
    invocation = await call.begin()
    await call.answer(invocation, 4, {"components": [{"type": 1, "components": [link, disabled]}]})
    assert invocation.original is not None
    assert [(one.label, one.custom_id, one.disabled) for one in invocation.original.buttons] == [
        ("Site", None, False),
        ("Later", "later", True),
    ]
    for label in ("Site", "Later", "later"):
        with pytest.raises(InvocationRefused, match="0 buttons"):
            await call.local.member("Ann").press(invocation.original, label)


async def test_a_member_chooses_members(local: LocalDiscord, bot: Probe) -> None:
    class Menu(discord.ui.View):
        @discord.ui.select(cls=discord.ui.UserSelect, custom_id="who", max_values=2)
        async def who(self, interaction: discord.Interaction, select: discord.ui.UserSelect[Menu]) -> None:
            await interaction.response.send_message(" ".join(each.display_name for each in select.values))

    @bot.tree.command(description="Choose")
    async def choose(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("Who?", view=Menu())

    await bot.tree.sync()
    ann, bob = local.member("Ann"), local.member("Bob")
    asked = await (await ann.invoke("choose")).wait_until(lambda message: True)
    with pytest.raises(InvocationRefused, match="offers"):
        await ann.choose(asked, "who", "1")
    chosen = await (await ann.choose(asked, "who", str(bob.id), str(ann.id))).wait_until(lambda message: True)
    assert set(chosen.content.split()) == {"Ann", "Bob"}
