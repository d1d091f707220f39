"""A delivered result, and what members do with it."""

from collections.abc import Awaitable, Callable

import pytest

from bot.client.client import Atelier
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.model import Job, Painted, State
from bot.sandbox import LocalDiscord, Message
from engine.presets import Quality
from engine.progress import Result
from tests.bot.conftest import CONTENT, STYLE, photo
from tests.doubles.jobs import FakeJobs

PICTURE = photo((96, 72))
Delivered = Callable[..., Awaitable[tuple[Job, Message]]]
"""Called with the quality, `standard` unless given."""


@pytest.fixture
def delivered(discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs) -> Delivered:
    """Order a painting as Ada, and deliver it. Return the job and the current message."""

    async def deliver(quality: Quality = "standard") -> tuple[Job, Message]:
        await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, quality=quality)
        await fake_jobs.accepted.wait()
        fake_jobs.accepted.clear()
        job = fake_jobs.jobs[fake_jobs.orders[-1].id]
        result = Result(PICTURE, "png", 96, 72, job.recipe, 30, 2.0, "finished")
        await DiscordReply(client, job, views(client), client.services.executor).deliver(result)
        job = fake_jobs.hold(job, state=State.DELIVERED, painted=Painted.of(result, "b" * 64), final_state="5" * 64)
        return job, discord.channel_messages[-1]

    return deliver
