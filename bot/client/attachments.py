"""Downloads of members' attachments: only from Discord's CDN, within limits of size and time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import discord
import yarl

from bot.jobs.errors import DownloadFailed, PictureRejected, Role
from engine.errors import PictureTooLarge

TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5, sock_read=10)
"""Seconds. The total includes the wait for a free connection when many members send pictures at the same time."""


@dataclass(frozen=True, slots=True)
class AttachmentDownloader:
    """Downloads attachments of at most ``max_bytes`` from the CDN at ``cdn``.

    ``discord.Attachment.read`` would trust the stated size and follow redirects to any host.
    """

    session: aiohttp.ClientSession
    cdn: str
    max_bytes: int

    def check_stated_size(self, role: Role, attachment: discord.Attachment) -> None:
        """Check the size that Discord states, before the download.

        Raises:
            PictureRejected: it is above ``max_bytes``.
        """
        self._check_size(role, attachment.size)

    async def fetch_all(self, attachments: Mapping[Role, discord.Attachment]) -> list[bytes]:
        """Download all attachments concurrently. The result is in their order. The first failure cancels the others.

        Raises:
            DownloadFailed, PictureRejected: of the first download that failed.
        """
        try:
            async with asyncio.TaskGroup() as group:
                downloads = [group.create_task(self.fetch(role, each)) for role, each in attachments.items()]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [download.result() for download in downloads]

    async def fetch(self, role: Role, attachment: discord.Attachment) -> bytes:
        """Download one attachment.

        Raises:
            DownloadFailed: it is not on the CDN, was not found, or the download took too long.
            PictureRejected: it has more than ``max_bytes``.
        """
        url = self._checked_url(role, attachment.url)
        # Pictures are compressed already. A small response with content encoding could become large in memory.
        headers = {"Accept-Encoding": "identity"}
        data = bytearray()
        try:
            async with self.session.get(
                url, timeout=TIMEOUT, headers=headers, allow_redirects=False, auto_decompress=False
            ) as response:
                if response.status != 200:
                    raise DownloadFailed(role, f"the CDN answered {response.status}")
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise DownloadFailed(role, "the CDN used a content encoding")
                self._check_size(role, response.content_length or 0)
                async for chunk in response.content.iter_chunked(64 * 1024):
                    data += chunk
                    self._check_size(role, len(data))
        except (TimeoutError, aiohttp.ClientError) as error:
            raise DownloadFailed(role, repr(error)) from error
        return bytes(data)

    def _check_size(self, role: Role, size: int) -> None:
        if size > self.max_bytes:
            raise PictureRejected(role, PictureTooLarge("bytes", size, self.max_bytes))

    def _checked_url(self, role: Role, link: str) -> yarl.URL:
        """Parse a link once, so that the URL that is checked is the URL that is requested. Raises DownloadFailed."""
        cdn = yarl.URL(self.cdn)
        try:
            url = yarl.URL(link, encoded=True)  # the signature covers the link as it is written
            if (url.scheme, url.raw_authority) == (cdn.scheme, cdn.raw_authority):
                return url
        except ValueError:
            pass
        raise DownloadFailed(role, "the link does not lead to the CDN")
