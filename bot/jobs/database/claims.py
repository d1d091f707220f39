"""Claims: who needs which blobs. Jobs, saved styles and members may own claims alike."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.jobs.database.tables import ClaimRow, JobRow

OwnerKind = Literal["job", "style", "member"]


@dataclass(frozen=True, slots=True)
class Owner:
    """Who claims blobs."""

    kind: OwnerKind
    id: str
    """Up to 32 characters."""


OF_A_JOB: Final[ColumnElement[bool]] = (ClaimRow.owner_kind == "job") & (ClaimRow.owner_id == JobRow.id)
"""Joins claims to the jobs that own them."""


async def claim(connection: AsyncConnection, owner: Owner, blobs: Mapping[str, str]) -> None:
    """Claim blobs, given by their roles, in place of the owner's earlier claims with the same roles."""
    await unclaim(connection, owner, blobs)
    of = {"owner_kind": owner.kind, "owner_id": owner.id}
    await connection.execute(insert(ClaimRow), [of | {"role": role, "name": name} for role, name in blobs.items()])


async def unclaim(connection: AsyncConnection, owner: Owner, roles: Collection[str] | None = None) -> None:
    """Give up an owner's claims with these roles, or all of them."""
    gone = delete(ClaimRow).where(ClaimRow.owner_kind == owner.kind, ClaimRow.owner_id == owner.id)
    await connection.execute(gone if roles is None else gone.where(ClaimRow.role.in_(roles)))


async def claimed_by(connection: AsyncConnection, kind: OwnerKind, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """The blobs of these owners, by their roles. Owners without claims have an empty entry."""
    found: dict[str, dict[str, str]] = {each: {} for each in ids}
    query = select(ClaimRow.owner_id, ClaimRow.role, ClaimRow.name)
    for row in await connection.execute(query.where(ClaimRow.owner_kind == kind, ClaimRow.owner_id.in_(found))):
        found[row.owner_id][row.role] = row.name
    return found
