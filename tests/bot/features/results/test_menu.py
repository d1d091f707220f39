"""The menu under a result."""

from typing import Any

import discord as library

from bot.client.actions import ResultAction
from bot.client.client import Atelier
from bot.jobs.model import State
from bot.sandbox import LocalDiscord
from engine.recipe import Recipe
from tests.bot.conftest import is_private_answer
from tests.bot.features.results.conftest import PICTURE, Delivered
from tests.doubles.jobs import FakeJobs


async def test_the_menu_shows_the_recipe_to_every_member(
    discord: LocalDiscord, delivered: Delivered, fake_jobs: FakeJobs
) -> None:
    job, message = await delivered()
    choice = await discord.member("Bob").choose(message, f"menu:{job.id}", "recipe")
    answer = await choice.wait_until(is_private_answer)
    assert answer.content.startswith(f"**Recipe `{job.recipe.id}`**\nSize: ")
    assert Recipe.model_validate_json(answer.attachments[0].data) == job.recipe
    del fake_jobs.jobs[job.id]
    choice = await discord.member("Bob").choose(message, f"menu:{job.id}", "recipe")
    assert "no longer have the files" in (await choice.wait_until(is_private_answer)).content


async def test_the_menu_has_the_entries_that_features_offer(
    discord: LocalDiscord, client: Atelier, delivered: Delivered
) -> None:
    async def ask(interaction: library.Interaction[Any], job_id: str) -> None:
        await interaction.response.send_modal(library.ui.Modal(title=job_id).add_item(library.ui.TextInput(label="?")))

    async def fail(interaction: library.Interaction[Any], job_id: str) -> str:
        await interaction.response.defer(thinking=True)
        raise RuntimeError("a bug")

    client.result_actions["ask"] = ResultAction("Ask", ask, defers=False)
    client.result_actions["fail"] = ResultAction("Fail", fail, defers=False)
    client.result_actions["hidden"] = ResultAction("Hidden", ask, offered=lambda job: job.state is State.FAILED)
    job, message = await delivered()
    (row,) = (row for row in message.components if row["components"][0]["type"] == 3)
    assert {"ask", "fail"} < {option["value"] for option in row["components"][0]["options"]}
    assert "hidden" not in {option["value"] for option in row["components"][0]["options"]}
    asked = await discord.member("Ada").choose(message, f"menu:{job.id}", "ask")
    await asked.acknowledged()
    assert asked.modal is not None
    assert asked.modal["title"] == job.id
    failed = await discord.member("Ada").choose(message, f"menu:{job.id}", "fail")
    assert "Something went wrong" in (await failed.wait_until(is_private_answer)).content
    # Its public "thinking …" is gone.
    assert [each.id for each in discord.channel_messages] == [message.id]


async def test_a_result_is_saved_as_a_style(discord: LocalDiscord, delivered: Delivered) -> None:
    job, message = await delivered()
    bob = discord.member("Bob")
    modal = await bob.choose(message, f"menu:{job.id}", "save-style")
    await modal.acknowledged()
    saved = await (await bob.submit(modal, name="Bob's town")).wait_until(is_private_answer)
    assert saved.content.startswith("Added **Bob's town** to your styles.")
    assert saved.attachments[0].data == PICTURE
