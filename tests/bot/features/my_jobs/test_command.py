"""`/jobs` as a member uses it."""

import dataclasses
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.client.client import Atelier
from bot.client.services import Services
from bot.jobs.database.store import Store
from bot.jobs.model import Job, Painted, State, new_id
from bot.sandbox import LocalDiscord, Message
from bot.sandbox.state.components import walk
from engine.errors import BlobLost, OutOfMemory
from engine.recipe import Inputs, Recipe
from tests.bot.conftest import is_private_answer, photo, text_of
from tests.doubles.executor import FakeExecutor
from tests.doubles.jobs import FakeJobs, insert_job

Keep = Callable[[Job], Awaitable[Job]]

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


@pytest.fixture
def keep(client_store: Store, fake_jobs: FakeJobs) -> Keep:
    """Stores a job as if the service had."""

    async def keeping(job: Job) -> Job:
        return await insert_job(client_store, fake_jobs.hold(job))

    return keeping


async def listed(discord: LocalDiscord, member: str = "Ada") -> Message:
    invocation = await discord.member(member).invoke("jobs")
    return await invocation.wait_until(is_private_answer)


async def shown(discord: LocalDiscord, message: Message, job_id: str) -> Message:
    choice = await discord.member("Ada").choose(message, "jobs:show", job_id)
    return await choice.wait_until(is_private_answer)


def parts(message: Message, kind: int) -> list[dict[str, Any]]:
    return [part for part in walk([*message.components]) if part["type"] == kind]


def options(message: Message) -> list[str]:
    return [option["value"] for part in parts(message, 3) for option in part["options"]]


def numbers(message: Message) -> list[int]:
    """The numbers in the descriptions of the jobs."""
    return [int(found) for found in re.findall(r"picture (\d+)", text_of(message))]


class TestTheList:
    async def test_has_the_state_of_each_job_newest_first(self, discord: LocalDiscord, keep: Keep, ada: int) -> None:
        await keep(job(discord.member("Bob").id, 0, description="somebody else's"))
        await keep(job(ada, 9, state=State.FAILED, cause=OutOfMemory(512)))
        await keep(job(ada, 8, state=State.CANCELLED))
        await keep(job(ada, 7, state=State.EXPIRED))
        await keep(job(ada, 6, state=State.DELIVERED, delivered_by="kept", painted=PAINTED))
        await keep(job(ada, 5, state=State.DELIVERED, delivered_by="token", painted=PAINTED))
        await keep(job(ada, 4, state=State.DELIVERING, painted=PAINTED))
        await keep(job(ada, 3, state=State.RUNNING))
        await keep(job(ada, 2))
        message = await listed(discord)
        title, *lines = text_of(message).splitlines()
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
        assert title == "**Your pictures**"
        assert lines == [
            f"**{number}.** town, painted in the style of strokes · {state} · <t:{at}:R> · recipe `{recipe}`"
            for number, (state, at) in enumerate(zip(states, when, strict=True), 1)
        ]
        # A job without a thumbnail is a line of text.
        assert [button.label for button in message.buttons] == ["Cancel 1", "Cancel 2"]
        assert discord.channel_messages == []

    async def test_says_how_to_begin_if_it_is_empty(self, discord: LocalDiscord, ada: int) -> None:
        message = await listed(discord)
        assert text_of(message) == "You have no pictures yet. Use `/stylize` to paint one."
        assert len(message.components) == 1

    async def test_fits_a_message_and_escapes_names(self, discord: LocalDiscord, keep: Keep, ada: int) -> None:
        for age in range(12):
            await keep(job(ada, age, description="*" * 1024, state=State.FAILED, cause=OutOfMemory(2048)))
        text = text_of(await listed(discord))
        assert len(text.splitlines()) == 11
        assert text.count(r"\*") == text.count("*") - 10 * 4 - 4

    async def test_cancels_open_jobs(self, discord: LocalDiscord, fake_jobs: FakeJobs, keep: Keep, ada: int) -> None:
        waiting = await keep(job(ada, 3))
        await keep(job(ada, 2, state=State.DELIVERED, painted=PAINTED))
        await keep(job(ada, 1))
        message = await listed(discord)
        press = await discord.member("Ada").press(message, "Cancel 3")
        assert (await press.wait_until(says_new(message))).content == "Cancelled."
        assert fake_jobs.jobs[waiting.id].state is State.CANCELLED
        again = await discord.member("Ada").press(message, "Cancel 3")
        assert "already finished" in (await again.wait_until(says_new(message))).content
        # The answer to a later press comes after everything that an earlier one does. The list keeps its buttons.
        last = await discord.member("Ada").press(message, "Cancel 1")
        assert (await last.wait_until(says_new(message))).content == "Cancelled."
        assert [shown for shown in again.history if shown.id == message.id and not shown.buttons] == []

    @pytest.mark.parametrize("galleries", [True, False], ids=["gallery", "attachments"])
    async def test_has_pages_with_thumbnails_to_the_oldest_and_back(
        self, discord: LocalDiscord, services: Services, keep: Keep, ada: int, galleries: bool
    ) -> None:
        discord.refuses_gallery_edits = not galleries
        assert isinstance(services.executor, FakeExecutor)
        blob = services.executor.blobs.put(PICTURE)
        for number in range(23):
            painted = dataclasses.replace(PAINTED, picture=blob)
            about = {"description": f"picture {number}", "spoiler": number == 0, "thumbnail": blob}
            await keep(job(ada, number, state=State.DELIVERED, delivered_by="token", painted=painted, **about))
        message = await listed(discord)
        pages = [message]
        for label in ("Older ▶", "Older ▶", "◀ Newer", "◀ Newer"):
            pressed = await discord.member("Ada").press(pages[-1], label)
            before = numbers(pages[-1])
            pages.append(await pressed.wait_until(lambda now: numbers(now) not in (before, [])))  # noqa: B023
        ranges = [range(10), range(10, 20), range(20, 23), range(10, 20), range(10)]
        assert [numbers(page) for page in pages] == [list(numbers_) for numbers_ in ranges]
        for page, shown_ in zip(pages, ranges, strict=True):
            assert len(page.attachments) == len(options(page)) == len(shown_)
            assert [int(number) for number in re.findall(r"\*\*(\d+)\.\*\*", text_of(page))] == [
                each + 1 for each in shown_
            ]
            if galleries:
                assert [part["description"] for part in parts(page, 11)] == [f"picture {each}" for each in shown_]
                assert [part["spoiler"] for part in parts(page, 11)] == [each == 0 for each in shown_]
        disabled = [[button.disabled for button in page.buttons] for page in pages]
        assert disabled == [[True, False], [False, False], [False, True], [False, False], [True, False]]
        assert services.executor.composed == []
        # A member who presses sees their own jobs: another member can't see these.
        assert discord.channel_messages == []


