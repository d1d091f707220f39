"""`/jobs` as a member uses it."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.client.client import Atelier
from bot.jobs.model import Job, Painted, State, new_id
from bot.sandbox import LocalDiscord, Message
from engine.errors import BlobLost, OutOfMemory
from engine.recipe import Inputs, Recipe
from tests.bot.conftest import is_private_answer, photo
from tests.doubles.jobs import FakeJobs

SHOW = "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original"
PICTURE = photo((96, 72))
PAINTED = Painted("77", "png", 96, 72, 60, 8.0, "finished")
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
async def ada(discord: LocalDiscord, client: Atelier) -> int:
    """Ada's id. The bot is connected."""
    return discord.member("Ada").id


def job(owner: int, age: int = 0, **changes: Any) -> Job:
    made = Job(
        id=new_id(),
        owner=owner,
        guild_id=None,
        recipe=Recipe(),
        inputs=Inputs("c0", ("51",)),
        address="",
        description="town, painted in the style of strokes",
        max_bytes=2**20,
        state=State.QUEUED,
        created_at=NOW - timedelta(minutes=age),
    )
    return dataclasses.replace(made, **changes)


async def listed(discord: LocalDiscord, member: str = "Ada") -> Message:
    invocation = await discord.member(member).invoke("jobs")
    return await invocation.wait_until(is_private_answer, 5)


async def shown(discord: LocalDiscord, message: Message, job_id: str) -> Message:
    choice = await discord.member("Ada").choose(message, "jobs:show", job_id)
    return await choice.wait_until(is_private_answer, 5)


def options(message: Message) -> list[str]:
    return [
        option["value"]
        for row in message.components
        for part in row["components"]
        if part["type"] == 3
        for option in part["options"]
    ]


class TestTheList:
    async def test_tells_what_became_of_each_newest_first(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int
    ) -> None:
        fake_jobs.hold(job(discord.member("Bob").id, 0, description="somebody else's"))
        fake_jobs.hold(job(ada, 9, state=State.FAILED, cause=OutOfMemory(512)))
        fake_jobs.hold(job(ada, 8, state=State.CANCELLED))
        fake_jobs.hold(job(ada, 7, state=State.EXPIRED))
        fake_jobs.hold(job(ada, 6, state=State.DELIVERED, delivered_by="kept", painted=PAINTED))
        fake_jobs.hold(job(ada, 5, state=State.DELIVERED, delivered_by="token", painted=PAINTED))
        fake_jobs.hold(job(ada, 4, state=State.DELIVERING, painted=PAINTED))
        fake_jobs.hold(job(ada, 3, state=State.RUNNING))
        fake_jobs.hold(job(ada, 2))
        message = await listed(discord)
        lines = message.content.splitlines()
        states = (
            "waiting",
            "being painted",
            "being sent",
            "finished",
            "finished, **saved here for you**",
            "not finished in time",
            "cancelled",
            "failed (There was not enough memory to paint at 512 px. Try again with a smaller size or quality)",
        )
        recipe = Recipe().id
        when = [int((NOW - timedelta(minutes=age)).timestamp()) for age in (2, 3, 4, 5, 6, 7, 8, 9)]
        assert lines == [
            f"**{number}.** town, painted in the style of strokes · {state} · <t:{at}:R> · recipe `{recipe}`"
            for number, (state, at) in enumerate(zip(states, when, strict=True), 1)
        ]
        assert [button.label for button in message.buttons] == ["Cancel 1", "Cancel 2"]
        assert discord.channel_messages == []

    async def test_is_friendly_when_there_is_nothing(self, discord: LocalDiscord, ada: int) -> None:
        message = await listed(discord)
        assert message.content == "You have no pictures yet. Use `/stylize` to paint one."
        assert message.components == ()

    async def test_fits_a_message_and_keeps_names_out_of_Markdown(  # noqa: N802
        self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int
    ) -> None:
        for age in range(12):
            fake_jobs.hold(job(ada, age, description="*" * 1024, state=State.FAILED, cause=OutOfMemory(2048)))
        message = await listed(discord)
        assert len(message.content.splitlines()) == 10
        assert message.content.count(r"\*") == message.content.count("*") - 10 * 4

    async def test_cancels_what_is_open(self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int) -> None:
        waiting = fake_jobs.hold(job(ada, 3))
        fake_jobs.hold(job(ada, 2, state=State.DELIVERED, painted=PAINTED))
        fake_jobs.hold(job(ada, 1))
        message = await listed(discord)
        press = await discord.member("Ada").press(message, "Cancel 3")
        assert (await press.wait_until(is_private_answer, 5)).content == "Cancelled."
        assert fake_jobs.jobs[waiting.id].state is State.CANCELLED
        again = await discord.member("Ada").press(message, "Cancel 3")
        assert "already finished" in (await again.wait_until(says_new(message), 5)).content
        # The answer to a later press comes after everything that an earlier one does. The list keeps its buttons.
        last = await discord.member("Ada").press(message, "Cancel 1")
        assert (await last.wait_until(says_new(message), 5)).content == "Cancelled."
        assert [shown for shown in again.history if shown.id == message.id and not shown.buttons] == []


