"""How a job's end reaches its member, whatever became of the token, the reply, the channel and the direct messages."""

import asyncio
import dataclasses
import io
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import aiohttp
import discord as library
import numpy as np
import pytest
from PIL import Image

from bot.client import Atelier
from bot.jobs.errors import DeliveryDelayed, JobExpired, UnexpectedError
from bot.jobs.job import Ending, Job, State, Way
from bot.reply import DiscordReply
from bot.sandbox import Invocation, LocalDiscord, Message, Permission
from engine.errors import OutOfMemory, PaintingCancelled
from engine.images.codec import encode
from engine.progress import Progress, Result
from engine.recipe import Recipe
from tests.bot.conftest import CONTENT, STYLE, has_preview, is_final, is_painting, photo
from tests.bot.held import HeldJobs, moved

BY_TOKEN = "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}"
BY_BOT = "PATCH /channels/{channel_id}/messages/{message_id}"
SEND = "POST /channels/{channel_id}/messages"
LOOK = "GET /channels/{channel_id}/messages"
OPEN_DIRECT = "POST /users/@me/channels"
PICTURE = photo((96, 72))
JPEG = b"\xff\xd8\xff\xe0 a preview"


def result(picture: bytes = PICTURE) -> Result:
    return Result(picture, "png", 96, 72, Recipe(), 60, 8.0, "finished")


def progress(step: int = 3, preview: bytes | None = None) -> Progress:
    return Progress(step, 60, 128, 1.0, 0.5, 0.5, 1.0, 20.0, preview)


ReplyTo = Callable[[Job], DiscordReply]
Deliver = Callable[[Job, Ending], Awaitable[Way]]


@pytest.fixture
async def invocation(discord: LocalDiscord, client: Atelier) -> Invocation:
    """A command of Ada's, accepted."""
    invocation = await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE)
    await invocation.acknowledged()
    return invocation


@pytest.fixture
async def job(invocation: Invocation, held: HeldJobs) -> Job:
    """The job that it became, running."""
    async with asyncio.timeout(10):
        await held.accepted.wait()
    (job,) = held.jobs.values()
    return dataclasses.replace(job, state=State.RUNNING)


@pytest.fixture
async def reply_to(client: Atelier) -> AsyncIterator[ReplyTo]:
    """Makes replies, and closes them in the end."""
    replies: list[DiscordReply] = []

    def make(job: Job) -> DiscordReply:
        replies.append(DiscordReply(client, job))
        return replies[-1]

    yield make
    for reply in replies:
        await reply.close()


@pytest.fixture
def deliver(reply_to: ReplyTo) -> Deliver:
    """Delivers, and then does so again as a process would that took over after a crash: with what is to be seen the
    same, and the same way.
    """

    async def twice(job: Job, ending: Ending) -> Way:
        way = await reply_to(job).deliver(ending)
        again = await reply_to(dataclasses.replace(job, state=State.DELIVERING)).deliver(ending)
        assert again == way
        return way

    return twice


def token_dies(discord: LocalDiscord) -> None:
    discord.clock.advance(16 * 60)


async def moderator_deletes(discord: LocalDiscord, message_id: int) -> None:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bot {discord.token}"}) as moderator:
        url = f"{discord.api_url}/channels/{discord.channel_id}/messages/{message_id}"
        async with moderator.delete(url) as answer:
            assert answer.status == 204


def the_one(messages: list[Message]) -> Message:
    (message,) = messages
    return message


