"""`/stylize` with pictures that can't be painted."""

import io
import struct
import zlib

import pytest
from PIL import Image

from bot.sandbox import LocalDiscord, Upload
from tests.bot.conftest import is_final, is_painting, is_private_answer, photo
from tests.bot.features.stylize.conftest import cancel, plain, stylize


def clear() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (80, 80), (200, 10, 10, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of 30,000 × 30,000 pixels in a few KB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 30_000 // 8) * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BAD = {
    "no picture": (b"hello", "not a picture that I can read"),
    "page": (b"<html>hello</html>", "a web page"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "Most Compatible"),
    "transparent": (clear(), "transparent"),
    "empty": (b"", "not a picture that I can read"),
    "truncated": (photo()[:400], "incomplete"),
    "bomb": (bomb(), "too large"),
    "one pixel": (plain((1, 1)), "too small"),
    "thread": (plain((600, 40)), "too narrow"),
    "20 MB": (b"\x89PNG\r\n\x1a\n" + bytes(20 * 2**20), "too large"),
}


@pytest.mark.usefixtures("bot")
class TestABadPicture:
    @pytest.mark.parametrize("role", ["content", "style"])
    async def test_is_explained_privately_and_leaves_the_worker_alive(self, discord: LocalDiscord, role: str) -> None:
        discord.attachment_size_limit = 50 * 2**20
        for kind, (data, reason) in BAD.items():
            invocation = await stylize(discord, **{role: Upload("holiday.png", data, "image/png")})
            message = await invocation.wait_until(is_private_answer)
            assert reason in message.content, kind
            assert message.content.startswith(f"**{role.capitalize()}:**"), kind
        assert discord.channel_messages == []
        await (await stylize(discord)).wait_until(is_final)

    async def test_is_explained_while_another_is_painted(self, discord: LocalDiscord) -> None:
        painting = await (await stylize(discord, quality="fine")).wait_until(is_painting)
        refused = await stylize(discord, "Bob", content=Upload("x.png", b"no"))
        assert "not a picture" in (await refused.wait_until(is_private_answer)).content
        await cancel(discord, painting)