def says_new(message: Message) -> Callable[[Message], bool]:
    return lambda answer: is_private_answer(answer) and answer.id != message.id


class TestAPainting:
    async def test_is_shown_again_to_its_owner_alone(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int
    ) -> None:
        kept = fake_jobs.hold(job(ada, state=State.DELIVERED, delivered_by="kept", painted=PAINTED))
        fake_jobs.hold(job(ada, 1, state=State.FAILED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        assert options(message) == [kept.id]
        again = await shown(discord, message, kept.id)
        assert again.ephemeral
        assert [attachment.data for attachment in again.attachments] == [PICTURE]
        assert again.attachments[0].filename == f"painting-{kept.id}.png"
        assert again.attachments[0].description == kept.description
        assert again.content == f"Painted in 8 s · 96 × 72 · recipe `{kept.recipe.id}`"
        assert discord.channel_messages == []

    async def test_is_shown_again_with_the_words_that_it_came_with(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int
    ) -> None:
        painted = dataclasses.replace(PAINTED, steps=63, ending="settled", size=96)
        kept = fake_jobs.hold(
            job(ada, recipe=Recipe(size=1024, steps=120, strength=70), state=State.DELIVERED, painted=painted)
        )
        fake_jobs.pictures[kept.id] = PICTURE
        again = await shown(discord, await listed(discord), kept.id)
        assert again.content.splitlines() == [
            f"Painted in 8 s · 96 × 72 · strength 70 · recipe `{Recipe(size=96, steps=120, strength=70).id}`",
            "The picture stopped changing after 63 of 120 steps.",
            "Painted at 96 px, because there was not enough memory for 1,024 px.",
        ]

    @pytest.mark.parametrize(
        ("refusal", "words"),
        [
            (None, "already finished, cancelled or deleted"),
            (BlobLost("77"), "were lost"),
            (RuntimeError("a fault of ours"), "Something went wrong"),
        ],
        ids=repr,
    )
    async def test_that_is_gone_is_told_in_words(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int, refusal: Exception | None, words: str
    ) -> None:
        kept = fake_jobs.hold(job(ada, state=State.DELIVERED, painted=PAINTED))
        message = await listed(discord)
        fake_jobs.refusal = refusal
        assert words in (await shown(discord, message, kept.id)).content

    async def test_that_is_too_large_here_is_told_in_words(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int
    ) -> None:
        kept = fake_jobs.hold(job(ada, state=State.DELIVERED, painted=PAINTED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        discord.attachment_size_limit = 100
        again = await shown(discord, message, kept.id)
        assert "more than I can send here" in again.content
        assert again.attachments == ()

    @pytest.mark.parametrize("known", [True, False], ids=["known before", "found out"])
    async def test_that_is_too_large_here_is_shown_as_a_smaller_file(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, ada: int, known: bool
    ) -> None:
        kept = fake_jobs.hold(job(ada, state=State.DELIVERED, painted=PAINTED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        if known:
            discord.attachment_size_limit = len(PICTURE) - 1
        else:
            discord.fail_next(SHOW, 413, html="<html>413</html>")
        again = await shown(discord, message, kept.id)
        (attachment,) = again.attachments
        assert len(attachment.data) < len(PICTURE)
        assert "Sent as a smaller file" in again.content

    @pytest.mark.parametrize("status", [400, 403, 429])
    async def test_that_is_refused_is_told_in_words(
        self,
        discord: LocalDiscord,
        fake_jobs: FakeJobs,
        ada: int,
        status: int,
    ) -> None:
        kept = fake_jobs.hold(job(ada, state=State.DELIVERED, painted=PAINTED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        discord.fail_next(SHOW, status, code=50035)
        again = await shown(discord, message, kept.id)
        assert again.content.startswith("Discord didn't accept the painting.")
        assert again.attachments == ()


async def test_a_fault_of_ours_is_told(discord: LocalDiscord, fake_jobs: FakeJobs, ada: int) -> None:
    fake_jobs.refusal = RuntimeError("a fault of ours")
    message = await listed(discord)
    assert "Something went wrong" in message.content
