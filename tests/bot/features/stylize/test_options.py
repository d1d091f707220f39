"""The options of `/stylize` become the order's recipe."""

from typing import Any

import pytest

from bot.jobs.model import Order
from bot.library.built_in import BUILT_IN
from bot.sandbox import LocalDiscord, Upload
from engine.recipe import Inputs, Recipe
from tests.bot.conftest import CONTENT, STYLE, is_private_answer, photo
from tests.doubles.jobs import FakeJobs

WAVES = Upload("waves.png", photo((90, 90), hue=1))
SKY = Upload("sky.png", photo((80, 100), hue=3))
LARGE = Upload("large.png", bytes(2 * 2**20))


async def ordered(discord: LocalDiscord, fake_jobs: FakeJobs, **options: Any) -> Order:
    """Give a command with these options, a photo and a style. Return its order."""
    fake_jobs.accepted.clear()
    await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, **options)
    await fake_jobs.accepted.wait()
    return fake_jobs.orders[-1]


async def refused(discord: LocalDiscord, **options: Any) -> str:
    """The ephemeral answer to a command with these options."""
    invocation = await discord.member("Ada").invoke("stylize", content=CONTENT, style=STYLE, **options)
    message = await invocation.wait_until(is_private_answer)
    assert discord.channel_messages == []
    return message.content


@pytest.mark.usefixtures("client")
class TestTheRecipe:
    async def test_has_the_defaults_and_the_standard_quality_without_options(
        self, discord: LocalDiscord, fake_jobs: FakeJobs
    ) -> None:
        order = await ordered(discord, fake_jobs)
        assert order.recipe == Recipe(size=128, steps=30)  # `standard`, of thumbnails
        assert order.inputs.styles == (STYLE.data,)

    @pytest.mark.parametrize(
        ("option", "value", "field", "expected"),
        [
            ("quality", "quick", "steps", 4),
            ("strength", 70, "strength", 70),
            ("strength", 0, "strength", 0),
            ("detail", 40, "detail", 40),
            ("detail", 100, "detail", 100),
            ("stroke", "fine", "stroke", 0.5),
            ("stroke", "medium", "stroke", 1),
            ("stroke", "broad", "stroke", 2),
            ("colours", "style", "colours", "style"),
            ("colours", "matched", "colours", "matched"),
            ("colours", "content", "colours", "content"),
            ("technique", "neighbours", "method", "neighbours"),
        ],
    )
    async def test_has_the_value_of_each_option(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, option: str, value: object, field: str, expected: object
    ) -> None:
        order = await ordered(discord, fake_jobs, **{option: value})
        assert getattr(order.recipe, field) == expected

    async def test_has_a_share_for_each_style_in_the_order_of_the_styles(
        self, discord: LocalDiscord, fake_jobs: FakeJobs
    ) -> None:
        order = await ordered(discord, fake_jobs, style3=SKY, style2=WAVES, mix="60 30 10")
        assert (order.recipe.style_shares, order.inputs.styles) == ((60, 30, 10), (STYLE.data, WAVES.data, SKY.data))
        assert order.description == "town\x1fstrokes\x1fwaves\x1fsky"

    async def test_takes_each_style_from_the_library_or_as_a_picture(
        self, discord: LocalDiscord, fake_jobs: FakeJobs
    ) -> None:
        typed = await discord.member("Ada").autocomplete("stylize", "saved_style3", BUILT_IN[1].name)
        await typed.acknowledged()
        third = typed.choices[0]["value"]
        order = await ordered(discord, fake_jobs, saved_style2=BUILT_IN[0].name, saved_style3=third, mix="60 30 10")
        saved = (style.file.read_bytes() for style in BUILT_IN[:2])
        assert (order.recipe.style_shares, order.inputs.styles) == ((60, 30, 10), (STYLE.data, *saved))

    async def test_has_no_shares_without_a_mix(self, discord: LocalDiscord, fake_jobs: FakeJobs) -> None:
        order = await ordered(discord, fake_jobs, style3=SKY)
        assert (order.recipe.style_shares, order.inputs.styles) == ((), (STYLE.data, SKY.data))


@pytest.mark.usefixtures("client")
class TestARefusal:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"mix": "70 30"}, "**Mix:** You gave only one style. Add a second one as `style2`, or leave out `mix`."),
            ({"style2": WAVES, "mix": "70"}, "**Mix:** Enter one number for each of your 2 styles"),
            ({"style2": WAVES, "style3": SKY, "mix": "much more of it"}, "each of your 3 styles"),
            ({"saved_style2": "pencil"}, "I know no style named **pencil**. The closest name is **Pencil hatching**."),
            ({"saved_style": "pencil"}, "**Style:** Give either a picture or a saved style, not both."),
            ({"style3": SKY, "saved_style3": "pencil"}, "**Style 3:** Give either a picture or a saved style"),
            ({"style2": LARGE}, "**Style 2:** The file is too large."),
            ({"style2": WAVES, "style3": LARGE}, "**Style 3:** The file is too large."),
        ],
    )
    async def test_is_private_and_orders_nothing(
        self, discord: LocalDiscord, fake_jobs: FakeJobs, options: dict[str, Any], words: str
    ) -> None:
        assert words in await refused(discord, **options)
        assert fake_jobs.orders == []


@pytest.mark.usefixtures("client")
class TestThePart:
    async def test_that_is_painted_and_what_the_rest_is(self, discord: LocalDiscord, fake_jobs: FakeJobs) -> None:
        order = await ordered(discord, fake_jobs, where="background", style2=WAVES, rest="style")
        assert (order.recipe.where, order.recipe.rest, order.inputs.mask) == ("background", "style", None)
        order = await ordered(discord, fake_jobs, mask=SKY)
        assert (order.recipe.where, order.inputs) == ("mask", Inputs(CONTENT.data, (STYLE.data,), SKY.data))
        assert "sky" not in order.description

    async def test_that_lacks_something_is_explained(self, discord: LocalDiscord) -> None:
        assert "add it as `mask`" in await refused(discord, where="not-mask")
        assert "`where` is another part" in await refused(discord, where="subject", mask=SKY)
        assert "add `style2`" in await refused(discord, where="subject", rest="style")
        assert "choose with `where`" in await refused(discord, style2=SKY, rest="style")
        assert (await refused(discord, mask=LARGE)).startswith("**Mask:**")
