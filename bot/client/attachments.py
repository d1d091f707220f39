"""Reading what a member attached: from Discord's CDN alone, within limits, within seconds."""

from typing import Final

import aiohttp
import discord
import yarl

from bot.jobs.errors import DownloadFailed, PictureRejected, Role
from engine.errors import PictureTooLarge

TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5, sock_read=10)
"""Seconds; the total covers waiting for a connection as well, when many members send pictures at once."""


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
    url = _on_cdn(role, attachment.url, cdn)
    # Pictures are compressed as they are: packed once more, little on the way could be much in memory.
    as_it_is = {"Accept-Encoding": "identity"}
    data = bytearray()
    try:
        async with session.get(
            url, timeout=TIMEOUT, headers=as_it_is, allow_redirects=False, auto_decompress=False
        ) as response:
            if response.status != 200:
                raise DownloadFailed(role, f"the CDN answered {response.status}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise DownloadFailed(role, "the CDN packed the picture once more")
            if (response.content_length or 0) > limit:
                raise PictureRejected(role, PictureTooLarge("bytes", response.content_length or 0, limit))
            async for chunk in response.content.iter_chunked(64 * 1024):
                data += chunk
                if len(data) > limit:
                    raise PictureRejected(role, PictureTooLarge("bytes", len(data), limit))
    except (TimeoutError, aiohttp.ClientError) as error:
        raise DownloadFailed(role, repr(error)) from error
    return bytes(data)


def _on_cdn(role: Role, link: str, cdn: str) -> yarl.URL:
    """The link, parsed once, so that what is checked is what is connected to; raises DownloadFailed."""
    home = yarl.URL(cdn)
    try:
        url = yarl.URL(link, encoded=True)  # signed as it is
        if (url.scheme, url.raw_authority) == (home.scheme, home.raw_authority):
            return url
    except ValueError:
        pass
    raise DownloadFailed(role, "the link does not lead to the CDN")
