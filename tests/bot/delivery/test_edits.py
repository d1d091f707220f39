"""What a reply shows while its job is open."""

import asyncio
import dataclasses
import time
from itertools import pairwise

import pytest

from bot.client.client import Atelier
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import Job
from bot.sandbox import Invocation, LocalDiscord, Permission
from tests.bot.conftest import has_preview, is_final, is_painting
from tests.bot.delivery.conftest import (
    BY_BOT,
    BY_TOKEN,
    HTML_413,
    ReplyTo,
    moderator_deletes,
    moved,
    progress,
    requests,
    result,
    shows,
    the_one,
)

JPEG = b"\xff\xd8\xff\xe0 a preview"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pause between edits."""
    monkeypatch.setattr("bot.delivery.reply.EDIT_EVERY", 0.02)


async def test_a_process_that_may_have_lost_the_job_edits_nothing(
    discord: LocalDiscord, client: Atelier, job: Job
) -> None:
    reply = DiscordReply(client, job, views(client), client.services.executor, lambda: False)
    reply.progressed(progress(1))
    await asyncio.sleep(0.1)
    with pytest.raises(DeliveryDelayed):
        await reply.deliver(result())
    assert requests(discord, BY_TOKEN) == 0
    (message,) = discord.channel_messages
    assert message.thinking


class TestAnEdit:
    async def test_shows_the_latest_state(
        self, discord: LocalDiscord, job: Job, invocation: Invocation, reply_to: ReplyTo
    ) -> None:
        reply = reply_to(job)
        reply.progressed(dataclasses.replace(progress(1), elapsed=0.01, remaining=0.0))  # it ends before the next edit
        await asyncio.sleep(0)
        reply.queued(1)
        first = await invocation.wait_until(lambda message: "Next in line" in message.content)
        assert first.buttons[0].custom_id == f"cancel:{job.id}"
        for step in range(1, 31):
            reply.progressed(progress(step, JPEG if step == 20 else None))
        shown = await invocation.wait_until(is_painting)
        assert "step 30 of 60" in shown.content
        assert shown.attachments[0].data == JPEG
        reply.progressed(progress(31))
        kept = await invocation.wait_until(lambda message: "step 31" in message.content)
        assert [each.id for each in kept.attachments] == [each.id for each in shown.attachments]
        assert requests(discord, BY_TOKEN) == 3

    async def test_with_the_first_preview_does_not_wait(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("bot.delivery.reply.EDIT_EVERY", 60)
        reply = reply_to(job)
        first, second, third = (dataclasses.replace(progress(step), remaining=600.0) for step in (1, 2, 3))
        reply.progressed(first)
        await invocation.wait_until(is_painting)
        reply.progressed(dataclasses.replace(second, preview=JPEG))
        await invocation.wait_until(has_preview)
        reply.progressed(dataclasses.replace(third, preview=JPEG + b"2"))
        await asyncio.sleep(0.1)
        assert requests(discord, BY_TOKEN) == 2
        assert await reply.deliver(result()) == "token"

    async def test_never_follows_the_result(
        self, discord: LocalDiscord, job: Job, invocation: Invocation, reply_to: ReplyTo
    ) -> None:
        reply = reply_to(job)
        reply.progressed(progress(1, JPEG))
        await asyncio.sleep(0)
        assert await reply.deliver(result()) == "token"
        reply.progressed(progress(2, JPEG))
        reply.queued(1)
        await asyncio.sleep(0.1)
        assert shows(the_one(discord.channel_messages))
        assert is_final(invocation.history[-1])

    async def test_that_hangs_delays_the_result_only_briefly(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.delivery.reply.SETTLE_TIMEOUT", 0.1)
        limited = asyncio.Event()
        discord.on_request(lambda request: limited.set() if request.status == 429 else None)
        discord.rate_limit_next(BY_TOKEN, 3600)
        reply = reply_to(job)
        reply.progressed(progress(1, JPEG))
        await limited.wait()
        assert await reply.deliver(result()) == "token"
        assert shows(the_one(discord.channel_messages))

    async def test_that_uses_up_the_rate_limit_does_not_delay_the_result(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """discord.py sleeps after such an edit while it holds the token's lock. The delivery cancels that sleep."""
        monkeypatch.setattr("bot.delivery.reply.SETTLE_TIMEOUT", 0.0)
        reply = reply_to(job)
        answered: asyncio.Queue[int] = asyncio.Queue()
        discord.on_request(lambda request: answered.put_nowait(request.status))
        for step in range(1, 6):
            reply.progressed(progress(step, JPEG))
            assert await answered.get() == 200
        async with asyncio.timeout(30):
            assert await reply.deliver(result()) == "token"
        assert shows(the_one(discord.channel_messages))

    async def test_is_abandoned_after_a_timeout(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("bot.delivery.reply.EDIT_TIMEOUT", 0.2)
        discord.rate_limit_next(BY_TOKEN, 3600)
        reply = reply_to(job)
        reply.progressed(progress(1))
        await asyncio.sleep(0)
        reply.progressed(progress(2))
        assert "step 2 of" in (await invocation.wait_until(is_painting)).content

    @pytest.mark.parametrize("status", [500, 429])
    async def test_is_repeated_if_it_failed(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
    ) -> None:
        """Nothing newer follows while a job keeps its position."""
        monkeypatch.setattr("bot.delivery.reply.EDIT_TIMEOUT", 0.2)
        if status == 429:
            discord.rate_limit_next(BY_TOKEN, 3600)
        else:
            discord.fail_next(BY_TOKEN, status, times=2)
        reply_to(job).queued(1)
        await invocation.wait_until(lambda message: "Next in line" in message.content)

    async def test_waits_until_the_process_surely_owns_the_job(
        self, client: Atelier, job: Job, invocation: Invocation
    ) -> None:
        sure = False
        asked = asyncio.Event()

        def may_edit() -> bool:
            asked.set()
            return sure

        reply = DiscordReply(client, job, views(client), client.services.executor, may_edit)
        reply.queued(1)
        await asked.wait()
        sure = True
        await invocation.wait_until(lambda message: "Next in line" in message.content)
        await reply.close()

    @pytest.mark.parametrize(
        ("status", "code", "html"),
        [(413, 40005, None), (413, 0, HTML_413), (400, 50035, None), (403, 50013, None)],
        ids=["too large", "too large for a proxy", "invalid", "not permitted"],
    )
    async def test_can_follow_a_preview_that_was_refused(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        status: int,
        code: int,
        html: str | None,
    ) -> None:
        refused = asyncio.Event()
        discord.on_request(lambda request: refused.set() if request.status == status else None)
        discord.fail_next(BY_TOKEN, status, code=code, html=html)
        if status != 413:
            discord.fail_next(BY_BOT, status, code=code, html=html)
        reply = reply_to(job)
        reply.progressed(progress(1, JPEG))
        await refused.wait()
        reply.progressed(progress(2, JPEG))
        assert not has_preview(await invocation.wait_until(lambda message: "step 2 of" in message.content))
        reply.progressed(progress(3, JPEG + b"2"))
        assert has_preview(await invocation.wait_until(lambda message: "step 3 of" in message.content))
        assert await reply.deliver(result()) == "token"

    async def test_is_not_repeated_if_the_reply_was_deleted(
        self, discord: LocalDiscord, job: Job, invocation: Invocation, reply_to: ReplyTo
    ) -> None:
        refused = asyncio.Event()
        discord.on_request(lambda request: refused.set() if request.status == 404 else None)
        await moderator_deletes(discord, invocation.history[0].id)
        reply = reply_to(job)
        reply.progressed(progress(1))
        await refused.wait()
        for step in range(2, 5):
            reply.progressed(progress(step, JPEG))
            await asyncio.sleep(0.05)
        assert requests(discord, BY_TOKEN) == 1

    async def test_is_repeated_less_often_after_each_refusal(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        """Edits resume once the process may edit again."""
        refusals = asyncio.Semaphore(0)
        shown = asyncio.Event()
        discord.on_request(lambda request: refusals.release() if request.status == 403 else None)
        discord.on_message(lambda message: shown.set() if is_painting(message) else None)
        discord.forbid(Permission.VIEW_CHANNEL)
        reply = reply_to(moved(job, created_at=0))
        at: list[float] = []
        for step in range(1, 5):
            reply.progressed(progress(step, JPEG))
            await refusals.acquire()
            at.append(time.monotonic())
        pauses = [later - earlier for earlier, later in pairwise(at)]
        assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses, 1))
        discord.permit(Permission.VIEW_CHANNEL)
        reply.progressed(progress(6, JPEG))
        await shown.wait()
