"""The first answer to a command, while connections break."""

import pytest

from bot.client import Atelier
from bot.sandbox import Faults, LocalDiscord
from tests.bot.commands.test_stylize import TIMEOUT, stylize
from tests.bot.conftest import told
from tests.bot.held import HeldJobs

CALLBACK = frozenset({"/interactions/{interaction_id}/{interaction_token}/callback"})
FAULTS = {
    "reset_before": Faults(only=CALLBACK, reset_before=1.0),
    "reset_after": Faults(only=CALLBACK, reset_after=1.0),
}


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lost_answer_loses_no_order(discord: LocalDiscord, held: HeldJobs, fault: str) -> None:
    discord.inject(FAULTS[fault])
    discord.on_request(lambda _: discord.inject(None))
    invocation = await stylize(discord)
    await held.accepted.wait()
    (order,) = held.orders
    assert order.id == f"{invocation.id:016x}"
    assert discord.faults[fault] == 1
    assert f'"message":{invocation.history[0].id}' in order.address


@pytest.mark.usefixtures("client")
async def test_an_error_is_still_told_to_the_member_alone(
    client: Atelier, discord: LocalDiscord, held: HeldJobs
) -> None:
    held.refusal = RuntimeError("a fault of ours")
    discord.inject(FAULTS["reset_after"])
    discord.on_request(lambda _: discord.inject(None))
    invocation = await stylize(discord)
    message = await invocation.wait_until(told, TIMEOUT)
    assert message.content.startswith("Something went wrong on our side.")
    assert discord.channel_messages == []
