"""Finds, adds, renames and removes styles, on behalf of a member in a server."""

import asyncio
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.jobs.database.connect import is_full
from bot.jobs.database.store import Store
from bot.jobs.database.styles import Library, LibraryKind, SavedStyle, key_of
from bot.jobs.errors import (
    ManageServerNeeded,
    NotInAServer,
    PictureRejected,
    StyleBuiltIn,
    StyleNameTaken,
    StyleNameUnusable,
    StyleNotFound,
    TooManyStyles,
    style_role,
)
from bot.jobs.model import new_id
from bot.jobs.storage import Storage
from bot.library.built_in import BUILT_IN, BuiltInStyle
from bot.library.networks import NetworkStyle
from engine.errors import AtelierError, PictureError, StorageFull
from engine.executor.api import Executor
from engine.networks.file import by_network
from engine.recipe import Recipe

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

NAME_LENGTH: Final = 50
"""Characters."""
_KEY_LENGTH: Final = 200
"""Characters. Some letters become several in the form in which names are compared."""
THUMBNAIL_SIDE: Final = 320
"""Pixels of a thumbnail's longer side."""
REFERENCE: Final = "#"
"""Begins a reference to a style by its id. No name begins with it."""

_SAVED: Final = re.compile(REFERENCE + "[0-9a-f]{16}")
_STRAY: Final = frozenset({"Cc", "Cs", "Cn", "Co", "Zl", "Zp"})
"""Control characters, surrogates, characters without a meaning, line breaks."""
_DIRECTIONS: Final = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Changes of the writing direction."""

Style = SavedStyle | BuiltInStyle | NetworkStyle


@dataclass(frozen=True, slots=True)
class Reader:
    """A member who uses styles, and where."""

    member: int
    """The member's id."""
    guild_id: int | None
    """The server's id. None in direct messages."""
    manages: bool = False
    """Whether the member has the permission Manage Server."""
    own: bool = True
    """Whether their own styles count. If not, only those that everybody in the server can use."""

    @property
    def libraries(self) -> list[Library]:
        """The libraries that the member may use here."""
        own = [Library("member", self.member)] if self.own else []
        return [*own, *([Library("server", self.guild_id)] if self.guild_id else [])]

    def writable(self, kind: LibraryKind) -> Library:
        """The library of this kind.

        Raises:
            NotInAServer, ManageServerNeeded: the member may not change it, or not here.
        """
        if kind == "member":
            return Library("member", self.member)
        if self.guild_id is None:
            raise NotInAServer
        if not self.manages:
            raise ManageServerNeeded
        return Library("server", self.guild_id)


@dataclass(frozen=True, slots=True)
class LibraryPolicy:
    """The operator's limits."""

    max_per_member: int = 50
    max_per_server: int = 200

    def limit(self, kind: LibraryKind) -> int:
        """The largest number of styles in a library."""
        return self.max_per_member if kind == "member" else self.max_per_server


