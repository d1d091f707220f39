"""The pictures of a message, wherever a message may have them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import discord
import yarl
from discord.components import (
    Component,
    Container,
    FileComponent,
    MediaGalleryComponent,
    SectionComponent,
    ThumbnailComponent,
    UnfurledMediaItem,
)

from bot.client.attachments import AttachmentDownloader
from bot.limits import SPOILER

_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp"})


@dataclass(frozen=True, slots=True)
class MessagePicture:
    """A picture of a message. Like :class:`bot.client.attachments.Attached`."""

    filename: str
    """Without Discord's prefix for spoilers."""
    url: str
    size: int = 0
    """Bytes, as Discord states it. 0 if it does not."""
    spoiler: bool = False
    style: str | None = None
    """The reference of the saved style that it shows in small. That style's picture is meant."""

    def is_spoiler(self) -> bool:
        """Whether Discord blurs it."""
        return self.spoiler


def pictures_of(message: discord.Message, downloader: AttachmentDownloader) -> list[MessagePicture]:
    """The pictures of a message and of a forwarded one in it, in their order, each once.

    Attachments that components show are not among the attachments of the message. Pictures on other hosts than
    Discord's CDN are left out. That a file is a picture is what its sender claims.
    """
    found: dict[str, MessagePicture] = {}
    parts: list[discord.Message | discord.MessageSnapshot] = [message, *message.message_snapshots]
    for each in parts:
        for attachment in each.attachments:
            if _is_picture(attachment.filename, attachment.content_type):
                name = attachment.filename.removeprefix(SPOILER)
                found[attachment.url] = MessagePicture(name, attachment.url, attachment.size, attachment.is_spoiler())
        for media, spoiler in _media(each.components):
            name = PurePosixPath(yarl.URL(media.url).path).name
            if downloader.is_on_cdn(media.url) and _is_picture(name, media.content_type):
                spoils = spoiler or name.startswith(SPOILER)
                found.setdefault(media.url, MessagePicture(name.removeprefix(SPOILER), media.url, spoiler=spoils))
    return list(found.values())


def _is_picture(filename: str, content_type: str | None) -> bool:
    if content_type is not None:
        return content_type.startswith("image/")
    return PurePosixPath(filename).suffix.lower() in _SUFFIXES


def _media(components: Iterable[Component]) -> Iterator[tuple[UnfurledMediaItem, bool]]:
    """The media that components show, and whether each is a spoiler."""
    for each in components:
        match each:
            case MediaGalleryComponent():
                yield from ((item.media, item.spoiler) for item in each.items)
            case ThumbnailComponent() | FileComponent():
                yield each.media, each.spoiler
            case SectionComponent():
                yield from _media([each.accessory])
            case Container():
                yield from ((media, spoiler or each.spoiler) for media, spoiler in _media(each.children))
