"""``/admin``: the information and the actions of operators, the refusal of others, and messages to a blocked member."""

from datetime import UTC, datetime

import pytest

from bot import features
from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.errors import UnexpectedError
from bot.jobs.model import State
from bot.jobs.rules import Controls
from bot.sandbox import InvocationRefused, LocalDiscord
from bot.sandbox.member import Member, OptionValue
from bot.settings import Settings
from engine.errors import OutOfMemory
from tests.bot.conftest import CONTENT, STYLE, is_private_answer, text_of
from tests.bot.jobs.conftest import job
from tests.doubles.jobs import FakeJobs


@pytest.fixture
def client_settings(discord: LocalDiscord, client_settings: Settings) -> Settings:
    """Grace is the operator."""
    return client_settings.model_copy(update={"operator_ids": frozenset({discord.member("Grace").id})})


@pytest.fixture
def operator(discord: LocalDiscord, client: Atelier) -> Member:
    """Grace, in direct messages with the bot."""
    grace = discord.member("Grace")
    return grace.at(discord.direct(grace))


async def answer(asker: Member, command: str, /, **options: OptionValue) -> str:
    """The bot's ephemeral answer."""
    return (await (await asker.invoke(f"admin {command}", **options)).wait_until(is_private_answer)).content


async def test_pause_drain_and_resume(operator: Member, services: Services) -> None:
    store = services.store
    await store.add(job(), "a process", "a cluster", 3)
    for _ in range(2):
        assert "no painting begins" in await answer(operator, "pause")
        assert await store.controls() == Controls(paused=True)
    text = await answer(operator, "drain")
    assert "Pictures left: **1**." in text
    assert "Painting is paused" in text
    assert await store.controls() == Controls(paused=True, draining=True)
    status = await answer(operator, "status")
    assert status.startswith("**Paused:** no painting begins.\n**Draining:** no orders are accepted.\nWaiting: 1")
    assert await answer(operator, "resume") == "Orders are accepted and paintings begin."
    assert await store.controls() == Controls()


async def test_status_and_failures(operator: Member, services: Services) -> None:
    store = services.store
    assert await answer(operator, "failures") == "None of the stored pictures has failed."
    await store.renew("me")
    stored = [job(owner, guild_id=None, created_at=datetime.now(UTC)) for owner in (1, 2, 3)]
    for each in stored:
        await store.add(each, "me", "a cluster", 3)
        await store.begin(each.id, "me", "a cluster")
    for each, cause in zip(stored, [OutOfMemory(384), UnexpectedError(stored[1].id)], strict=False):
        await store.give_up(each.id, cause)
        await store.conclude(each.id, "me", State.FAILED, "token")
    assert "Waiting: 0\nBeing painted: 1\nBeing sent: 0\nBot processes: 1\n" in await answer(operator, "status")
    second, first = (await answer(operator, "failures")).splitlines()
    assert first.startswith(f"`{stored[0].id}` <t:")
    assert "OutOfMemory: There was not enough memory" in first
    assert second.startswith(f"`{stored[1].id}` <t:")
    assert "UnexpectedError" in second


async def test_probe_tries_a_gallery_and_its_end_decides_about_the_next_pages(
    discord: LocalDiscord, operator: Member
) -> None:
    for refuses in (True, False):
        discord.refuses_gallery_edits = refuses
        probed = await (await operator.invoke("admin probe")).wait_until(is_private_answer)
        listed = await (await operator.invoke("style list")).wait_until(is_private_answer)
        said = "refuses" if refuses else "accepts"
        assert text_of(probed).startswith(f"Discord {said} a new picture in a gallery")
        assert ("400 Bad Request" in text_of(probed)) is refuses
        for message in (probed, listed):
            assert message.attachments
            assert any(part["type"] == 12 for part in message.components) is not refuses
    # While galleries are refused, only the probe tries one.
    edits = [each.status for each in discord.requests if each.route.endswith("/messages/@original")]
    assert edits == [400, 200, 200, 200, 200]


async def test_block_and_unblock(discord: LocalDiscord, operator: Member, services: Services) -> None:
    bob = discord.member("Bob")
    assert [await answer(operator, "block", member=bob) for _ in range(2)] == [
        f"<@{bob.id}> is blocked.",
        f"<@{bob.id}> was blocked already.",
    ]
    assert (await services.store.controls()).blocked == {bob.id}
    assert "Blocked members: 1" in await answer(operator, "status")
    assert await answer(operator, "unblock", member=bob) == f"<@{bob.id}> is no longer blocked."
    assert await answer(operator, "unblock", member=bob) == f"<@{bob.id}> was not blocked."
    assert "is an operator" in await answer(operator, "block", member=operator)


async def test_other_members_cannot_use_the_command(
    discord: LocalDiscord, operator: Member, services: Services
) -> None:
    bob = discord.member("Bob")
    with pytest.raises(InvocationRefused):
        await bob.invoke("admin pause")
    there = bob.at(discord.direct(bob))
    commands: dict[str, dict[str, OptionValue]] = {"pause": {}, "status": {}, "block": {"member": operator}}
    for command, options in commands.items():
        assert await answer(there, command, **options) == "Only the bot's operators can use this command."
    assert await services.store.controls() == Controls()


async def test_a_blocked_member_gets_only_a_refusal(
    discord: LocalDiscord, client: Atelier, services: Services, fake_jobs: FakeJobs
) -> None:
    bob = discord.member("Bob")
    await services.store.add(job(bob.id), "a process", "a cluster", 3)
    listed = await (await bob.invoke("jobs")).wait_until(lambda message: bool(message.buttons))
    fake_jobs.blocked.add(bob.id)
    for invocation in (
        await bob.invoke("stylize", content=CONTENT, style=STYLE),
        await bob.invoke("jobs"),
        await bob.press(listed, "Cancel 1"),
    ):
        told = await invocation.wait_until(is_private_answer)
        assert told.content.startswith("You can't use me at the moment.")
    suggestions = await bob.autocomplete("stylize", "saved_style", "")
    await suggestions.acknowledged()
    assert suggestions.acknowledged_after is not None
    assert not suggestions.choices
    assert fake_jobs.orders == []


async def test_without_operators_the_command_does_not_exist(
    discord: LocalDiscord, client_settings: Settings, services: Services
) -> None:
    async with Atelier(client_settings.model_copy(update={"operator_ids": None}), services) as other:
        features.load(other)
        assert "admin" not in {command.name for command in other.tree.get_commands()}
