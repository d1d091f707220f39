"""`/stylize` with a moving picture."""

import asyncio
import io

import pytest
from PIL import Image

from bot.sandbox import LocalDiscord, Message, Upload
from engine import presets
from tests.bot.conftest import STYLE, is_final
from tests.engine.images import clips, corpus

CLIP = Upload("balloon.gif", clips.file("GIF", clips.frames(3), duration=[40, 80, 500]))
LONG = Upload("long.gif", clips.file("GIF", [Image.new("RGB", (40, 32), colour) for colour in ("red", "blue")] * 650))
MASK = Upload("mask.png", corpus.saved(Image.new("L", (40, 32), 255), "PNG"))


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the first frame of a clip."""
    monkeypatch.setattr(presets, "FEWEST_STEPS", 4)


def opened(message: Message) -> Image.Image:
    (attachment,) = message.attachments
    return Image.open(io.BytesIO(attachment.data))


@pytest.mark.usefixtures("bot")
async def test_all_frames_are_painted_or_only_the_first_one(discord: LocalDiscord) -> None:
    async def painted(content: Upload = CLIP, style: Upload = STYLE, **options: Upload | str | int) -> Message:
        member = discord.member("Ada")
        invocation = await member.invoke("stylize", content=content, style=style, quality="quick", **options)
        return await invocation.wait_until(is_final, 60)

    moving, still, part = await asyncio.gather(
        painted(), painted(motion="first frame only"), painted(LONG, CLIP, mask=MASK, strength=60)
    )
    picture = opened(moving)
    assert (picture.format, picture.size, getattr(picture, "n_frames", 1)) == ("GIF", (96, 64), 3)
    times = []
    for frame in range(3):
        picture.seek(frame)
        times.append(picture.info["duration"])
    assert times == [40, 80, 500]
    assert " · 96 × 64 · 3 frames · recipe `" in moving.content
    assert {"Bigger", "Finish it"}.isdisjoint(button.label for button in moving.buttons)
    assert {"More style", "Again", "Tweak …", "Delete"} <= {button.label for button in moving.buttons}

    assert opened(still).format == opened(part).format == "PNG"
    assert still.content.endswith("\nOnly the first frame is painted.")
    assert part.content.splitlines()[-2:] == [
        "Only the first frame is painted, as you chose a part of it.",
        "**Style:** It moves. Only its first frame is used.",
    ]
    assert "Bigger" in {button.label for button in still.buttons}
