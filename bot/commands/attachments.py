"""Reading what a member attached: from Discord's CDN alone, within limits, within seconds."""

from typing import Final
from urllib.parse import urlsplit

import aiohttp
import discord

from bot.jobs.errors import DownloadFailed, PictureRejected, Role
from engine.errors import PictureTooLarge

TIMEOUT: Final = aiohttp.ClientTimeout(total=30, connect=5, sock_read=10)


def check_claimed_size(role: Role, attachment: discord.Attachment, limit: int) -> None:
    """Refuse by the size that Discord states, in bytes, before anything is fetched; raises PictureRejected."""
    if attachment.size > limit:
        raise PictureRejected(role, PictureTooLarge("bytes", attachment.size, limit))


async def fetch(
    session: aiohttp.ClientSession, role: Role, attachment: discord.Attachment, *, cdn: str, limit: int
) -> bytes:
    """Fetch an attachment's bytes.

    ``discord.Attachment.read`` would trust the stated size and follow the link to any host.

    Raises:
        DownloadFailed: not on the CDN, not found, or too slow.
        PictureRejected: more than ``limit`` bytes came.
    """
    url, home = urlsplit(attachment.url), urlsplit(cdn)
    if (url.scheme, url.netloc) != (home.scheme, home.netloc):
        raise DownloadFailed(role, f"{url.hostname} is not the CDN")
    data = bytearray()
    try:
        async with session.get(attachment.url, timeout=TIMEOUT, allow_redirects=False) as response:
            if response.status != 200:
                raise DownloadFailed(role, f"the CDN answered {response.status}")
            async for chunk in response.content.iter_chunked(64 * 1024):
                data += chunk
                if len(data) > limit:
                    raise PictureRejected(role, PictureTooLarge("bytes", len(data), limit))
    except (TimeoutError, aiohttp.ClientError) as error:
        raise DownloadFailed(role, repr(error)) from error
    return bytes(data)
