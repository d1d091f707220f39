"""The buttons that change which part of a photo is painted."""

import asyncio
from dataclasses import replace

from bot.client.client import Atelier
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.model import Job, Painted, State
from bot.sandbox import LocalDiscord, Message
from engine.progress import Progress, Result
from tests.bot.conftest import CONTENT, STYLE, is_private_answer, photo
from tests.doubles.jobs import FakeJobs

TINTED = photo((80, 60))
FIRST = Progress(1, 10, 512, 1.0, 0.5, 0.5, 1.0, 9.0, mask=TINTED)


async def painting(discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs, where: str) -> tuple[Job, DiscordReply]:
    """Order a painting of a part as Ada, and show its first progress."""
    await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, where=where)
    async with asyncio.timeout(10):
        await fake_jobs.accepted.wait()
    job = fake_jobs.hold(fake_jobs.jobs[fake_jobs.orders[-1].id], state=State.RUNNING)
    reply = DiscordReply(client, job, views(client), client.services.executor)
    return job, reply


async def shown(discord: LocalDiscord, reply: DiscordReply, progress: Progress = FIRST) -> Message:
    """The message with the mask, or the preview."""
    seen = asyncio.Event()
    discord.on_message(lambda message: seen.set() if message.attachments else None)
    reply.progressed(progress)
    async with asyncio.timeout(10):
        await seen.wait()
    return discord.channel_messages[-1]


def labels(message: Message) -> list[str | None]:
    return [button.label for button in message.buttons]


async def test_the_first_edit_shows_the_mask_and_its_buttons(
    discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs
) -> None:
    job, reply = await painting(discord, client, fake_jobs, "subject")
    message = await shown(discord, reply)
    assert message.attachments[0].data == TINTED
    assert message.content.endswith("The tinted part gets painted.")
    assert labels(message)[-3:] == ["Swap the parts", "Wider", "Tighter"]
    for _ in range(2):
        answer = await (await discord.member("Ada").press(message, "Wider")).wait_until(is_private_answer, 5)
        assert answer.content == "I'll paint it again with the new part."
        assert (fake_jobs.jobs[job.id].recipe.where, fake_jobs.jobs[job.id].recipe.spread) == ("subject", 2)
    answer = await (await discord.member("Bob").press(message, "Swap the parts")).wait_until(is_private_answer, 5)
    assert "Only the member" in answer.content
    assert fake_jobs.jobs[job.id].recipe.where == "subject"
    reply.renew(fake_jobs.jobs[job.id])
    message = await shown(discord, reply)
    await (await discord.member("Ada").press(message, "Swap the parts")).wait_until(is_private_answer, 5)
    assert (fake_jobs.jobs[job.id].recipe.where, fake_jobs.jobs[job.id].recipe.spread) == ("background", -2)
    await reply.close()


async def test_a_part_that_is_not_found_can_not_be_changed(
    discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs
) -> None:
    job, reply = await painting(discord, client, fake_jobs, "not-faces")
    message = await shown(discord, reply, replace(FIRST, mask=None, preview=TINTED, not_found=True))
    assert message.content.endswith("\nNo face was found, so everything is painted.")
    assert labels(message)[-1] == "Ping me when done"
    result = Result(TINTED, "png", 80, 60, job.recipe, 30, 2.0, "finished", not_found=True)
    reply.renew(replace(job, painted=Painted.of(result, "b" * 64)))
    await reply.deliver(result)
    message = discord.channel_messages[-1]
    assert message.content.endswith("\nNo face was found, so everything is painted.")
    entries = [option["value"] for row in message.components for option in row["components"][0].get("options", ())]
    assert {"finer", "broader"} <= {*entries}
    assert {"swap", "wider", "tighter"}.isdisjoint(entries)


async def test_a_finished_part_can_be_swapped_and_its_caption_names_it(
    discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs
) -> None:
    job, reply = await painting(discord, client, fake_jobs, "not-faces")
    result = Result(TINTED, "png", 80, 60, job.recipe, 30, 2.0, "finished")
    await reply.deliver(result)
    fake_jobs.hold(job, state=State.DELIVERED, painted=Painted.of(result, "b" * 64), final_state="5" * 64)
    message = discord.channel_messages[-1]
    assert "painted: everything but faces" in message.content
    fake_jobs.accepted.clear()
    await discord.member("Bob").choose(message, f"menu:{job.id}", "swap")
    async with asyncio.timeout(10):
        await fake_jobs.accepted.wait()
    assert fake_jobs.orders[-1].recipe == job.recipe.model_copy(update={"where": "faces"})
