"""The menu of a message with a picture, as a member uses it."""

import pytest

from bot.client.client import Atelier
from bot.library.built_in import BUILT_IN
from bot.library.library import reference
from bot.sandbox import Invocation, LocalDiscord, Member, Message, Permission, Upload
from tests.bot.conftest import CONTENT, STYLE, is_private_answer, photo
from tests.doubles.jobs import FakeJobs

SKY = Upload("SPOILER_sky.png", photo((90, 90), hue=1))
NOTES = Upload("notes.txt", b"no picture")


@pytest.fixture
async def ada(discord: LocalDiscord, client: Atelier) -> Member:
    """A member. The bot is connected."""
    return discord.member("Ada")


async def opened(member: Member, menu: str, message: Message) -> Invocation:
    """The modal that the menu opens."""
    invocation = await member.invoke_on(menu, message)
    await invocation.acknowledged()
    assert invocation.modal is not None
    return invocation


async def says(invocation: Invocation) -> str:
    return (await invocation.wait_until(is_private_answer)).content


async def accepted(fake_jobs: FakeJobs) -> None:
    await fake_jobs.accepted.wait()
    fake_jobs.accepted.clear()


async def test_stylize_paints_a_picture_of_the_message(ada: Member, discord: LocalDiscord, fake_jobs: FakeJobs) -> None:
    message = await discord.member("Bob").say("look", NOTES, CONTENT, SKY)
    modal = await opened(ada, "Stylize", message)
    await ada.submit(modal, style=[STYLE], quality=["quick"])
    await accepted(fake_jobs)
    modal = await opened(ada, "Stylize", message)
    await ada.submit(modal, picture=["2"], saved=[reference(BUILT_IN[0])])
    await accepted(fake_jobs)
    first, second = fake_jobs.orders
    assert (first.inputs.content, first.inputs.styles, first.recipe.steps) == (CONTENT.data, (STYLE.data,), 4)
    assert (first.owner, first.description, first.spoiler) == (ada.id, "town\x1fstrokes", False)
    assert (second.inputs.content, second.inputs.styles) == (SKY.data, (BUILT_IN[0].file.read_bytes(),))
    assert (second.recipe.steps, second.spoiler) == (30, True)
    assert second.description == f"sky\x1f{BUILT_IN[0].name}"
    none: dict[str, list[str] | list[Upload]] = {}
    for fields in (none, none | {"style": [STYLE], "saved": [reference(BUILT_IN[0])]}):
        modal = await opened(ada, "Stylize", message)
        assert (await says(await ada.submit(modal, **fields))).startswith("**Style:** ")
    assert len(fake_jobs.orders) == 2


async def test_use_as_style_asks_for_the_photo(ada: Member, discord: LocalDiscord, fake_jobs: FakeJobs) -> None:
    modal = await opened(ada, "Use as style", await ada.say("", STYLE))
    await ada.submit(modal, photo=[CONTENT])
    await accepted(fake_jobs)
    (order,) = fake_jobs.orders
    assert (order.inputs.content, order.inputs.styles) == (CONTENT.data, (STYLE.data,))


async def test_save_as_style_keeps_the_picture_under_a_name(ada: Member, discord: LocalDiscord) -> None:
    saved = await ada.submit(await opened(ada, "Save as style", await ada.say("", STYLE)))  # its name is filled in
    assert (await says(saved)).startswith("Added **strokes** to your styles.")
    message = await ada.say("", STYLE, CONTENT)
    again = await ada.submit(await opened(ada, "Save as style", message), name="Strokes")
    assert "already a style" in await says(again)
    mod = discord.member("Mod")
    mod.permissions |= Permission.MANAGE_GUILD
    modal = await opened(mod, "Save as style", message)
    saved = await mod.submit(modal, name="Town", picture=["2"], library=["server"])
    assert (await says(saved)).startswith("Added **Town** to this server's styles.")


async def test_a_form_from_before_a_restart_is_refused_in_words(
    ada: Member, fake_jobs: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.client.client.ANOTHER_ANSWERS_WITHIN", 0)
    modal = await opened(ada, "Use as style", await ada.say("", STYLE))
    assert modal.modal is not None
    modal.modal["custom_id"] = "0" * 32  # discord.py makes another one for each modal
    answer = await says(await ada.submit(modal, photo=[CONTENT]))
    assert answer.startswith("I no longer know what this form was for")
    assert fake_jobs.orders == []


async def test_pictures_in_components_can_be_used_and_messages_without_pictures_are_refused(
    ada: Member, discord: LocalDiscord, fake_jobs: FakeJobs
) -> None:
    listed = await ada.invoke("style list")
    gallery = await listed.wait_until(lambda message: bool(message.components))
    await ada.submit(await opened(ada, "Stylize", gallery), style=[STYLE])
    await accepted(fake_jobs)
    assert fake_jobs.orders[0].inputs.content == BUILT_IN[0].file.read_bytes()  # and not the thumbnail of the list
    await ada.submit(await opened(ada, "Use as style", gallery), photo=[CONTENT], picture=["2"])
    await accepted(fake_jobs)
    assert fake_jobs.orders[1].inputs.styles == (BUILT_IN[1].file.read_bytes(),)
    saved = await ada.submit(await opened(ada, "Save as style", gallery), name="Swirls")
    assert (await says(saved)).startswith("Added **Swirls** to your styles.")
    shown = await ada.invoke("style show", name="Swirls")
    mine = await shown.wait_until(lambda message: bool(message.attachments))
    assert mine.attachments[0].data == BUILT_IN[0].file.read_bytes()
    for message in (await ada.say("only words"), await ada.say("", NOTES)):
        answer = await says(await ada.invoke_on("Stylize", message))
        assert answer == "This message has no picture that I can use. Choose one with an attached picture."
