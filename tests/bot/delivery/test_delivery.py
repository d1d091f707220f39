"""How a job's end reaches its member, in every state of the token, the reply, the channel and direct messages."""

import dataclasses
import re

import aiohttp
import discord as library
import pytest

from bot.client.client import Atelier
from bot.delivery.target import ReplyTarget
from bot.jobs.errors import CancelledByModerator, CancelledByOperator, DeliveryDelayed, JobExpired, UnexpectedError
from bot.jobs.model import Job, State, new_id
from bot.sandbox import Invocation, LocalDiscord
from engine.errors import OutOfMemory, PaintingCancelled
from engine.recipe import Recipe
from tests.bot.delivery.conftest import (
    BY_BOT,
    BY_TOKEN,
    LOOK,
    OPEN_DIRECT,
    SEND,
    Deliver,
    ReplyTo,
    direct_messages,
    expire_token,
    moderator_deletes,
    moved,
    requests,
    result,
    shows,
    the_one,
)


async def test_an_address_has_the_place_the_channel_and_the_upload_limit(discord: LocalDiscord, job: Job) -> None:
    assert '"place":"server"' in job.address
    assert f'"channel":{discord.channel_id}' in job.address
    assert '"file_limit":10485760' in job.address


class TestAPainting:
    async def test_replaces_the_reply_by_the_token(self, discord: LocalDiscord, job: Job, deliver: Deliver) -> None:
        assert await deliver(job, result()) == "token"
        message = the_one(discord.channel_messages)
        assert shows(message)
        assert message.attachments[0].filename == f"painting-{job.id}.png"
        assert message.attachments[0].description == "town, painted in the style of strokes"
        assert message.content.startswith("Painted in 8 s")
        assert message.buttons[0].label == "More style"
        assert direct_messages(discord) == []

    async def test_that_is_smaller_than_ordered_says_so(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        ordered = dataclasses.replace(job, recipe=Recipe(size=1024))
        smaller = dataclasses.replace(result(), recipe=Recipe(size=96))
        assert await deliver(ordered, smaller) == "token"
        first, *more = the_one(discord.channel_messages).content.splitlines()
        assert first.endswith(f"recipe `{Recipe(size=96).id}`")
        assert more == ["Painted at 96 px, because there was not enough memory for 1,024 px."]

    async def test_replaces_the_reply_by_an_edit_after_the_token_has_expired(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
        assert await deliver(job, result()) == "edit"
        assert shows(the_one(discord.channel_messages))
        assert direct_messages(discord) == []

    async def test_does_not_use_an_expired_token(self, discord: LocalDiscord, job: Job, deliver: Deliver) -> None:
        assert await deliver(moved(job, created_at=0), result()) == "edit"
        assert requests(discord, BY_TOKEN) == 0

    async def test_is_posted_as_a_reply_if_the_message_cannot_be_edited(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        assert await deliver(job, result()) == "post"
        first, posted = discord.channel_messages
        assert (first.content, first.attachments) == ("Finished: the painting is in my new message below.", ())
        assert shows(posted)
        assert posted.buttons[0].label == "More style"
        assert posted.content.startswith(f"For <@{job.owner}>: town, painted in the style of strokes\nPainted in")
        (request,) = [each for each in discord.requests if f"{each.method} {each.route}" == SEND]
        assert isinstance(request.body, dict)
        assert request.body["message_reference"]["message_id"] == first.id
        assert request.body["allowed_mentions"]["parse"] == []
        assert request.body["allowed_mentions"]["replied_user"] is False
        assert (request.body["nonce"], request.body["enforce_nonce"]) == (job.id, True)
        assert direct_messages(discord) == []

    async def test_is_posted_once_even_after_discord_has_forgotten_the_nonce(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        expire_token(discord)
        for _ in range(2):
            discord.fail_next(BY_BOT, 400, code=30046)
            assert await reply_to(job).deliver(result()) == "post"
            discord.clock.advance(3600)
        assert len(discord.channel_messages) == 2

    @pytest.mark.parametrize("messages", [101, 250])
    async def test_is_posted_once_in_a_busy_channel(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, messages: int
    ) -> None:
        expire_token(discord)
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
        expire_token(discord)
        away = moved(job, place="elsewhere")
        assert await reply_to(away).deliver(result()) == "direct"
        ada = discord.member("Ada")
        for number in range(101):
            await ada.at(discord.direct(ada)).say(f"message {number}")
        discord.clock.advance(3600)
        assert await reply_to(dataclasses.replace(away, state=State.DELIVERING)).deliver(result()) == "direct"
        assert len(direct_messages(discord)) == 102

    async def test_is_searched_for_only_after_its_reply(
        self, discord: LocalDiscord, client: Atelier, job: Job, reply_to: ReplyTo
    ) -> None:
        """Messages before the reply belong to other jobs, so the bot does not search them."""
        for number in range(101):
            await discord.member("Bob").say(f"message {number}")
        reply = await client.get_partial_messageable(discord.channel_id).send("Painting …")
        discord.fail_next(BY_BOT, 400, code=30046)
        assert await reply_to(moved(job, created_at=0, message=reply.id)).deliver(result()) == "post"
        assert requests(discord, LOOK) == 1

    async def test_goes_to_direct_messages_if_the_channel_has_too_many_messages_to_search(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.delivery.channels.MAX_SEARCHED", 200)
        expire_token(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        for number in range(200):
            await discord.member("Bob").say(f"message {number}")
        assert await reply_to(job).deliver(result()) == "direct"
        assert len(discord.channel_messages) == 201

    async def test_goes_to_direct_messages_if_the_bot_cannot_post_in_the_channel(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
        discord.fail_next(BY_BOT, 403, code=50001)
        discord.fail_next(SEND, 403, code=50013)
        assert await deliver(job, result()) == "direct"
        reply = the_one(discord.channel_messages)
        assert (reply.content, reply.attachments) == ("Finished: I sent you the painting in a direct message.", ())
        message = the_one(direct_messages(discord))
        assert shows(message)
        assert message.content.startswith("town, painted in the style of strokes\nPainted in 8 s")

    async def test_goes_to_direct_messages_if_only_the_member_has_installed_the_app(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
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

    async def test_is_kept_if_the_member_accepts_no_direct_messages(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        expire_token(discord)
        discord.fail_next(OPEN_DIRECT, 400, code=50033, times=2)
        assert await reply_to(moved(job, place="elsewhere")).deliver(result()) == "kept"
        discord.refuse_direct_messages(discord.member("Ada"))
        assert await reply_to(moved(job, place="elsewhere")).deliver(result()) == "kept"
        assert direct_messages(discord) == []

    async def test_is_not_posted_in_a_channel_where_the_reply_was_deleted(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        assert await deliver(job, result()) == "direct"
        assert discord.channel_messages == []
        assert shows(the_one(direct_messages(discord)))

    async def test_goes_to_direct_messages_if_the_bot_cannot_read_the_channel(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        expire_token(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        discord.fail_next(LOOK, 403, code=50001)
        assert await reply_to(job).deliver(result()) == "direct"
        assert len(discord.channel_messages) == 1

    async def test_has_a_description_with_escaped_markdown(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        hostile = dataclasses.replace(job, description="**b** [x](https://a.b) <@1> @everyone `c` ||d||")
        assert await deliver(hostile, result()) == "post"
        shown = discord.channel_messages[-1].content.partition(">: ")[2]
        assert r"\*\*b\*\* \[x\]\(https\://a" in shown
        assert not re.search(r"(?<!\\)[*\[\]<>@`|]", shown.split("\n")[0])


class TestAFailure:
    async def test_replaces_the_reply_by_a_text(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        assert await deliver(job, OutOfMemory(512)) == "token"
        message = the_one(discord.channel_messages)
        assert message.content.startswith("There was not enough memory")
        assert (message.attachments, message.buttons) == ((), ())
        assert message.id == invocation.history[0].id
        assert direct_messages(discord) == []

    async def test_is_posted_once_with_the_id_of_its_job(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
        discord.fail_next(BY_BOT, 400, code=30046)
        assert await deliver(job, JobExpired(24)) == "post"
        posted = discord.channel_messages[-1]
        assert posted.content.splitlines() == [
            f"For <@{job.owner}>: town, painted in the style of strokes",
            "This picture was not finished within 24 hours. Send the command again.",
            f"-# Job {job.id}",
        ]

    async def test_is_sent_as_a_direct_message_if_the_reply_was_deleted(
        self, discord: LocalDiscord, job: Job, deliver: Deliver, invocation: Invocation
    ) -> None:
        await moderator_deletes(discord, invocation.history[0].id)
        assert await deliver(job, UnexpectedError(job.id)) == "direct"
        assert the_one(direct_messages(discord)).content.startswith("town, painted in the style of strokes\nSomething")
        assert discord.channel_messages == []


class TestACancelledJob:
    async def test_tells_its_owner_that_a_moderator_cancelled_it(
        self, deliver: Deliver, job: Job, discord: LocalDiscord
    ) -> None:
        assert await deliver(job, CancelledByModerator()) == "token"
        (message,) = discord.channel_messages
        assert (message.content, message.buttons) == ("A moderator of this server cancelled this picture.", ())

    async def test_tells_its_owner_that_an_operator_cancelled_it(
        self, reply_to: ReplyTo, job: Job, discord: LocalDiscord
    ) -> None:
        assert await reply_to(job).deliver(CancelledByOperator()) == "token"
        assert the_one(discord.channel_messages).content == "The bot's operator cancelled this picture."

    async def test_has_its_reply_deleted(self, discord: LocalDiscord, job: Job, deliver: Deliver) -> None:
        assert await deliver(job, PaintingCancelled()) == "token"
        assert discord.channel_messages == []

    async def test_has_its_reply_deleted_without_the_token(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
        assert await deliver(job, PaintingCancelled()) == "edit"
        assert discord.channel_messages == []

    async def test_sends_nothing_if_its_reply_cannot_be_reached(
        self, discord: LocalDiscord, job: Job, deliver: Deliver
    ) -> None:
        expire_token(discord)
        assert await deliver(moved(job, place="elsewhere"), PaintingCancelled()) == "kept"
        assert direct_messages(discord) == []


class TestARetriedJob:
    async def test_replaces_the_message_of_its_failure_without_the_token(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        failed = reply_to(job)
        assert await failed.deliver(UnexpectedError(job.id)) == "token"
        assert ReplyTarget.model_validate_json(job.address).token not in failed.posted
        again = reply_to(dataclasses.replace(job, id=new_id(), address=failed.posted))
        assert await again.deliver(result()) == "edit"
        assert shows(the_one(discord.channel_messages))


class TestTrouble:
    @pytest.mark.parametrize(
        ("status", "code"), [(401, 0), (400, 40003), (429, 0)], ids=["bot's token", "too many at once", "banned"]
    )
    async def test_that_is_temporary_delays_the_delivery(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, status: int, code: int
    ) -> None:
        reply = reply_to(job)
        discord.fail_next(BY_TOKEN, status, code=code)
        with pytest.raises(DeliveryDelayed):
            await reply.deliver(result())
        assert await reply.deliver(result()) == "token"
        assert shows(the_one(discord.channel_messages))

    async def test_on_the_server_is_retried(self, discord: LocalDiscord, job: Job, reply_to: ReplyTo) -> None:
        discord.fail_next(BY_TOKEN, 503)
        discord.rate_limit_next(BY_TOKEN, 0.2)
        assert await reply_to(job).deliver(result()) == "token"

    async def test_that_lasts_delays_the_delivery(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reply = reply_to(job)
        monkeypatch.setattr("bot.delivery.channels.REQUEST_TIMEOUT", 0.3)
        discord.rate_limit_next(BY_TOKEN, 300)
        with pytest.raises(DeliveryDelayed):
            await reply.deliver(result())
        monkeypatch.undo()
        assert await reply.deliver(result()) == "token"

    async def test_while_sending_leads_to_no_second_message(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        """The edit is rejected once, and the answer to the post is lost. Afterwards the edit would work."""
        expire_token(discord)
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
        """If only the member has installed the app, the bot can't read the reply after the token has expired."""
        away = moved(job, place="elsewhere")
        assert await reply_to(away).deliver(result()) == "token"
        expire_token(discord)
        assert await reply_to(dataclasses.replace(away, state=State.DELIVERING)).deliver(result()) == "kept"
        assert shows(the_one(discord.channel_messages))
        assert direct_messages(discord) == []

    async def test_that_closes_the_channel_after_an_edit_leads_to_no_second_answer(
        self, discord: LocalDiscord, job: Job, reply_to: ReplyTo
    ) -> None:
        assert await reply_to(job).deliver(result()) == "token"
        expire_token(discord)
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
