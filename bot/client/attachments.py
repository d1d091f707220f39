"""Downloads of members' attachments: only from Discord's CDN, within limits of size and time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import yarl

from bot.jobs.errors import DownloadFailed, PictureRejected, Role
from engine.errors import PictureTooLarge

TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=5, sock_read=10)
"""Seconds. The total includes the wait for a free connection when many members send pictures at the same time."""

Check = Callable[[Role, bytes], Awaitable[object]]
"""Raises an error for a picture that can't be used."""


class Attached(Protocol):
    """A file at Discord, such as a ``discord.Attachment``."""

    @property
    def filename(self) -> str:
        """As its sender named it."""

    @property
    def url(self) -> str:
        """Where it can be downloaded."""

    @property
    def size(self) -> int:
        """Bytes, as Discord states it."""

    def is_spoiler(self) -> bool:
        """Whether Discord blurs it."""


@dataclass(frozen=True, slots=True)
class AttachmentDownloader:
    """Downloads attachments of at most ``max_bytes`` from the CDN at ``cdn``.

    ``discord.Attachment.read`` would trust the stated size and follow redirects to any host.
    """

    session: aiohttp.ClientSession
    cdn: str
    max_bytes: int

    def check_stated_size(self, role: Role, attachment: Attached) -> None:
        """Check the size that Discord states, before the download.

        Raises:
            PictureRejected: it is above ``max_bytes``.
        """
        self._check_size(role, attachment.size)

    async def fetch_all(self, attachments: Mapping[Role, Attached], check: Check) -> list[bytes]:
        """Download all attachments concurrently, and check each as soon as it is there. The result is in their order.

        The first failure cancels the others.

        Raises:
            DownloadFailed, PictureRejected: of the first download that failed.
            Exception: what ``check`` raises.
        """

        async def checked(role: Role, attachment: Attached) -> bytes:
            data = await self.fetch(role, attachment)
            await check(role, data)
            return data

        try:
            async with asyncio.TaskGroup() as group:
                downloads = [group.create_task(checked(role, each)) for role, each in attachments.items()]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [download.result() for download in downloads]

    async def fetch(self, role: Role, attachment: Attached) -> bytes:
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

    def is_on_cdn(self, link: str) -> bool:
        """Whether :meth:`fetch` follows this link."""
        return self._cdn_url(link) is not None

    def _checked_url(self, role: Role, link: str) -> yarl.URL:
        if (url := self._cdn_url(link)) is None:
            raise DownloadFailed(role, "the link does not lead to the CDN")
        return url

    def _cdn_url(self, link: str) -> yarl.URL | None:
        """The link, parsed once, so that what is checked is what is requested. None if it leads elsewhere."""
        cdn = yarl.URL(self.cdn)
        try:
            url = yarl.URL(link, encoded=True)  # the signature covers the link as it is written
        except ValueError:
            return None
        return url if (url.scheme, url.raw_authority) == (cdn.scheme, cdn.raw_authority) else None
