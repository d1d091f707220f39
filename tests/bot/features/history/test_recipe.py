"""`/recipe` as a member uses it."""

from datetime import UTC, datetime

import pytest

from bot.client.client import Atelier
from bot.jobs.database.store import Store
from bot.jobs.model import Job, Painted, State, new_id
from bot.sandbox import LocalDiscord, Member, Upload
from engine.recipe import Inputs, Recipe
from tests.bot.conftest import CONTENT, is_private_answer
from tests.doubles.jobs import FakeJobs, insert_job

RECIPE = Recipe(size=384, steps=60, strength=70, colours="content", stroke=2, style_shares=(70, 30), seed=5)


@pytest.fixture
async def ada(discord: LocalDiscord, client: Atelier) -> Member:
    """A member. The bot is connected."""
    return discord.member("Ada")


@pytest.fixture
async def job(discord: LocalDiscord, client_store: Store, ada: Member) -> Job:
    """Her finished painting in the server."""
    return await insert_job(
        client_store,
        Job(
            id=new_id(),
            owner=ada.id,
            guild_id=discord.guild_id,
            recipe=RECIPE,
            inputs=Inputs("c" * 64, ("5" * 64, "6" * 64)),
            address="",
            description="town\x1fstrokes\x1fdots",
            max_bytes=2**20,
            state=State.DELIVERED,
            created_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
            painted=Painted("9" * 64, "png", 384, 288, 60, 8.0, "finished"),
        ),
    )


async def test_every_member_of_the_server_can_read_a_recipe(discord: LocalDiscord, ada: Member, job: Job) -> None:
    suggesting = await ada.autocomplete("recipe", "id", "DOTS")
    await suggesting.acknowledged()
    (suggested,) = suggesting.choices
    assert suggested["name"] == f"{RECIPE.id} · town, painted in the style of strokes and dots"
    shown = await (await ada.invoke("recipe", id=suggested["value"])).wait_until(is_private_answer)
    assert shown.content.splitlines() == [
        f"**Recipe `{RECIPE.id}`** · town, painted in the style of strokes and dots",
        "Size: 384 px on the longer side, 60 steps",
        "Strength: 70",
        "Colours: the photo's colours",
        "Strokes: broad",
        "Detail: 0",
        "Technique: texture",
        "Mix: 70 : 30",
        "Seed: 5",
    ]
    (file,) = shown.attachments
    assert file.filename == f"recipe-{RECIPE.id}.json"
    assert Recipe.model_validate_json(file.data) == RECIPE
    # The caption in the server shows the id to everybody, but not the names of the files.
    bob = discord.member("Bob")
    shown = await (await bob.invoke("recipe", id=RECIPE.id)).wait_until(is_private_answer)
    assert shown.content.startswith(f"**Recipe `{RECIPE.id}`**\nSize: 384 px")
    assert [each.filename for each in shown.attachments] == [f"recipe-{RECIPE.id}.json"]
    nothing = await bob.autocomplete("recipe", "id", "")
    await nothing.acknowledged()
    assert nothing.choices == ()
    elsewhere = bob.at(discord.direct(bob))
    for member, wanted in ((elsewhere, RECIPE.id), (bob, "0" * 8), (bob, "a recipe")):
        answer = await (await member.invoke("recipe", id=wanted)).wait_until(is_private_answer)
        assert answer.content.startswith("I can't find this recipe.")
    assert discord.channel_messages == []


async def test_a_members_own_recipe_paints_a_new_photo_in_the_same_styles(
    discord: LocalDiscord, fake_jobs: FakeJobs, ada: Member, job: Job
) -> None:
    await ada.invoke("recipe", id=job.id, content=Upload("my_cat.jpg", CONTENT.data))
    await fake_jobs.accepted.wait()
    (order,) = fake_jobs.orders
    assert (order.owner, order.recipe) == (ada.id, RECIPE)
    assert order.inputs == Inputs(CONTENT.data, job.inputs.styles)
    assert order.description == "my cat\x1fstrokes\x1fdots"
    (reply,) = discord.channel_messages
    assert reply.thinking
    # Another member's styles are not used, and nothing of the attempt stays in the channel.
    refused = await discord.member("Bob").invoke("recipe", id=RECIPE.id, content=CONTENT)
    answer = await refused.wait_until(is_private_answer)
    assert "from another member's picture" in answer.content
    assert [each.id for each in discord.channel_messages] == [reply.id]
    assert len(fake_jobs.orders) == 1
