"""The buttons, entries and modals under a result that paint it again."""

import dataclasses
from typing import Any

from bot.client.client import Atelier
from bot.client.services import Services
from bot.delivery.reply import DiscordReply
from bot.features.results.views import views
from bot.jobs.errors import TooManyJobs
from bot.jobs.model import Order
from bot.library.built_in import BUILT_IN
from bot.library.library import reference
from bot.sandbox import Invocation, LocalDiscord
from engine.progress import Result
from engine.recipe import Inputs
from tests.bot.conftest import STYLE, is_private_answer
from tests.bot.features.results.conftest import Delivered
from tests.doubles.jobs import FakeJobs


async def ordered(fake_jobs: FakeJobs, invocation: Invocation) -> Order:
    """The order that a press, choice or submission became."""
    await fake_jobs.accepted.wait()
    fake_jobs.accepted.clear()
    assert fake_jobs.orders[-1].id == f"{invocation.id:016x}"
    return fake_jobs.orders[-1]


async def refused(discord: LocalDiscord, invocation: Invocation) -> str:
    """What only the member reads. Nothing else is left of the interaction."""
    answer = await invocation.wait_until(is_private_answer)
    own = {message.id for message in invocation.history}
    assert not any(message.id in own for message in discord.channel_messages)
    return answer.content


async def test_a_press_makes_a_job_of_the_member_who_presses_with_its_own_public_reply(
    discord: LocalDiscord, fake_jobs: FakeJobs, delivered: Delivered
) -> None:
    job, message = await delivered()
    assert [button.label for button in message.buttons] == [
        "More style", "Less style", "Again", "Bigger", "Tweak …", "Another style …", "Delete",
    ]  # fmt: skip
    bob = discord.member("Bob")

    async def pressed(label: str) -> Order:
        invocation = await bob.press(message, label)
        order = await ordered(fake_jobs, invocation)
        reply = discord.channel_messages[-1]
        assert reply.thinking
        assert reply.id == invocation.history[0].id
        assert (order.owner, order.parent, order.description) == (bob.id, job.id, job.description)
        assert order.inputs == job.inputs
        return order

    base = job.recipe.model_copy(update={"continues": job.final_state})
    orders = {label: await pressed(label) for label in ("More style", "Less style", "Again", "Bigger")}
    assert orders["More style"].recipe == base.model_copy(update={"strength": 75})
    assert orders["Less style"].recipe == base.model_copy(update={"strength": 25})
    assert orders["Bigger"].recipe == base.model_copy(update={"size": 160, "steps": 5000})
    other_seed = orders["Again"].recipe
    assert other_seed.seed != base.seed
    assert other_seed.model_copy(update={"seed": 0, "noise": base.noise}) == base.whole
    assert len({order.action for order in orders.values()}) == 4

    entries: dict[str, dict[str, Any]] = {
        "finer": {"stroke": 0.5}, "broader": {"stroke": 2}, "colours": {"colours": "content"},
    }  # fmt: skip
    for entry, changed in entries.items():
        order = await ordered(fake_jobs, await bob.choose(message, f"menu:{job.id}", entry))
        assert order.recipe == base.model_copy(update=changed)


async def test_a_reply_to_a_press_names_the_member_who_pressed(
    discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs, delivered: Delivered
) -> None:
    job, message = await delivered()
    assert "Requested by" not in message.content  # Discord shows who used the command
    bob = discord.member("Bob")
    pressed = await bob.press(message, "Again")
    await ordered(fake_jobs, pressed)
    again = fake_jobs.jobs[fake_jobs.orders[-1].id]
    reply = DiscordReply(client, again, views(client), client.services.executor)
    reply.queued(1)
    waiting = await pressed.wait_until(lambda message: "Next in line" in message.content)
    await reply.deliver(Result(STYLE.data, "png", 100, 100, job.recipe, 30, 2.0, "finished"))
    painted = discord.channel_messages[-1]
    assert painted.attachments
    for shown in (waiting, painted):
        assert shown.content.endswith(f"\n-# Requested by <@{bob.id}>")


async def test_an_instant_picture_can_be_finished(
    discord: LocalDiscord, fake_jobs: FakeJobs, delivered: Delivered
) -> None:
    job, message = await delivered("instant")
    assert job.recipe.method == "instant"
    assert [button.label for button in message.buttons] == [
        "Finish it", "More style", "Less style", "Again", "Tweak …", "Another style …", "Delete",
    ]  # fmt: skip
    order = await ordered(fake_jobs, await discord.member("Ada").press(message, "Finish it"))
    standard = {"size": 128, "steps": 30, "method": "gatys", "start": "matched"}
    assert order.recipe == job.recipe.model_copy(update=standard)


