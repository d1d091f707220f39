"""Comparisons and timelapses, from the menu under a result."""

import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from bot.client.client import Atelier
from bot.client.services import Services
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.database.store import Store
from bot.jobs.model import Job, Painted, State
from bot.sandbox import LocalDiscord, Message
from engine.progress import Result
from engine.recipe import Inputs
from tests.bot.conftest import CONTENT, STYLE, is_private_answer
from tests.doubles.executor import FakeExecutor
from tests.doubles.jobs import FakeJobs, insert_job

Painting = Callable[[int], Awaitable[tuple[Job, Message]]]


@pytest.fixture
def painting(
    discord: LocalDiscord, client: Atelier, services: Services, fake_jobs: FakeJobs, client_store: Store
) -> Painting:
    """Order a painting as Ada, and deliver it as a spoiler with that number of frames."""

    async def deliver(frames: int) -> tuple[Job, Message]:
        assert isinstance(services.executor, FakeExecutor)
        put = services.executor.blobs.put
        await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE)
        await fake_jobs.accepted.wait()
        fake_jobs.accepted.clear()
        ordered = fake_jobs.jobs[fake_jobs.orders[-1].id]
        result = Result(b"painting", "png", 96, 72, ordered.recipe, 30, 2.0, "finished")
        job = dataclasses.replace(
            ordered,
            state=State.DELIVERED,
            spoiler=True,
            inputs=Inputs(put(b"photo"), (put(b"style"),)),
            painted=Painted.of(result, put(b"painting")),
            frames={number: put(b"frame %d" % number) for number in range(frames)},
        )
        await insert_job(client_store, job)
        await DiscordReply(client, job, views(client), client.services.executor).deliver(result)
        return job, discord.channel_messages[-1]

    return deliver


def menu(message: Message) -> str:
    """The custom id of the menu under a result."""
    (select,) = (row["components"][0] for row in message.components if row["components"][0]["type"] == 3)
    custom_id: str = select["custom_id"]
    return custom_id


async def test_only_the_owner_gets_the_comparison_and_the_timelapse(discord: LocalDiscord, painting: Painting) -> None:
    job, message = await painting(2)
    custom_id = menu(message)
    ada, bob = discord.member("Ada"), discord.member("Bob")
    answer = await (await ada.choose(message, custom_id, "compare")).wait_until(is_private_answer)
    assert answer.content == "town, painted in the style of strokes: before and after"
    (picture,) = answer.attachments
    assert (picture.filename, picture.data) == (f"SPOILER_comparison-{job.id}.jpg", b"comparison photo painting")
    assert picture.description == "The photo and the painting side by side: town, painted in the style of strokes"
    answer = await (await ada.choose(message, custom_id, "timelapse")).wait_until(is_private_answer)
    (picture,) = answer.attachments
    assert (picture.filename, picture.data) == (f"SPOILER_timelapse-{job.id}.webp", b"webp frame 0 frame 1 painting")
    gif = await (await ada.press(answer, f"gif:{job.id}")).wait_until(
        lambda shown: is_private_answer(shown) and shown.id != answer.id
    )
    assert [each.data for each in gif.attachments] == [b"gif frame 0 frame 1 painting"]
    assert gif.buttons == ()
    for entry in ("compare", "timelapse"):
        refused = await (await bob.choose(message, custom_id, entry)).wait_until(is_private_answer)
        assert "Only the member who requested" in refused.content
    discord.attachment_size_limit = 10
    answer = await (await ada.choose(message, custom_id, "compare")).wait_until(is_private_answer)
    assert "more than I can send here" in answer.content
    assert [each.id for each in discord.channel_messages] == [message.id]


async def test_a_missing_timelapse_is_explained(discord: LocalDiscord, services: Services, painting: Painting) -> None:
    ada = discord.member("Ada")
    _, message = await painting(1)
    answer = await (await ada.choose(message, menu(message), "timelapse")).wait_until(is_private_answer)
    assert answer.content.startswith("There is no timelapse of this picture")
    job, message = await painting(2)
    assert isinstance(services.executor, FakeExecutor)
    services.executor.blobs.remove(job.frames[0])
    answer = await (await ada.choose(message, menu(message), "timelapse")).wait_until(is_private_answer)
    assert "were lost" in answer.content
