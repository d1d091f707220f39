"""`/style` as a member and a moderator use it, and `saved_style` of `/stylize`."""

import re

import pytest

from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.errors import style_role
from bot.library.built_in import BUILT_IN
from bot.sandbox import Invocation, LocalDiscord, Member, Message, Permission, Upload
from engine.errors import PictureDamaged
from tests.bot.conftest import CONTENT, STYLE, is_private_answer, photo, text_of
from tests.doubles.executor import FakeExecutor
from tests.doubles.jobs import FakeJobs

DOTS = Upload("dots.png", photo((90, 90), hue=4))


@pytest.fixture
async def ada(discord: LocalDiscord, client: Atelier) -> Member:
    """A member. The bot is connected."""
    return discord.member("Ada")


@pytest.fixture
async def mod(discord: LocalDiscord, client: Atelier) -> Member:
    """A member with the permission Manage Server."""
    moderator = discord.member("Mod")
    moderator.permissions |= Permission.MANAGE_GUILD
    return moderator


async def answer(invocation: Invocation) -> Message:
    return await invocation.wait_until(is_private_answer)


async def says(invocation: Invocation) -> str:
    return (await answer(invocation)).content


async def add(member: Member, name: str, picture: Upload = STYLE, **options: str) -> str:
    return await says(await member.invoke("style add", picture=picture, name=name, **options))


async def suggested(
    member: Member, typed: str = "", command: str = "stylize", option: str = "saved_style"
) -> list[str]:
    invocation = await member.autocomplete(command, option, typed)
    await invocation.acknowledged()
    return [choice["name"] for choice in invocation.choices]


async def choice(member: Member, typed: str) -> str:
    """The value of the first suggestion."""
    invocation = await member.autocomplete("stylize", "saved_style", typed)
    await invocation.acknowledged()
    value: str = invocation.choices[0]["value"]
    return value


async def page(member: Member) -> Message:
    invocation = await member.invoke("style list")
    return await invocation.wait_until(lambda message: bool(text_of(message)))


async def listed(member: Member) -> str:
    return text_of(await page(member))


async def test_a_style_is_added_found_shown_renamed_and_removed(ada: Member, discord: LocalDiscord) -> None:
    added = await answer(await ada.invoke("style add", picture=STYLE, name="  Sun_set *at*  sea "))
    assert added.content == "Added **Sun\\_set \\*at\\* sea** to your styles. Use it as `saved_style` of `/stylize`."
    (thumbnail,) = added.attachments
    assert (thumbnail.description, thumbnail.data) == ("Sun_set *at* sea", STYLE.data)
    assert await suggested(ada, "SET") == ["Sun_set *at* sea"]
    shown = await answer(await ada.invoke("style show", name="sun_SET *at* sea"))
    assert re.fullmatch(r"\*\*Sun\\_set .+ sea\*\* · your style, added <t:\d+:R>", shown.content)
    assert shown.attachments[0].data == STYLE.data
    value = await choice(ada, "sun")
    renamed = await says(await ada.invoke("style rename", name=value, new_name="Dawn"))
    assert renamed == "Renamed **Sun\\_set \\*at\\* sea** to **Dawn**."
    assert (await listed(ada)).startswith("**1.** Dawn\n")
    removed = await says(await ada.invoke("style remove", name=value))
    assert removed == "Removed **Dawn**. Pictures in progress still use it."
    again = await says(await ada.invoke("style remove", name=value))
    assert again == "This style doesn't exist any more. `/style list` shows your styles."
    assert "Dawn" not in await listed(ada)
    assert discord.channel_messages == []


async def test_all_members_can_use_the_servers_styles_and_moderators_can_change_them(
    ada: Member, mod: Member, discord: LocalDiscord
) -> None:
    assert "Manage Server" in await add(ada, "Waves", library="server")
    assert await add(mod, "Waves", library="server") == (
        "Added **Waves** to this server's styles. Everybody here can use it as `saved_style` of `/stylize`."
    )
    assert await add(ada, "Waves", DOTS) == "Added **Waves** to your styles. Use it as `saved_style` of `/stylize`."
    assert await suggested(ada, "wav") == ["Waves", "Waves (this server)"]
    assert (await listed(ada)).startswith("**1.** Waves\n**2.** Waves · this server\n")
    # By name, the member's own style comes first. Nobody else sees it.
    shown = await answer(await ada.invoke("style show", name="waves"))
    assert shown.attachments[0].data == DOTS.data
    mine, servers = [each["value"] for each in (await waiting(ada, "waves")).choices]
    shown = await answer(await mod.invoke("style show", name="waves"))
    assert shown.attachments[0].data == STYLE.data
    assert f"by <@{mod.id}>" in shown.content
    assert "doesn't exist any more" in await says(await mod.invoke("style show", name=mine))
    for command in ("style remove", "style rename"):
        options = {"new_name": "Mine"} if command == "style rename" else {}
        assert "Manage Server" in await says(await ada.invoke(command, name=servers, **options))
    direct = ada.at(discord.direct(ada))
    assert await suggested(direct, "wav") == ["Waves"]
    assert "doesn't exist any more" in await says(await direct.invoke("style show", name=servers))
    assert "has no server styles" in await add(direct, "Other", library="server")
    assert (await says(await mod.invoke("style remove", name="waves"))).startswith("Removed **Waves**.")
    assert await suggested(ada, "wav") == ["Waves"]