def says_new(message: Message) -> Callable[[Message], bool]:
    return lambda answer: is_private_answer(answer) and answer.id != message.id


class TestAPainting:
    async def test_is_shown_again_only_to_its_owner(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, keep: Keep, ada: int
    ) -> None:
        kept = await keep(job(ada, state=State.DELIVERED, delivered_by="kept", painted=PAINTED))
        await keep(job(ada, 1, state=State.FAILED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        assert options(message) == [kept.id]
        again = await shown(discord, message, kept.id)
        assert again.ephemeral
        assert [attachment.data for attachment in again.attachments] == [PICTURE]
        assert again.attachments[0].filename == f"painting-{kept.id}.png"
        assert again.attachments[0].description == kept.description
        assert again.content == f"Painted in 8 s · 96 × 72 · recipe `{kept.recipe.id}`"
        # It has the components of the result itself.
        assert "More style" in [button.label for button in again.buttons]
        assert f"menu:{kept.id}" in [part["custom_id"] for part in parts(again, 3)]
        assert discord.channel_messages == []
        # Where it was posted is not known.
        press = await discord.member("Ada").press(again, "Delete")
        assert "press *Delete* there" in (await press.wait_until(says_new(again))).content
        assert kept.id not in fake_jobs.jobs

    async def test_is_shown_again_with_its_caption(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, keep: Keep, ada: int
    ) -> None:
        painted = dataclasses.replace(PAINTED, steps=63, ending="settled", size=96)
        kept = await keep(
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
            (RuntimeError("a bug"), "Something went wrong"),
        ],
        ids=repr,
    )
    async def test_that_is_gone_is_explained(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, keep: Keep, ada: int, refusal: Exception | None, words: str
    ) -> None:
        kept = await keep(job(ada, state=State.DELIVERED, painted=PAINTED))
        message = await listed(discord)
        fake_jobs.refusal = refusal
        assert words in (await shown(discord, message, kept.id)).content

    async def test_that_is_too_large_here_is_explained(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, keep: Keep, ada: int
    ) -> None:
        kept = await keep(job(ada, state=State.DELIVERED, painted=PAINTED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        discord.attachment_size_limit = 100
        again = await shown(discord, message, kept.id)
        assert "more than I can send here" in again.content
        assert again.attachments == ()

    @pytest.mark.parametrize("known", [True, False], ids=["limit known before", "limit found out"])
    async def test_that_is_too_large_here_is_shown_as_a_smaller_file(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, keep: Keep, ada: int, known: bool
    ) -> None:
        kept = await keep(job(ada, state=State.DELIVERED, painted=PAINTED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        if known:
            discord.attachment_size_limit = len(PICTURE) - 1
        else:
            discord.fail_next(SHOW, 413, html="<html>413</html>")
        again = await shown(discord, message, kept.id)
        (attachment,) = again.attachments
        assert len(attachment.data) < len(PICTURE)
        assert "the original is too large to send here" in again.content

    @pytest.mark.parametrize("status", [400, 403, 429])
    async def test_that_discord_refuses_is_explained(
        self,
        discord: LocalDiscord,
        fake_jobs: FakeJobs,
        keep: Keep,
        ada: int,
        status: int,
    ) -> None:
        kept = await keep(job(ada, state=State.DELIVERED, painted=PAINTED))
        fake_jobs.pictures[kept.id] = PICTURE
        message = await listed(discord)
        discord.fail_next(SHOW, status, code=50035)
        again = await shown(discord, message, kept.id)
        assert again.content.startswith("Discord didn't accept the painting.")
        assert again.attachments == ()


async def test_a_bug_is_reported_to_the_member(
    discord: LocalDiscord, services: Services, ada: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(services.history, "page", broken)
    message = await listed(discord)
    assert "Something went wrong" in message.content
