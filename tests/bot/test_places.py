"""How a picture is delivered after the interaction's token has expired, by the place of the command."""

import dataclasses

import pytest

from bot.client.client import Atelier
from bot.delivery.reply import DiscordReply
from bot.delivery.target import ReplyTarget
from bot.features.results.views import views
from bot.jobs.model import Job, State
from bot.sandbox import LocalDiscord, Permission, Place
from engine.progress import Result
from engine.recipe import Recipe
from tests.bot.conftest import CONTENT, STYLE, photo
from tests.doubles.jobs import FakeJobs

RESULT = Result(photo((96, 72)), "png", 96, 72, Recipe(), 60, 8.0, "finished")


@dataclasses.dataclass
class Setting:
    """A bot, and the jobs that members order from it."""

    discord: LocalDiscord
    client: Atelier
    fake_jobs: FakeJobs

    async def asked(self, place: Place) -> Job:
        """Ada's job from that place, whose token has expired."""
        invocation = await self.discord.member("Ada").at(place).invoke("stylize", content=CONTENT, style=STYLE)
        await self.fake_jobs.accepted.wait()
        self.discord.expire_token(invocation)
        (job,) = self.fake_jobs.jobs.values()
        return dataclasses.replace(job, state=State.RUNNING)

    async def delivered(self, job: Job) -> str:
        """Deliver the picture twice. Return the channel, which must be the same."""
        delivered_by = await DiscordReply(self.client, job, views(self.client), self.client.services.executor).deliver(
            RESULT
        )
        again = DiscordReply(
            self.client,
            dataclasses.replace(job, state=State.DELIVERING),
            views(self.client),
            self.client.services.executor,
        )
        assert await again.deliver(RESULT) == delivered_by
        return delivered_by

    def pictures(self, place: Place) -> int:
        """The number of messages with a picture in a place."""
        return sum(bool(message.attachments) for message in self.discord.messages(place))


@pytest.fixture
def setting(discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs) -> Setting:
    return Setting(discord, client, fake_jobs)


def place_of(job: Job) -> str:
    return ReplyTarget.model_validate_json(job.address).place


@pytest.mark.parametrize("installed", ["guild", "both"])
async def test_in_a_server_with_the_app_the_reply_is_edited(setting: Setting, installed: str) -> None:
    place = setting.discord.add_guild(installed=installed)  # type: ignore[arg-type]
    job = await setting.asked(place)
    assert place_of(job) == "server"
    assert await setting.delivered(job) == "edit"
    assert setting.pictures(place) == 1


async def test_from_a_channel_that_the_bot_cannot_see_the_picture_goes_to_direct_messages(setting: Setting) -> None:
    job = await setting.asked(setting.discord.home)
    setting.discord.forbid(Permission.VIEW_CHANNEL)
    assert await setting.delivered(job) == "direct"
    assert setting.pictures(setting.discord.home) == 0
    assert setting.pictures(setting.discord.direct(setting.discord.member("Ada"))) == 1


async def test_from_a_server_without_the_app_the_picture_goes_to_direct_messages(setting: Setting) -> None:
    place = setting.discord.add_guild(installed="user")
    job = await setting.asked(place)
    assert place_of(job) == "elsewhere"
    assert await setting.delivered(job) == "direct"
    assert setting.pictures(place) == 0
    assert setting.pictures(setting.discord.direct(setting.discord.member("Ada"))) == 1
    assert not [request for request in setting.discord.requests if str(place.channel_id) in request.path]


async def test_from_a_private_group_the_picture_goes_to_direct_messages(setting: Setting) -> None:
    place = setting.discord.add_group(setting.discord.member("Ada"), setting.discord.member("Bob"))
    job = await setting.asked(place)
    assert place_of(job) == "elsewhere"
    assert await setting.delivered(job) == "direct"


@pytest.mark.parametrize("kind", ["thread", "post"])
async def test_in_a_thread_the_reply_is_edited(setting: Setting, kind: str) -> None:
    place = setting.discord.add_thread() if kind == "thread" else setting.discord.add_post()
    job = await setting.asked(place)
    assert await setting.delivered(job) == "edit"
    assert setting.pictures(place) == 1


async def test_in_an_archived_thread_a_message_reopens_it(setting: Setting) -> None:
    place = setting.discord.add_thread()
    job = await setting.asked(place)
    setting.discord.archive_thread(place)
    assert await setting.delivered(job) == "post"
    reply, message = setting.discord.messages(place)
    assert reply.content == "Finished: the painting is in my new message below."
    assert message.content.startswith(f"For <@{job.owner}>: ")
    assert setting.pictures(place) == 1


@pytest.mark.parametrize("why", ["locked", "forbidden"])
async def test_from_a_closed_thread_the_picture_goes_to_direct_messages(setting: Setting, why: str) -> None:
    place = setting.discord.add_thread()
    job = await setting.asked(place)
    setting.discord.archive_thread(place, locked=why == "locked")
    if why == "forbidden":
        setting.discord.forbid(Permission.SEND_MESSAGES_IN_THREADS)
    assert await setting.delivered(job) == "direct"
    assert setting.pictures(place) == 0
    assert setting.pictures(setting.discord.direct(setting.discord.member("Ada"))) == 1


@pytest.mark.parametrize("installed", ["guild", "user"])
async def test_in_direct_messages_the_reply_is_edited(setting: Setting, installed: str) -> None:
    place = setting.discord.direct(setting.discord.member("Ada"), installed=installed)  # type: ignore[arg-type]
    job = await setting.asked(place)
    assert place_of(job) == "direct"
    assert await setting.delivered(job) == "edit"
    assert setting.pictures(place) == 1