async def waiting(member: Member, typed: str) -> Invocation:
    invocation = await member.autocomplete("stylize", "saved_style", typed)
    await invocation.acknowledged()
    return invocation


async def test_a_style_that_cannot_be_saved_is_refused_with_a_reason(
    ada: Member, mod: Member, services: Services
) -> None:
    await add(ada, "Sea")
    await add(ada, "Sky")
    assert "already a style named **SEA**" in await add(ada, "SEA")
    assert "already a style named **sky**" in await says(await ada.invoke("style rename", name="sea", new_name="sky"))
    assert await add(ada, "#\u202e ") == "A style's name needs 1 to 50 characters."
    assert "built-in or trained style" in await says(await ada.invoke("style remove", name=BUILT_IN[0].name))
    assert await says(await ada.invoke("style show", name="@everyone")) == (
        "I know no style named **\\@everyone**. `/style list` shows your styles."
    )
    assert isinstance(services.executor, FakeExecutor)
    services.executor.refused[DOTS.data] = PictureDamaged("bad")
    assert (await add(ada, "Dots", DOTS)).startswith("**Style:** ")
    assert (await add(ada, "Large", Upload("large.png", bytes(2 * 2**20)))).startswith("**Style:** The file is too")
    for name in ("One", "Two", "Three"):
        text = await add(mod, name, library="server")
    assert text == "This server already has 2 styles. Remove one with `/style remove` first."


async def test_the_list_has_pages_with_pictures(ada: Member) -> None:
    for number in range(1, 12):
        await add(ada, f"Own {number:02}")
    first = await page(ada)
    assert first.ephemeral
    total = 11 + len(BUILT_IN)
    assert text_of(first).splitlines()[-1].startswith(f"-# 1 to 10 of {total}.")
    assert shown_names(first) == [f"Own {number:02}" for number in range(1, 11)]
    assert [(each.label, each.disabled) for each in first.buttons] == [("Previous", True), ("Next", False)]
    press = await ada.press(first, "Next")
    second = await press.wait_until(lambda message: "**11.**" in text_of(message))
    assert second.id == first.id
    assert text_of(second).startswith(f"**11.** Own 11\n**12.** {BUILT_IN[0].name} · built-in")
    assert shown_names(second)[:2] == ["Own 11", BUILT_IN[0].name]
    press = await ada.press(second, "Previous")
    await press.wait_until(lambda message: text_of(message) == text_of(first))


def shown_names(message: Message) -> list[str]:
    """The alt texts of a gallery."""
    return [item["description"] for part in message.components if part["type"] == 12 for item in part["items"]]


async def test_a_saved_style_is_painted_and_named_in_the_description(
    ada: Member, services: Services, fake_jobs: FakeJobs
) -> None:
    await add(ada, "St. Ives", DOTS)

    async def ordered(**options: str | Upload) -> None:
        fake_jobs.accepted.clear()
        await ada.invoke("stylize", content=CONTENT, **options)
        await fake_jobs.accepted.wait()

    await ordered(saved_style=await choice(ada, "ives"), style2=STYLE, mix="70 30")
    order = fake_jobs.orders[-1]
    assert (order.inputs.styles, order.recipe.style_shares) == ((DOTS.data, STYLE.data), (70, 30))
    assert order.description == "town\x1fSt. Ives\x1fstrokes"
    await ordered(saved_style=BUILT_IN[0].name.upper())
    assert fake_jobs.orders[-1].inputs.styles == (BUILT_IN[0].file.read_bytes(),)
    # A network paints some in one pass, if nothing speaks against that.
    mosaic = next(each for each in BUILT_IN if each.id == "mosaic")
    await ordered(saved_style=mosaic.name, quality="instant")
    assert fake_jobs.orders[-1].inputs.styles == (mosaic.network(),)
    assert fake_jobs.checked == {"content", style_role(0)}
    await ordered(saved_style=mosaic.name, quality="instant", saved_style2=BUILT_IN[0].name)
    assert fake_jobs.orders[-1].inputs.styles == tuple(each.file.read_bytes() for each in (mosaic, BUILT_IN[0]))


async def test_stylize_says_how_to_give_a_style(ada: Member, discord: LocalDiscord, fake_jobs: FakeJobs) -> None:
    assert await says(await ada.invoke("stylize", content=CONTENT)) == (
        "**Style:** Attach a style picture, or choose a saved style."
    )
    both = await says(await ada.invoke("stylize", content=CONTENT, style=STYLE, saved_style=BUILT_IN[0].name))
    assert both.startswith("**Style:** Give either a picture or a saved style, not both.")
    unknown = await says(await ada.invoke("stylize", content=CONTENT, saved_style="nothing"))
    assert unknown == "I know no style named **nothing**. `/style list` shows your styles."
    assert discord.channel_messages == []
    assert fake_jobs.orders == []