class StyleLibrary:
    """All styles. A style is named by its name, or by its :func:`reference`."""

    def __init__(
        self,
        store: Store,
        storage: Storage,
        executor: Executor,
        policy: LibraryPolicy,
        networks: Sequence[NetworkStyle] = (),
    ) -> None:
        """``networks`` are the styles of trained networks, which everybody has."""
        self._everybodys: list[Style] = [*networks, *BUILT_IN]
        self._store = store
        self._storage = storage
        self._executor = executor
        self._policy = policy
        self._thumbnails: dict[str, bytes] = {}
        """Of the styles of trained networks, by their ids."""

    async def check(self, library: Library, name: str) -> str:
        """Check that a style can be added, before its picture is downloaded. Returns its name without stray characters.

        Raises:
            StyleNameUnusable, StyleNameTaken, TooManyStyles: it can't.
        """
        name = cleaned(name)
        if await self._store.style_named([library], name):
            raise StyleNameTaken(name)
        limit = self._policy.limit(library.kind)
        if await self._store.count_styles([library]) >= limit:
            raise TooManyStyles(limit, library.kind)
        return name

    async def add(self, library: Library, name: str, picture: bytes, member: int) -> SavedStyle:
        """Check a picture, make its thumbnail, and store both. It is committed when this returns.

        Raises:
            StyleNameUnusable, StyleNameTaken, TooManyStyles: see :meth:`check`.
            PictureRejected: the picture can't be used.
            StorageFull, StorageFailed: the picture can't be stored.
            WorkerLost, NoWorkers: the picture could not be checked.
        """
        name = await self.check(library, name)
        await self._storage.check_space(len(picture))
        try:
            thumbnail = await self._executor.thumbnail(picture, THUMBNAIL_SIDE)
        except PictureError as error:
            raise PictureRejected(style_role(0), error) from error
        try:
            blob, small = await self._storage.put_all([picture, thumbnail])
            style = SavedStyle(new_id(), library, name, blob, small, member, datetime.now(UTC))
            await self._store.add_style(style, self._policy.limit(library.kind))
        except SQLAlchemyError as error:
            raise (StorageFull() if is_full(error) else error) from error
        log.info("style added", style=style.id, library=library.kind, owner=library.id, member=member)
        return style

    async def find(self, wanted: str, reader: Reader) -> Style:
        """The style with this reference or name. By name, a member's own comes first, then the server's.

        Raises:
            StyleNotFound: there is none that the member may use here.
        """
        by_reference = {reference(each): each for each in self._everybodys}
        if wanted in by_reference:
            return by_reference[wanted]
        if _SAVED.fullmatch(wanted):
            saved = await self._store.style(wanted.removeprefix(REFERENCE))
            if saved is None or saved.library not in reader.libraries:
                raise StyleNotFound("")
            return saved
        try:
            name = cleaned(wanted)
        except StyleNameUnusable:
            raise StyleNotFound("") from None
        named: Style | None = await self._store.style_named(reader.libraries, name)
        named = named or next(
            (each for each in self._everybodys if key_of(name) in {key_of(known) for known in _names(each)}), None
        )
        if named is None:
            similar = await self.search(name, reader, 1)
            raise StyleNotFound(name, similar[0].name if similar else "")
        return named

    async def servers_style(self, wanted: str | None, reader: Reader) -> Style | None:
        """The style with this reference, for everybody in the reader's server. None if there is none, or no longer."""
        try:
            return None if wanted is None else await self.find(wanted, replace(reader, own=False))
        except StyleNotFound:
            return None

    async def search(self, text: str, reader: Reader, limit: int, *, built_in: bool = True) -> list[Style]:
        """Up to ``limit`` styles whose name contains ``text``: the member's, the server's, then everybody's.

        Without ``built_in``, everybody's are left out.
        """
        key = key_of(_tidy(text))
        saved = await self._store.styles(reader.libraries, key, limit=limit)
        others = [each for each in self._everybodys if built_in and key in key_of(each.name)]
        found: list[Style] = [*saved, *others]
        return found[:limit]

    async def page(self, number: int, size: int, reader: Reader) -> tuple[list[Style], int]:
        """A page of all styles, from 0, and how many styles there are. The last page stands for those beyond it."""
        libraries = reader.libraries
        saved = await self._store.count_styles(libraries)
        total = saved + len(self._everybodys)
        start = min(number, (total - 1) // size) * size
        found: list[Style] = [*await self._store.styles(libraries, limit=size, offset=start)]
        found += self._everybodys[max(0, start - saved) : max(0, start + size - saved)]
        return found, total

    async def rename(self, wanted: str, name: str, reader: Reader) -> tuple[SavedStyle, str]:
        """Rename a style. Returns the style as it was, and its new name.

        Raises:
            StyleNotFound, StyleBuiltIn, ManageServerNeeded: the member can't change it.
            StyleNameUnusable, StyleNameTaken: it can't have this name.
        """
        name = cleaned(name)
        style = await self._changeable(wanted, reader)
        if not await self._store.rename_style(style.id, name):
            raise StyleNotFound(style.name)
        log.info("style renamed", style=style.id, member=reader.member)
        return style, name

    async def remove(self, wanted: str, reader: Reader) -> SavedStyle:
        """Remove a style. Its picture goes with the next sweep, unless a job needs it.

        Raises:
            StyleNotFound, StyleBuiltIn, ManageServerNeeded: the member can't remove it.
        """
        style = await self._changeable(wanted, reader)
        if not await self._store.remove_style(style.id):
            raise StyleNotFound(style.name)
        log.info("style removed", style=style.id, member=reader.member)
        return style

    async def picture(self, style: Style, alone: Recipe | None = None) -> bytes:
        """What a worker takes as the style: the picture as it was sent, or the trained network.

        Args:
            style: of any kind.
            alone: the recipe of a painting in this style alone. A network paints a built-in style, if one learned it
                and the recipe asks for nothing that it can't.

        Raises:
            BlobLost, StorageFailed: it can't be read.
        """
        if isinstance(style, NetworkStyle):
            return await asyncio.to_thread(style.network)
        if isinstance(style, BuiltInStyle):
            if alone is not None and by_network(alone) and (network := await asyncio.to_thread(style.network)):
                return network
            return await asyncio.to_thread(style.file.read_bytes)
        return await self._storage.get(style.picture)

    async def whole_picture(self, style: Style) -> bytes:
        """The style's picture, also of a trained network. Raises as :meth:`picture`."""
        return style.picture if isinstance(style, NetworkStyle) else await self.picture(style)

    async def thumbnail(self, style: Style) -> bytes:
        """A small JPEG. Raises as :meth:`picture`."""
        if isinstance(style, NetworkStyle):
            return await self._network_thumbnail(style)
        if isinstance(style, BuiltInStyle):
            return await asyncio.to_thread(style.thumbnail.read_bytes)
        return await self._storage.get(style.thumbnail)

    async def _network_thumbnail(self, style: NetworkStyle) -> bytes:
        """Made once. The picture itself if no worker can make it."""
        if style.id not in self._thumbnails:
            try:
                self._thumbnails[style.id] = await self._executor.thumbnail(style.picture, THUMBNAIL_SIDE)
            except AtelierError as error:
                log.warning("the thumbnail of a trained style can't be made", style=style.id, reason=str(error))
                return style.picture
        return self._thumbnails[style.id]

    async def _changeable(self, wanted: str, reader: Reader) -> SavedStyle:
        style = await self.find(wanted, reader)
        if not isinstance(style, SavedStyle):
            raise StyleBuiltIn
        reader.writable(style.library.kind)
        return style


def _names(style: Style) -> tuple[str, ...]:
    """What members may call a style of everybody."""
    return (style.name, style.english_name) if isinstance(style, BuiltInStyle) else (style.name,)


def reference(style: Style) -> str:
    """Names a style without doubt, in at most 100 characters. No secret: :meth:`StyleLibrary.find` checks access."""
    return REFERENCE + style.id


def cleaned(name: str) -> str:
    """A name without control characters, changes of the writing direction, and superfluous spaces.

    Raises:
        StyleNameUnusable: nothing visible is left, or it is too long.
    """
    name = _tidy(name).lstrip(REFERENCE + " ")
    visible = any(unicodedata.category(each)[0] not in "ZCM" for each in name)
    if not visible or len(name) > NAME_LENGTH or len(key_of(name)) > _KEY_LENGTH:
        raise StyleNameUnusable(NAME_LENGTH)
    return name


def _tidy(text: str) -> str:
    shown = "".join(" " if unicodedata.category(each) in _STRAY or each in _DIRECTIONS else each for each in text)
    return unicodedata.normalize("NFC", " ".join(shown.split()))
