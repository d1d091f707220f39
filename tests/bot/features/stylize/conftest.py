"""What the tests of ``/stylize`` share."""

import io

from PIL import Image

from bot.sandbox import Invocation, LocalDiscord, Message, Upload
from tests.bot.conftest import CONTENT, STYLE, is_private_answer


async def stylize(
    discord: LocalDiscord, member: str = "Ada", /, **options: str | int | float | bool | Upload
) -> Invocation:
    """Order a thumbnail of a town, unless `options` change it."""
    defaults: dict[str, str | int | float | bool | Upload] = {"content": CONTENT, "style": STYLE, "quality": "quick"}
    return await discord.member(member).invoke("stylize", **(defaults | options))


async def cancel(discord: LocalDiscord, message: Message, member: str = "Ada") -> str:
    """Press the button. Return the answer that the member reads."""
    press = await discord.member(member).press(message, "Cancel")
    return (await press.wait_until(is_private_answer)).content


def plain(size: tuple[int, int]) -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, "firebrick").save(buffer, "PNG")
    return buffer.getvalue()