def noise(size: tuple[int, int]) -> bytes:
    """A picture, as PNG, that no encoding makes much smaller."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def direct_messages(discord: LocalDiscord) -> list[Message]:
    return discord.direct_messages(discord.member("Ada"))


def shows(message: Message, picture: bytes = PICTURE) -> bool:
    return [attachment.data for attachment in message.attachments] == [picture]


def requests(discord: LocalDiscord, route: str) -> int:
    return sum(f"{request.method} {request.route}" == route for request in discord.requests)


class TestAPainting:
    async def test_replaces_the_reply_by_the_token(self, discord: LocalDiscord, job: Job, deliver: Deliver) -> None:
        assert await deliver(job, result()) == "token"
        message = the_one(discord.channel_messages)
        assert shows(message)
        assert message.attachments[0].filename == f"painting-{job.id}.png"
        assert message.attachments[0].description == "town, painted in the style of strokes"
        assert message.content.startswith("Painted in 8 s")
        assert message.buttons == ()
        assert direct_messages(discord) == []

    async def test_that_is_smaller_than_ordered_says_so(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        ordered = dataclasses.replace(job, recipe=Recipe(size=1024))
        smaller = dataclasses.replace(result(), recipe=Recipe(size=96))
        assert await deliver(ordered, smaller) == "token"
        first, *more = the_one(discord.channel_messages).content.splitlines()
        assert first.endswith(f"recipe `{Recipe(size=96).id}`")
        assert more == ["Painted at 96 px: 1,024 px did not fit into the painter's memory."]

    async def test_is_edited_in_by_the_bot_once_the_token_has_died(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        token_dies(discord)
        assert await deliver(job, result()) == "edit"
        assert shows(the_one(discord.channel_messages))
        assert direct_messages(discord) == []

    async def test_does_not_even_try_a_token_whose_time_is_over(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        assert await deliver(moved(job, created_at=0), result()) == "edit"
        assert requests(discord, BY_TOKEN) == 0

    async def test_is_posted_in_reply_where_the_old_message_takes_no_edit(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        token_dies(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        assert await deliver(job, result()) == "post"
        first, posted = discord.channel_messages
        assert (first.content, first.attachments) == ("Finished: see my new message below.", ())
        assert shows(posted)
        assert posted.content.startswith(f"For <@{job.owner}>: town, painted in the style of strokes\nPainted in")
        (request,) = [each for each in discord.requests if f"{each.method} {each.route}" == SEND]
        assert isinstance(request.body, dict)
        assert request.body["message_reference"]["message_id"] == first.id
        assert request.body["allowed_mentions"]["parse"] == []
        assert request.body["allowed_mentions"]["replied_user"] is False
        assert (request.body["nonce"], request.body["enforce_nonce"]) == (job.id, True)
        assert direct_messages(discord) == []

    async def test_is_posted_once_long_after_the_nonce_was_forgotten(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        token_dies(discord)
        for _ in range(2):
            discord.fail_next(BY_BOT, 400, code=30046)
            assert await reply_to(job).deliver(result()) == "post"
            discord.clock.advance(3600)
        assert len(discord.channel_messages) == 2

    @pytest.mark.parametrize("messages", [101, 250])
    async def test_is_posted_once_in_a_busy_channel(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, messages: int
    ) -> None:
        token_dies(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        assert await reply_to(job).deliver(result()) == "post"
        for number in range(messages):
            await discord.member("Bob").say(f"message {number}")
        discord.clock.advance(3600)
        looks = requests(discord, LOOK)
        assert await reply_to(dataclasses.replace(job, state=State.DELIVERING)).deliver(result()) == "post"
        assert requests(discord, LOOK) - looks == messages // 100 + 1
        assert len(discord.channel_messages) == 2 + messages

    async def test_is_sent_once_in_busy_direct_messages(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        token_dies(discord)
        away = moved(job, place="elsewhere")
        assert await reply_to(away).deliver(result()) == "direct"
        ada = discord.member("Ada")
        for number in range(101):
            await ada.at(discord.direct(ada)).say(f"message {number}")
        discord.clock.advance(3600)
        assert await reply_to(dataclasses.replace(away, state=State.DELIVERING)).deliver(result()) == "direct"
        assert len(direct_messages(discord)) == 102

    async def test_is_looked_for_no_further_than_its_reply(
        self, discord: LocalDiscord, client: Atelier, job: Job, reply_to: ReplyTo
    ) -> None:
        """What lies before is of other jobs, however much it is."""
        for number in range(101):
            await discord.member("Bob").say(f"message {number}")
        reply = await client.get_partial_messageable(discord.channel_id).send("Painting …")
        discord.fail_next(BY_BOT, 400, code=30046)
        assert await reply_to(moved(job, created_at=0, message=reply.id)).deliver(result()) == "post"
        assert requests(discord, LOOK) == 1

    async def test_goes_to_direct_messages_where_too_much_was_said_to_look_through(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.ways.LOOK_BACK", 200)
        token_dies(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        for number in range(200):
            await discord.member("Bob").say(f"message {number}")
        assert await reply_to(job).deliver(result()) == "direct"
        assert len(discord.channel_messages) == 201

    async def test_goes_to_direct_messages_where_the_channel_is_closed(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        token_dies(discord)
        discord.fail_next(BY_BOT, 403, code=50001)
        discord.fail_next(SEND, 403, code=50013)
        assert await deliver(job, result()) == "direct"
        reply = the_one(discord.channel_messages)
        assert (reply.content, reply.attachments) == ("Finished: I sent it in a direct message.", ())
        message = the_one(direct_messages(discord))
        assert shows(message)
        assert message.content.startswith("town, painted in the style of strokes\nPainted in 8 s")

    async def test_goes_to_direct_messages_where_the_app_came_along_with_a_member(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        token_dies(discord)
        assert await deliver(moved(job, place="elsewhere"), result()) == "direct"
        assert shows(the_one(direct_messages(discord)))
        assert requests(discord, BY_BOT) == 0

    async def test_stays_in_the_bots_own_direct_messages(
        self, discord: LocalDiscord, client: Atelier, job: Job, deliver: Deliver
    ) -> None:
        ada = library.Object(discord.member("Ada").id)
        reply = await (await client.create_dm(ada)).send("Painting …")
        here = moved(job, place="direct", created_at=0, channel=reply.channel.id, message=reply.id)
        assert await deliver(here, result()) == "edit"
        assert shows(the_one(direct_messages(discord)))

    async def test_is_kept_where_the_member_takes_no_direct_messages(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        token_dies(discord)
        discord.fail_next(OPEN_DIRECT, 400, code=50033, times=2)
        assert await reply_to(moved(job, place="elsewhere")).deliver(result()) == "kept"
        discord.refuse_direct_messages(discord.member("Ada"))
        assert await reply_to(moved(job, place="elsewhere")).deliver(result()) == "kept"
        assert direct_messages(discord) == []

    async def test_does_not_come_back_to_where_the_reply_was_deleted(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        assert await deliver(job, result()) == "direct"
        assert discord.channel_messages == []
        assert shows(the_one(direct_messages(discord)))

    async def test_is_looked_for_in_vain_without_harm_where_looking_is_forbidden(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        token_dies(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        discord.fail_next(LOOK, 403, code=50001)
        assert await reply_to(job).deliver(result()) == "direct"
        assert len(discord.channel_messages) == 1

    async def test_has_a_name_that_Markdown_does_not_touch(  # noqa: N802
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        token_dies(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        hostile = dataclasses.replace(job, description="**b** [x](https://a.b) <@1> @everyone `c` ||d||")
        assert await deliver(hostile, result()) == "post"
        shown = discord.channel_messages[-1].content.partition(">: ")[2]
        assert r"\*\*b\*\* \[x\]\(https\://a" in shown
        assert not re.search(r"(?<!\\)[*\[\]<>@`|]", shown.split("\n")[0])


NOISE = noise((200, 150))
"""A picture that no format makes much smaller."""
HTML_413 = "<html><head><title>413 Request Entity Too Large</title></head></html>"


class TestTooLarge:
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
        assert attachment.description == job.description
        assert len(attachment.data) <= len(NOISE) // 2
        assert Image.open(io.BytesIO(attachment.data)).size == (200, 150)
        assert "Sent as a smaller file" in message.content

    async def test_is_sent_within_what_discord_grants_everywhere_first(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A member's own limit may be over it; the bot's is not, once the token has died."""
        token_dies(discord)
        limit = len(NOISE) * 7 // 8
        monkeypatch.setattr("bot.ways.FILE_LIMIT", limit)
        assert await deliver(moved(job, file_limit=limit), result(NOISE)) == "edit"
        (attachment,) = the_one(discord.channel_messages).attachments
        assert limit // 3 < len(attachment.data) <= limit

    async def test_is_scaled_where_no_quality_is_low_enough(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        heavy = encode(Image.open(io.BytesIO(NOISE)), "jpeg", quality=40)
        discord.attachment_size_limit = len(heavy) // 4
        assert await deliver(job, result(heavy)) == "token"
        (attachment,) = the_one(discord.channel_messages).attachments
        assert len(attachment.data) <= len(heavy) // 4
        assert Image.open(io.BytesIO(attachment.data)).size == (100, 75)

    @pytest.mark.parametrize("limit", [100, 10 * 2**20], ids=["known before", "found out"])
    async def test_is_kept_and_the_reply_says_so(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, limit: int
    ) -> None:
        discord.attachment_size_limit = 100
        assert await deliver(moved(job, created_at=0, file_limit=limit), result()) == "kept"
        message = the_one(discord.channel_messages)
        assert "`/jobs`" in message.content
        assert message.attachments == ()
        assert message.buttons == ()
        assert direct_messages(discord) == []

    async def test_is_said_by_direct_message_where_the_reply_is_gone(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        discord.attachment_size_limit = 100
        assert await deliver(job, result()) == "kept"
        assert "`/jobs`" in the_one(direct_messages(discord)).content
        assert discord.channel_messages == []

    async def test_and_no_picture_at_all_is_told_in_words(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        discord.attachment_size_limit = 10
        assert await deliver(job, result(b"a worker that has lost its mind")) == "kept"
        assert "too large" in the_one(discord.channel_messages).content


class TestAPictureThatIsRefused:
    @pytest.mark.parametrize(
        ("status", "code", "html"),
        [
            (400, 50035, None),
            (400, 50006, None),
            (400, 30046, None),
            (400, 20009, None),
            (403, 50001, None),
            (403, 50005, None),
            (403, 50013, None),
            (403, 0, "<html>Forbidden</html>"),
            (404, 10003, None),
            (404, 10015, None),
        ],
    )
    async def test_by_every_way_is_told_in_words(
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
        token_dies(discord)
        discord.forbid(Permission.ATTACH_FILES)
        discord.refuse_direct_messages(discord.member("Ada"), refuse=not direct)
        assert await deliver(job, result()) == ("direct" if direct else "kept")
        words = "Finished: I sent it in" if direct else "The painting is finished, but I can't send pictures"
        assert the_one(discord.channel_messages).content.startswith(words)
        assert [shows(message) for message in direct_messages(discord)] == [True] * direct

    async def test_where_the_reply_was_deleted_is_told_in_a_direct_message(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        discord.fail_next(SEND, 400, code=20009)
        assert await deliver(job, result()) == "kept"
        assert "`/jobs`" in the_one(direct_messages(discord)).content
        assert discord.channel_messages == []


class TestAFailure:
    async def test_turns_the_reply_into_words(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        assert await deliver(job, OutOfMemory(512)) == "token"
        message = the_one(discord.channel_messages)
        assert message.content.startswith("There was not enough memory")
        assert (message.attachments, message.buttons) == ((), ())
        assert message.id == invocation.history[0].id
        assert direct_messages(discord) == []

    async def test_is_posted_once_by_its_jobs_id(self, discord: LocalDiscord, job: Job, deliver: Deliver) -> None:
        token_dies(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        assert await deliver(job, JobExpired(24)) == "post"
        posted = discord.channel_messages[-1]
        assert posted.content.splitlines() == [
            f"For <@{job.owner}>: town, painted in the style of strokes",
            "This picture was not finished within 24 hours. Send the command again.",
            f"-# Job {job.id}",
        ]

    async def test_is_told_by_direct_message_where_the_reply_is_gone(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        assert await deliver(job, UnexpectedError(job.id)) == "direct"
        assert the_one(direct_messages(discord)).content.startswith("town, painted in the style of strokes\nSomething")
        assert discord.channel_messages == []


class TestACancelledJob:
    async def test_leaves_nothing_behind(self, discord: LocalDiscord, job: Job, deliver: Deliver) -> None:
        assert await deliver(job, PaintingCancelled()) == "token"
        assert discord.channel_messages == []

    async def test_leaves_nothing_behind_without_the_token(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        token_dies(discord)
        assert await deliver(job, PaintingCancelled()) == "edit"
        assert discord.channel_messages == []

    async def test_tells_nobody_where_its_reply_is_out_of_reach(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        token_dies(discord)
        assert await deliver(moved(job, place="elsewhere"), PaintingCancelled()) == "kept"
        assert direct_messages(discord) == []


class TestTrouble:
    @pytest.mark.parametrize(
        ("status", "code"), [(401, 0), (400, 40003), (429, 0)], ids=["bot's token", "too many at once", "banned"]
    )
    async def test_that_may_pass_delays_the_delivery(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, status: int, code: int
    ) -> None:
        reply = reply_to(job)
        discord.fail_next(BY_TOKEN, status, code=code)
        with pytest.raises(DeliveryDelayed):
            await reply.deliver(result())
        assert await reply.deliver(result()) == "token"
        assert shows(the_one(discord.channel_messages))

    async def test_of_the_server_is_waited_out(self, discord: LocalDiscord, job: Job, reply_to: ReplyTo) -> None:
        discord.fail_next(BY_TOKEN, 503)
        discord.rate_limit_next(BY_TOKEN, 0.2)
        assert await reply_to(job).deliver(result()) == "token"

    async def test_that_lasts_delays_the_delivery(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reply = reply_to(job)
        monkeypatch.setattr("bot.ways.WITHIN", 0.3)
        discord.rate_limit_next(BY_TOKEN, 300)
        with pytest.raises(DeliveryDelayed):
            await reply.deliver(result())
        monkeypatch.undo()
        assert await reply.deliver(result()) == "token"

    async def test_in_sending_leads_to_no_second_message(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        """The edit is refused once, the post arrives but its answer is lost; then the edit would work."""
        token_dies(discord)
        reply = reply_to(job)
        discord.fail_next(BY_BOT, 403, code=50013)
        discord.fail_next(SEND, 401)
        with pytest.raises(DeliveryDelayed):
            await reply.deliver(result())
        async with aiohttp.ClientSession(headers={"Authorization": f"Bot {discord.token}"}) as bot:
            url = f"{discord.api_url}/channels/{discord.channel_id}/messages"
            async with bot.post(url, json={"content": f"Painted\n-# Job {job.id}", "nonce": job.id}) as answer:
                assert answer.status == 200
        assert await reply.deliver(OutOfMemory(512)) == "post"
        assert len(discord.channel_messages) == 2

    async def test_that_hides_whether_an_edit_arrived_leads_to_no_second_answer(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        """Where the app came along with a member nobody can look, once the token is dead."""
        away = moved(job, place="elsewhere")
        assert await reply_to(away).deliver(result()) == "token"
        token_dies(discord)
        assert await reply_to(dataclasses.replace(away, state=State.DELIVERING)).deliver(result()) == "kept"
        assert shows(the_one(discord.channel_messages))
        assert direct_messages(discord) == []

    async def test_that_closes_the_channel_after_an_edit_leads_to_no_second_answer(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        assert await reply_to(job).deliver(result()) == "token"
        token_dies(discord)
        for looking, way in ((None, "token"), (50001, "kept")):
            discord.fail_next(BY_BOT, 403, code=50001)
            if looking:
                discord.fail_next("GET /channels/{channel_id}/messages/{message_id}", 403, code=looking)
            assert await reply_to(dataclasses.replace(job, state=State.DELIVERING)).deliver(result()) == way
        assert shows(the_one(discord.channel_messages))
        assert direct_messages(discord) == []

    async def test_without_a_connection_delays_the_delivery(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reply = reply_to(job)
        monkeypatch.setattr("discord.http.Route.BASE", "http://127.0.0.1:9/api/v10")
        with pytest.raises(DeliveryDelayed) as delayed:
            await reply.deliver(result())
        assert delayed.value.detail == "ClientConnectorError"


async def test_a_process_that_may_have_lost_the_job_says_nothing(
    discord: LocalDiscord, client: Atelier, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.reply.EDIT_EVERY", 0.0)
    reply = DiscordReply(client, job, lambda: False)
    reply.progressed(progress(1))
    await asyncio.sleep(0.1)
    with pytest.raises(DeliveryDelayed):
        await reply.deliver(result())
    assert requests(discord, BY_TOKEN) == 0
    (message,) = discord.channel_messages
    assert message.thinking


class TestWhatIsShownMeanwhile:
    async def test_is_the_latest(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("bot.reply.EDIT_EVERY", 0.3)
        reply = reply_to(job)
        reply.queued(1)
        first = await invocation.wait_until(lambda message: "Next in line" in message.content, 5)
        assert [button.custom_id for button in first.buttons] == [f"cancel:{job.id}"]
        for step in range(1, 31):
            reply.progressed(progress(step, JPEG if step == 20 else None))
        shown = await invocation.wait_until(is_painting, 5)
        assert "step 30 of 60" in shown.content
        assert shown.attachments[0].data == JPEG
        reply.progressed(progress(31))
        kept = await invocation.wait_until(lambda message: "step 31" in message.content, 5)
        assert [each.id for each in kept.attachments] == [each.id for each in shown.attachments]
        assert requests(discord, BY_TOKEN) == 3

    async def test_is_never_shown_after_the_end(
        self, discord: LocalDiscord, job: Job, invocation: Invocation, reply_to: ReplyTo
    ) -> None:
        reply = reply_to(job)
        reply.progressed(progress(1, JPEG))
        await asyncio.sleep(0)
        assert await reply.deliver(result()) == "token"
        reply.progressed(progress(2, JPEG))
        reply.queued(1)
        await asyncio.sleep(0.3)
        assert shows(the_one(discord.channel_messages))
        assert is_final(invocation.history[-1])

    async def test_holds_up_the_end_only_shortly_when_it_is_stuck(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.reply.SETTLE_WITHIN", 0.1)
        limited = asyncio.Event()
        discord.on_request(lambda request: limited.set() if request.status == 429 else None)
        discord.rate_limit_next(BY_TOKEN, 3600)
        reply = reply_to(job)
        reply.progressed(progress(1, JPEG))
        await limited.wait()
        assert await reply.deliver(result()) == "token"
        assert shows(the_one(discord.channel_messages))

    async def test_leaves_the_way_free_when_the_tokens_allowance_is_used_up(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """discord.py sleeps after such an edit, with the token's lock in its hands; the end interrupts that."""
        monkeypatch.setattr("bot.reply.EDIT_EVERY", 0.0)
        monkeypatch.setattr("bot.reply.SETTLE_WITHIN", 0.0)
        reply = reply_to(job)
        answered: asyncio.Queue[int] = asyncio.Queue()
        discord.on_request(lambda request: answered.put_nowait(request.status))
        for step in range(1, 6):
            reply.progressed(progress(step, JPEG))
            assert await answered.get() == 200
        async with asyncio.timeout(30):
            assert await reply.deliver(result()) == "token"
        assert shows(the_one(discord.channel_messages))

    async def test_is_given_up_when_it_takes_too_long(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("bot.reply.EDIT_EVERY", 0.1)
        monkeypatch.setattr("bot.reply.EDIT_WITHIN", 0.2)
        discord.rate_limit_next(BY_TOKEN, 3600)
        reply = reply_to(job)
        reply.progressed(progress(1))
        await asyncio.sleep(0)
        reply.progressed(progress(2))
        assert "step 2 of" in (await invocation.wait_until(is_painting, 5)).content

    @pytest.mark.parametrize(
        ("status", "code", "html"),
        [(413, 40005, None), (413, 0, HTML_413), (400, 50035, None), (403, 50013, None)],
        ids=["too large", "too large for a proxy", "not understood", "not permitted"],
    )
    async def test_goes_on_after_a_preview_that_was_refused(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
        code: int,
        html: str | None,
    ) -> None:
        monkeypatch.setattr("bot.reply.EDIT_EVERY", 0.05)
        refused = asyncio.Event()
        discord.on_request(lambda request: refused.set() if request.status == status else None)
        discord.fail_next(BY_TOKEN, status, code=code, html=html)
        if status != 413:
            discord.fail_next(BY_BOT, status, code=code, html=html)
        reply = reply_to(job)
        reply.progressed(progress(1, JPEG))
        await refused.wait()
        reply.progressed(progress(2, JPEG))
        assert not has_preview(await invocation.wait_until(lambda message: "step 2 of" in message.content, 5))
        reply.progressed(progress(3, JPEG + b"2"))
        assert has_preview(await invocation.wait_until(lambda message: "step 3 of" in message.content, 5))
        assert await reply.deliver(result()) == "token"

    async def test_is_no_longer_tried_where_the_reply_was_deleted(
        self,
        discord: LocalDiscord,
        job: Job,
        invocation: Invocation,
        reply_to: ReplyTo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("bot.reply.EDIT_EVERY", 0.0)
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

    async def test_is_tried_less_and_less_often_where_the_bot_may_not(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And again as ever, once it may."""
        monkeypatch.setattr("bot.reply.EDIT_EVERY", 0.02)
        refusals = asyncio.Semaphore(0)
        shown = asyncio.Event()
        discord.on_request(lambda request: refusals.release() if request.status == 403 else None)
        discord.on_message(lambda message: shown.set() if is_painting(message) else None)
        discord.forbid(Permission.VIEW_CHANNEL)
        reply = reply_to(moved(job, created_at=0))
        at: list[float] = []
        for step in range(1, 5):
            reply.progressed(progress(step, JPEG))
            async with asyncio.timeout(5):
                await refusals.acquire()
            at.append(time.monotonic())
        pauses = [later - earlier for earlier, later in pairwise(at)]
        assert all(pause >= 0.02 * 2**number for number, pause in enumerate(pauses, 1))
        discord.permit(Permission.VIEW_CHANNEL)
        reply.progressed(progress(6, JPEG))
        async with asyncio.timeout(5):
            await shown.wait()


async def test_an_address_knows_what_the_bot_can_reach(discord: LocalDiscord, job: Job) -> None:
    assert '"place":"server"' in job.address
    assert f'"channel":{discord.channel_id}' in job.address
    assert '"file_limit":10485760' in job.address
