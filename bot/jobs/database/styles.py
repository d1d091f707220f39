"""Saved styles: each belongs to a library, a member's or a server's, and claims its picture and its thumbnail."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import ColumnElement, case, delete, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from bot.jobs.database.claims import Owner, claim, claimed_by, unclaim
from bot.jobs.database.retention import end_holds
from bot.jobs.database.tables import StyleRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.errors import StyleNameTaken, TooManyStyles

LibraryKind = Literal["member", "server"]
_PRECEDENCE: Final[tuple[LibraryKind, ...]] = ("member", "server")
"""Where several libraries have a style of one name, the first one counts."""


@dataclass(frozen=True, slots=True)
class Library:
    """Whose styles."""

    kind: LibraryKind
    id: int
    """The member's or the server's id."""


@dataclass(frozen=True, slots=True)
class SavedStyle:
    """A style in a library."""

    id: str
    """16 hexadecimal digits."""
    library: Library
    name: str
    """Unique in its library, by :func:`key_of`."""
    picture: str
    """The blob of the picture as it was sent."""
    thumbnail: str
    """The blob of a small JPEG."""
    added_by: int
    """The member's id."""
    added_at: datetime

    @property
    def filename(self) -> str:
        """What a file of the picture would be called."""
        return f"{self.name}.jpg"


def key_of(name: str) -> str:
    """The form of a name in which names are compared: without differences of case and of compatible characters."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


class Styles(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`."""

    async def add_style(self, style: SavedStyle, limit: int) -> None:
        """Store a new style.

        Raises:
            StyleNameTaken: the library has a style of this name.
            TooManyStyles: the library has ``limit`` styles.
        """
        row = {
            "id": style.id,
            "library_kind": style.library.kind,
            "library_id": style.library.id,
            "key": key_of(style.name),
            "name": style.name,
            "added_by": style.added_by,
            "added_at": style.added_at,
        }
        types = StyleRow.__table__.c
        values = [literal(value, types[name].type).label(name) for name, value in row.items()]
        count = select(func.count()).where(_in([style.library])).scalar_subquery()
        try:
            async with self._changing() as connection:
                await self._serialise(connection, style.library.id)
                added = await connection.execute(
                    insert(StyleRow).from_select([*row], select(*values).where(count < limit))
                )
                if added.rowcount == 0:
                    raise TooManyStyles(limit, style.library.kind)
                blobs = {"picture": style.picture, "thumbnail": style.thumbnail}
                await claim(connection, Owner("style", style.id), blobs)
                await end_holds(connection, blobs.values())
        except IntegrityError as error:
            raise StyleNameTaken(style.name) from error

    async def style(self, style: str) -> SavedStyle | None:
        """The style with this id."""
        found = await self._styles(StyleRow.id == style)
        return found[0] if found else None

    async def style_named(self, libraries: Sequence[Library], name: str) -> SavedStyle | None:
        """The style of this name. A member's own comes before the server's."""
        found = await self._styles(_in(libraries) & (StyleRow.key == key_of(name)), limit=1)
        return found[0] if found else None

    async def styles(
        self, libraries: Sequence[Library], text: str = "", *, limit: int, offset: int = 0
    ) -> list[SavedStyle]:
        """Styles whose name contains ``text``: first those that begin with it, then by library, then by name."""
        if not libraries or limit <= 0:
            return []
        if not (key := key_of(text)):
            return await self._styles(_in(libraries), limit=limit, offset=offset)
        begins = case((StyleRow.key.startswith(key, autoescape=True), 0), else_=1)
        contains = StyleRow.key.contains(key, autoescape=True)
        return await self._styles(_in(libraries) & contains, begins, limit=limit, offset=offset)

    async def count_styles(self, libraries: Sequence[Library]) -> int:
        """The number of styles in these libraries."""
        async with self._engine.connect() as connection:
            return (await connection.execute(select(func.count()).where(_in(libraries)))).scalar_one()

    async def rename_style(self, style: str, name: str) -> bool:
        """Rename a style. Returns whether it exists.

        Raises:
            StyleNameTaken: its library has another style of this name.
        """
        try:
            async with self._changing() as connection:
                change = update(StyleRow).where(StyleRow.id == style).values(name=name, key=key_of(name))
                return (await connection.execute(change)).rowcount == 1
        except IntegrityError as error:
            raise StyleNameTaken(name) from error

    async def remove_style(self, style: str) -> bool:
        """Remove a style and its claims. Returns whether it existed. Jobs have claims of their own."""
        async with self._changing() as connection:
            await unclaim(connection, Owner("style", style))
            return (await connection.execute(delete(StyleRow).where(StyleRow.id == style))).rowcount == 1

    async def _styles(
        self, which: ColumnElement[bool], *order: ColumnElement[int], limit: int | None = None, offset: int = 0
    ) -> list[SavedStyle]:
        by_library = case({kind: place for place, kind in enumerate(_PRECEDENCE)}, value=StyleRow.library_kind)
        query = select(StyleRow.__table__).where(which).order_by(*order, by_library, StyleRow.key, StyleRow.id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query.limit(limit).offset(offset))).all()
            blobs = await claimed_by(connection, "style", [row.id for row in rows])
        return [
            SavedStyle(
                id=row.id,
                library=Library(row.library_kind, row.library_id),
                name=row.name,
                picture=blobs[row.id].get("picture", ""),
                thumbnail=blobs[row.id].get("thumbnail", ""),
                added_by=row.added_by,
                added_at=row.added_at,
            )
            for row in rows
        ]


def _in(libraries: Sequence[Library]) -> ColumnElement[bool]:
    return or_(*((StyleRow.library_kind == each.kind) & (StyleRow.library_id == each.id) for each in libraries))
