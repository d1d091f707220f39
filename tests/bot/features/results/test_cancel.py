"""The cancel button, pressed at the wrong time, by the wrong member, or while the database is slow."""

import asyncio

import pytest

from bot.client.client import Atelier
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.model import Job, State
from bot.sandbox import Invocation, LocalDiscord, Message, Permission
from tests.bot.conftest import CONTENT, STYLE, is_private_answer
from tests.doubles.jobs import FakeJobs

CALLBACK = "POST /interactions/{interaction_id}/{interaction_token}/callback"


@pytest.fixture
async def job(discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs) -> Job:
    """Ada's accepted job."""
    await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE)
    await fake_jobs.accepted.wait()
    (job,) = fake_jobs.jobs.values()
    return job


@pytest.fixture
async def waiting(discord: LocalDiscord, client: Atelier, job: Job) -> Message:
    """Its reply, with the button."""
    shown = asyncio.Event()
    discord.on_message(lambda message: shown.set() if message.buttons else None)
    reply = DiscordReply(client, job, views(client), client.services.executor)
    reply.queued(1)
    await shown.wait()
    await reply.close()
    (message,) = discord.channel_messages
    return message


async def press(discord: LocalDiscord, message: Message, member: str = "Ada") -> Invocation:
    return await discord.member(member).press(message, "Cancel")


async def test_a_press_cancels_the_job_and_is_answered_privately(
    discord: LocalDiscord, fake_jobs: FakeJobs, job: Job, waiting: Message
) -> None:
    answer = await (await press(discord, waiting)).wait_until(is_private_answer)
    assert answer.content == "Cancelled."
    assert fake_jobs.jobs[job.id].state is State.CANCELLED


async def test_other_members_cannot_cancel(
    discord: LocalDiscord, fake_jobs: FakeJobs, job: Job, waiting: Message
) -> None:
    answer = await (await press(discord, waiting, "Bob")).wait_until(is_private_answer)
    assert "Only the member who requested" in answer.content
    assert fake_jobs.jobs[job.id].state is State.QUEUED
    (message,) = discord.channel_messages
    assert message.buttons


async def test_moderators_of_the_jobs_server_can_cancel(
    discord: LocalDiscord, fake_jobs: FakeJobs, job: Job, waiting: Message
) -> None:
    moderator = discord.member("Bob")
    moderator.permissions |= Permission.MANAGE_MESSAGES
    fake_jobs.hold(job, guild_id=(job.guild_id or 0) + 1)
    answer = await (await moderator.press(waiting, "Cancel")).wait_until(is_private_answer)
    assert "Only the member who requested" in answer.content
    fake_jobs.hold(job)
    answer = await (await moderator.press(waiting, "Cancel")).wait_until(is_private_answer)
    assert answer.content == "Cancelled."
    assert fake_jobs.jobs[job.id].state is State.CANCELLED


async def test_a_press_after_the_end_is_answered_and_removes_the_button(
    discord: LocalDiscord, fake_jobs: FakeJobs, job: Job, waiting: Message
) -> None:
    fake_jobs.hold(job, state=State.DELIVERED, delivered_by="kept")
    invocation = await press(discord, waiting)
    assert "`/jobs`" in (await invocation.wait_until(is_private_answer)).content
    tidy = await invocation.wait_until(lambda message: message.id == waiting.id and not message.buttons)
    assert tidy.content == waiting.content


async def test_a_press_is_acknowledged_while_the_database_is_slow(
    discord: LocalDiscord, fake_jobs: FakeJobs, waiting: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slowly(_job: str, _member: int) -> None:
        asked.set()
        await answered.wait()

    monkeypatch.setattr(fake_jobs, "cancel", slowly)
    invocation = await press(discord, waiting)
    await asked.wait()
    await invocation.acknowledged()
    answered.set()
    assert (await invocation.wait_until(is_private_answer)).content == "Cancelled."


async def test_a_bug_is_reported_to_the_member(discord: LocalDiscord, fake_jobs: FakeJobs, waiting: Message) -> None:
    fake_jobs.refusal = RuntimeError("a bug")
    answer = await (await press(discord, waiting)).wait_until(is_private_answer)
    assert "Something went wrong" in answer.content


async def test_a_press_that_another_process_answers_is_ignored(
    discord: LocalDiscord, fake_jobs: FakeJobs, job: Job, waiting: Message, capsys: pytest.CaptureFixture[str]
) -> None:
    discord.fail_next(CALLBACK, 400, code=40060)
    refused = asyncio.Event()
    discord.on_request(lambda request: refused.set() if request.status == 400 else None)
    invocation = await press(discord, waiting)
    await refused.wait()
    await asyncio.sleep(0.2)
    assert fake_jobs.jobs[job.id].state is State.QUEUED
    assert invocation.history == ()
    assert "could not be answered" not in capsys.readouterr().err
