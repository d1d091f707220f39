"""What a member gets if Discord rejects the picture: a smaller file, or text."""

import io
import re

import numpy as np
import pytest
from PIL import Image, ImageFilter

from bot.client.client import Atelier
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import Job
from bot.sandbox import Invocation, LocalDiscord, Permission
from bot.texts import described
from engine.errors import NoWorkers
from engine.images.codec import encode
from engine.progress import Encoded
from tests.bot.delivery.conftest import (
    BY_BOT,
    BY_TOKEN,
    HTML_413,
    SEND,
    Deliver,
    ReplyTo,
    direct_messages,
    expire_token,
    moderator_deletes,
    moved,
    progress,
    result,
    shows,
    the_one,
)


def noise(size: tuple[int, int]) -> bytes:
    """A PNG of soft noise. A lossless WebP of it is not much smaller, and a JPEG is."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).filter(ImageFilter.BoxBlur(1)).save(buffer, "PNG")
    return buffer.getvalue()


NOISE = noise((200, 150))


async def _no_workers(picture: bytes, max_bytes: int) -> Encoded:
    raise NoWorkers


class TestAPictureThatIsTooLarge:
    @pytest.mark.parametrize("html", [None, HTML_413], ids=["Discord", "a proxy"])
    @pytest.mark.parametrize("way", ["token", "edit", "post", "direct"])
    async def test_is_sent_again_as_a_smaller_file(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, way: str, html: str | None
    ) -> None:
        if way == "post":
            discord.fail_next(BY_BOT, 400, code=30046, times=2)
        away = moved(job, place="elsewhere" if way == "direct" else "server")
        if way != "token":
            away = moved(away, created_at=0)
        if html is None:
            discord.attachment_size_limit = len(NOISE) // 2
        else:
            discord.fail_next({"token": BY_TOKEN, "edit": BY_BOT}.get(way, SEND), 413, html=html)
        assert await reply_to(away).deliver(result(NOISE)) == way
        messages = discord.channel_messages + direct_messages(discord)
        message = the_one([each for each in messages if each.attachments])
        (attachment,) = message.attachments
        assert attachment.filename == f"painting-{job.id}.jpeg"
        assert attachment.description == described(job.description)
        assert len(attachment.data) <= len(NOISE) // 2
        assert Image.open(io.BytesIO(attachment.data)).size == (200, 150)
        note = r"\nSent as JPEG at quality \d\d: the original is too large to send here\."
        assert re.search(rf"{note}$" if way in {"token", "edit"} else rf"{note}\n-# Job {job.id}$", message.content)

    async def test_is_sent_within_the_limit_that_applies_everywhere(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A member's limit may be above the bot's limit, which applies after the token has expired."""
        expire_token(discord)
        limit = len(NOISE) * 7 // 8
        monkeypatch.setattr("bot.delivery.channels.FILE_SIZE", limit)
        assert await deliver(moved(job, file_limit=limit), result(NOISE)) == "edit"
        (attachment,) = the_one(discord.channel_messages).attachments
        assert limit // 3 < len(attachment.data) <= limit

    async def test_is_scaled_if_no_quality_is_low_enough(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        heavy = encode(Image.open(io.BytesIO(NOISE)), "jpeg", quality=40)
        discord.attachment_size_limit = len(heavy) // 4
        assert await deliver(job, result(heavy)) == "token"
        (attachment,) = the_one(discord.channel_messages).attachments
        assert len(attachment.data) <= len(heavy) // 4
        width, height = Image.open(io.BytesIO(attachment.data)).size
        assert 50 <= width < 200
        note = rf"Sent as JPEG at quality \d\d, {width} × {height}: the original is too large to send here\."
        assert re.search(note, the_one(discord.channel_messages).content)

    async def test_waits_for_a_worker_that_makes_it_smaller(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, client: Atelier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        discord.attachment_size_limit = len(NOISE) // 2
        reply = reply_to(job)
        with monkeypatch.context() as without_workers:
            without_workers.setattr(client.services.executor, "shrink", _no_workers)
            with pytest.raises(DeliveryDelayed):
                await reply.deliver(result(NOISE))
        assert await reply.deliver(result(NOISE)) == "token"
        assert the_one(discord.channel_messages).attachments

    @pytest.mark.parametrize("limit", [100, 10 * 2**20], ids=["limit known before", "limit found out"])
    async def test_is_kept_and_the_reply_says_so(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, limit: int
    ) -> None:
        discord.attachment_size_limit = 100
        assert await reply_to(moved(job, created_at=0, file_limit=limit)).deliver(result()) == "kept"
        message = the_one(discord.channel_messages)
        assert "`/jobs`" in message.content
        assert message.attachments == ()
        assert message.buttons == ()
        assert direct_messages(discord) == []

    async def test_is_explained_by_a_direct_message_if_the_reply_was_deleted(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        discord.attachment_size_limit = 100
        assert await deliver(job, result()) == "kept"
        assert "`/jobs`" in the_one(direct_messages(discord)).content
        assert discord.channel_messages == []

    async def test_and_cannot_be_decoded_is_explained(self, discord: LocalDiscord, job: Job, deliver: Deliver) -> None:
        discord.attachment_size_limit = 10
        assert await deliver(job, result(b"this is no picture")) == "kept"
        assert "too large" in the_one(discord.channel_messages).content


class TestAPictureThatIsRefused:
    @pytest.mark.parametrize(
        ("status", "code", "html"),
        [
            (400, 50035, None),
            (403, 50013, None),
            (403, 0, "<html>Forbidden</html>"),
            (404, 10015, None),
        ],
    )
    async def test_in_every_channel_is_explained(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, status: int, code: int, html: str | None
    ) -> None:
        for route in (BY_TOKEN, BY_BOT):
            discord.fail_next(route, status, code=code, html=html)
        discord.fail_next(SEND, status, code=code, html=html, times=2)
        reply = reply_to(job)
        reply.progressed(progress(1))
        assert await reply.deliver(result()) == "kept"
        message = the_one(discord.channel_messages)
        assert message.content == "The painting is finished, but I can't send pictures here. Use `/jobs` to see it."
        assert (message.attachments, message.buttons) == ((), ())
        assert direct_messages(discord) == []

    @pytest.mark.parametrize("direct", [True, False], ids=["direct messages open", "closed"])
    async def test_in_the_channel_leaves_no_reply_that_looks_unfinished(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, direct: bool
    ) -> None:
        expire_token(discord)
        discord.forbid(Permission.ATTACH_FILES)
        discord.refuse_direct_messages(discord.member("Ada"), refuse=not direct)
        assert await deliver(job, result()) == ("direct" if direct else "kept")
        words = "Finished: I sent you the painting" if direct else "The painting is finished, but I can't send pictures"
        assert the_one(discord.channel_messages).content.startswith(words)
        assert [shows(message) for message in direct_messages(discord)] == [True] * direct

    async def test_after_its_reply_was_deleted_is_explained_by_a_direct_message(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        discord.fail_next(SEND, 400, code=20009)
        assert await deliver(job, result()) == "kept"
        assert "`/jobs`" in the_one(direct_messages(discord)).content
        assert discord.channel_messages == []
