"""The styles of the operator's trained networks, as members use them."""

from pathlib import Path

import pytest
from PIL import Image

from bot.client.client import Atelier
from bot.jobs.errors import style_role
from bot.library import networks as networks_module
from bot.library.networks import NetworkStyle
from bot.sandbox import LocalDiscord
from engine.errors import BlobLost
from engine.networks.file import NetworkFile
from engine.networks.network import StyleNetwork
from tests.bot.conftest import CONTENT, is_private_answer, text_of
from tests.doubles.executor import FakeExecutor
from tests.doubles.jobs import FakeJobs
from tests.engine.networks.made import file_of

NAMES = ("Waves", "Im*pasto")


@pytest.fixture
def networks(tmp_path: Path) -> tuple[NetworkStyle, ...]:
    """Those of a folder in which another file is no network."""
    folder = tmp_path / "networks"
    folder.mkdir()
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    (folder / "two.safetensors").write_bytes(file_of(StyleNetwork(2, (8, 8)), pictures, NAMES).write())
    (folder / "broken.safetensors").write_bytes(b"{}" * 30)
    return networks_module.load(folder)


async def test_a_trained_style_is_used_like_any_other(
    discord: LocalDiscord, client: Atelier, fake_jobs: FakeJobs, networks: tuple[NetworkStyle, ...]
) -> None:
    ada = discord.member("Ada")
    listed = await (await ada.invoke("style list")).wait_until(lambda message: bool(text_of(message)))
    assert "**1.** Waves · trained" in text_of(listed)
    invocation = await ada.autocomplete("stylize", "saved_style", "wav")
    await invocation.acknowledged()
    assert [each["name"] for each in invocation.choices] == ["Waves (trained)"]

    shown = await (await ada.invoke("style show", name="im*PASTO")).wait_until(is_private_answer)
    assert shown.content.startswith("**Im\\*pasto** · trained style.")
    assert shown.attachments[0].data == networks[1].picture
    executor = client.services.executor
    assert isinstance(executor, FakeExecutor)
    assert executor.checks == len(networks)  # workers make the thumbnails, once

    refused = await (await ada.invoke("style remove", name=invocation.choices[0]["value"])).wait_until(
        is_private_answer
    )
    assert refused.content == "This is a built-in or trained style. It can't be renamed or removed."

    await ada.invoke("stylize", content=CONTENT, saved_style=invocation.choices[0]["value"], quality="instant")
    await fake_jobs.accepted.wait()
    order = fake_jobs.orders[-1]
    assert fake_jobs.checked == {"content", style_role(0)}  # a check would refuse a network, which no picture is
    (style,) = order.inputs.styles
    assert isinstance(style, bytes)
    assert NetworkFile.read(style).card.styles == ("Waves",)
    assert order.recipe.method == "instant"


async def test_a_network_that_was_replaced_is_not_mistaken_for_another(networks: tuple[NetworkStyle, ...]) -> None:
    waves = networks[0]
    waves.file.write_bytes(file_of(StyleNetwork(1, (8, 8)), [Image.new("RGB", (64, 64))], ("Sky",)).write())
    with pytest.raises(BlobLost):
        waves.network()
