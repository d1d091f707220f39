"""The other buttons: those of an unfinished painting, and *Delete*."""

import asyncio

from bot.client.client import Atelier
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.model import State
from bot.sandbox import LocalDiscord
from tests.bot.conftest import is_private_answer
from tests.bot.features.results.conftest import Delivered
from tests.doubles.jobs import FakeJobs


async def test_only_the_owner_can_delete_the_message_and_its_job(
    discord: LocalDiscord, fake_jobs: FakeJobs, delivered: Delivered
) -> None:
    job, message = await delivered()

    async def says(member: str) -> str:
        press = await discord.member(member).press(message, "Delete")
        return (await press.wait_until(is_private_answer)).content

    refusal = "Only the member who requested this picture, or a moderator of its server, can do that."
    assert await says("Bob") == refusal
    fake_jobs.hold(job, state=State.DELIVERING)
    assert "not finished yet" in await says("Ada")
    fake_jobs.hold(job)
    assert len(discord.channel_messages) == 1
    assert await says("Ada") == "Deleted."
    assert discord.channel_messages == []
    assert fake_jobs.jobs == {}
    job, message = await delivered()
    del fake_jobs.jobs[job.id]  # as retention does
    assert "already finished, cancelled or deleted" in await says("Bob")
    assert await says("Ada") == "Deleted."
    assert discord.channel_messages == []


async def test_a_running_painting_can_be_finished_early_and_mentions_only_its_owner(
    discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs, delivered: Delivered
) -> None:
    job, _ = await delivered()
    job = fake_jobs.hold(job, state=State.QUEUED, painted=None)
    reply = DiscordReply(client, job, views(client), client.services.executor)
    shown = asyncio.Event()
    discord.on_message(lambda message: shown.set() if message.buttons else None)
    reply.queued(1)
    await shown.wait()
    message = discord.channel_messages[-1]

    async def says(label: str, member: str = "Ada") -> str:
        press = await discord.member(member).press(message, label)
        return (await press.wait_until(is_private_answer)).content

    assert [button.label for button in message.buttons] == ["Cancel", "Good enough", "Ping me when done"]
    assert "still waiting in line" in await says("Good enough")
    fake_jobs.hold(job, state=State.RUNNING)
    for label in ("Good enough", "Ping me when done"):
        assert await says(label, "Bob") == "Only the member who requested this picture can do that."
    assert await says("Good enough") == "I'll finish it with the picture as it is now."
    assert fake_jobs.jobs[job.id].finishing
    assert await says("Ping me when done") == "I'll mention you when it is done."
    assert fake_jobs.jobs[job.id].pings
    assert await says("Ping me when done") == "I won't mention you."
    await reply.close()
    await reply.ping("token", State.DELIVERED)
    ping = discord.channel_messages[-1]
    assert ping.content == f"<@{job.owner}> Your picture is finished."
    assert [each.pings for each in discord.channel_messages] == [set(), {job.owner}]
