"""A reply to Ada's command, and what she sees of it."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from bot.client.client import Atelier
from bot.delivery.reply import DiscordReply
from bot.delivery.target import ReplyTarget
from bot.features.results.views import views
from bot.jobs.model import DeliveredBy, Ending, Job, State
from bot.sandbox import Invocation, LocalDiscord, Message
from engine.progress import Progress, Result
from engine.recipe import Recipe
from tests.bot.conftest import CONTENT, STYLE, photo
from tests.doubles.jobs import FakeJobs

BY_TOKEN = "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"
BY_BOT = "PATCH /channels/{channel_id}/messages/{message_id}"
SEND = "POST /channels/{channel_id}/messages"
LOOK = "GET /channels/{channel_id}/messages"
OPEN_DIRECT = "POST /users/@me/channels"
PICTURE = photo((96, 72))
HTML_413 = "<html><head><title>413 Request Entity Too Large</title></head></html>"


def result(picture: bytes = PICTURE) -> Result:
    return Result(picture, "png", 96, 72, Recipe(), 60, 8.0, "finished")


def progress(step: int = 3, preview: bytes | None = None) -> Progress:
    return Progress(step, 60, 128, 1.0, 0.5, 0.5, 1.0, 20.0, preview)


ReplyTo = Callable[[Job], DiscordReply]
Deliver = Callable[[Job, Ending], Awaitable[DeliveredBy]]


@pytest.fixture(autouse=True)
def no_edit_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine an edit may take so long that the reply assumes a retry by discord.py."""
    monkeypatch.setattr("bot.delivery.reply.RETRIED_AFTER", 3600.0)


@pytest.fixture
async def invocation(discord: LocalDiscord, client: Atelier) -> Invocation:
    """Ada's command, accepted."""
    invocation = await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE)
    await invocation.acknowledged()
    return invocation


@pytest.fixture
async def job(invocation: Invocation, fake_jobs: FakeJobs) -> Job:
    """Its job, running."""
    await fake_jobs.accepted.wait()
    (job,) = fake_jobs.jobs.values()
    return dataclasses.replace(job, state=State.RUNNING)


@pytest.fixture
async def reply_to(client: Atelier) -> AsyncIterator[ReplyTo]:
    """Makes replies, and closes them at the end."""
    replies: list[DiscordReply] = []

    def make(job: Job) -> DiscordReply:
        replies.append(DiscordReply(client, job, views(client), client.services.executor))
        return replies[-1]

    yield make
    for reply in replies:
        await reply.close()


@pytest.fixture
def deliver(reply_to: ReplyTo) -> Deliver:
    """Deliver twice, the second time as a process does that adopts the job after a crash. Both must use the same
    channel.
    """

    async def twice(job: Job, ending: Ending) -> DeliveredBy:
        delivered_by = await reply_to(job).deliver(ending)
        again = await reply_to(dataclasses.replace(job, state=State.DELIVERING)).deliver(ending)
        assert again == delivered_by
        return delivered_by

    return twice


def expire_token(discord: LocalDiscord) -> None:
    discord.clock.advance(16 * 60)


async def moderator_deletes(discord: LocalDiscord, message_id: int) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {discord.token}"}) as moderator:
        url = f"{discord.api_url}/channels/{discord.channel_id}/messages/{message_id}"
        async with moderator.delete(url) as answer:
            assert answer.status == 204


def the_one(messages: list[Message]) -> Message:
    (message,) = messages
    return message


def direct_messages(discord: LocalDiscord) -> list[Message]:
    return discord.direct_messages(discord.member("Ada"))


def shows(message: Message, picture: bytes = PICTURE) -> bool:
    return [attachment.data for attachment in message.attachments] == [picture]


def requests(discord: LocalDiscord, route: str) -> int:
    return sum(f"{request.method} {request.route}" == route for request in discord.requests)


def moved(job: Job, **changes: Any) -> Job:
    """The job with its reply at another address."""
    address = ReplyTarget.model_validate_json(job.address).model_copy(update=changes)
    return dataclasses.replace(job, address=address.model_dump_json())