async def test_what_cannot_be_done_is_explained_privately(
    discord: LocalDiscord, fake_jobs: FakeJobs, services: Services, delivered: Delivered
) -> None:
    job, message = await delivered()
    assert job.painted is not None
    ada = discord.member("Ada")

    async def says(label: str, **changes: Any) -> str:
        fake_jobs.hold(job, recipe=job.recipe.model_copy(update=changes))
        return await refused(discord, await ada.press(message, label))

    assert "already 100" in await says("More style", strength=100)
    assert "already 5" in await says("Less style", strength=5)
    fake_jobs.hold(job, painted=dataclasses.replace(job.painted, size=160))
    assert "the largest size" in await refused(discord, await ada.press(message, "Bigger"))
    fake_jobs.hold(job)
    await services.store.change_guild_rules(discord.guild_id, max_size=job.recipe.size)
    assert "in this server can have at most 128 px" in await refused(discord, await ada.press(message, "Bigger"))
    fake_jobs.refusal = TooManyJobs(3)
    assert "already have 3 pictures" in await says("Again")
    fake_jobs.refusal = None
    del fake_jobs.jobs[job.id]
    for label in ("More style", "Tweak …"):
        assert "no longer have" in await refused(discord, await ada.press(message, label))
    assert len(fake_jobs.orders) == 1


async def test_tweaking_changes_several_options_and_continues_from_the_result_if_possible(
    discord: LocalDiscord, fake_jobs: FakeJobs, delivered: Delivered
) -> None:
    job, message = await delivered()
    ada = discord.member("Ada")

    async def submitted(**changes: str) -> Invocation:
        pressed = await ada.press(message, "Tweak …")
        await pressed.acknowledged()
        assert pressed.modal is not None
        selects = [label["component"] for label in pressed.modal["components"]]
        chosen = {
            select["custom_id"]: [option["value"] for option in select["options"] if option.get("default")]
            for select in selects
        }
        return await ada.submit(pressed, **(chosen | {name: [value] for name, value in changes.items()}))

    order = await ordered(fake_jobs, await submitted(strength="80", detail="40", stroke="0.5", colours="matched"))
    changed = {"strength": 80, "detail": 40, "stroke": 0.5, "colours": "matched"}
    assert order.recipe == job.recipe.model_copy(update={"continues": job.final_state, **changed})
    order = await ordered(fake_jobs, await submitted(quality="quick"))
    assert order.recipe == job.recipe.model_copy(update={"size": 96, "steps": 4})
    assert "Change one of the options" in await refused(discord, await submitted())


async def test_the_photo_or_the_result_is_painted_in_another_style(
    discord: LocalDiscord, fake_jobs: FakeJobs, delivered: Delivered
) -> None:
    job, message = await delivered()
    assert job.painted is not None
    ada = discord.member("Ada")

    async def submitted(opened: Invocation) -> Order:
        await opened.acknowledged()
        return await ordered(fake_jobs, await ada.submit(opened, style=[STYLE]))

    order = await submitted(await ada.press(message, "Another style …"))
    assert order.inputs == Inputs(job.inputs.content, (STYLE.data,))
    assert order.recipe == job.recipe
    assert order.description == "town\x1fstrokes"
    order = await submitted(await ada.choose(message, f"menu:{job.id}", "photo"))
    assert order.inputs == Inputs(job.painted.picture, (STYLE.data,))
    opened = await ada.press(message, "Another style …")
    await opened.acknowledged()
    order = await ordered(fake_jobs, await ada.submit(opened, saved=[reference(BUILT_IN[0])]))
    assert order.inputs == Inputs(job.inputs.content, (BUILT_IN[0].file.read_bytes(),))
    # The custom id of a modal can be forged: it must name the job under whose picture it was opened.
    opened = await ada.press(message, "Another style …")
    await opened.acknowledged()
    assert opened.modal is not None
    opened.modal["custom_id"] = f"restyled:{fake_jobs.hold(job, id='0' * 16).id}"
    assert "no longer have" in await refused(discord, await ada.submit(opened, style=[STYLE]))
