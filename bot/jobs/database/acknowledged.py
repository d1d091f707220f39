"""Records of orders that are acknowledged but not stored as jobs yet, so that each gets an answer."""

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import delete, insert, select, update

from bot.jobs.database.cipher import Cipher
from bot.jobs.database.leases import orphaned
from bot.jobs.database.tables import AcknowledgedRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.errors import AddressUnreadable

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An order whose member sees "thinking …". Its fields are those of :class:`bot.jobs.model.Order`."""

    id: str
    owner: int
    address: str
    description: str
    locale: str
    expires_at: datetime
    """The time when the interaction's token expires, by this machine's clock."""


class Acknowledgements(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`. To store an order as a job removes its record."""

    _cipher: Cipher

    async def note(self, order: Acknowledged, process: str) -> None:
        """Record that a process has acknowledged an order."""
        async with self._changing() as connection:
            await connection.execute(
                insert(AcknowledgedRow).values(
                    id=order.id,
                    owner=order.owner,
                    process=process,
                    interrupted=False,
                    address=self._cipher.encrypt(order.address),
                    description=order.description,
                    locale=order.locale,
                    expires_at=order.expires_at,
                )
            )

    async def is_noted(self, order: str, process: str) -> bool:
        """Whether ``process`` still has to answer an order."""
        row = AcknowledgedRow
        query = select(row.id).where(row.id == order, row.process == process)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).one_or_none() is not None

    async def answered(self, order: str, process: str) -> None:
        """Remove the record of an order that ``process`` has rejected with an answer."""
        row = AcknowledgedRow
        async with self._changing() as connection:
            await connection.execute(delete(row).where(row.id == order, row.process == process))

    async def interrupted(self, process: str) -> list[Acknowledged]:
        """Adopt the orders of dead processes. Returns all adopted orders that ``process`` has not answered yet."""
        row = AcknowledgedRow
        async with self._changing() as connection:
            await connection.execute(delete(row).where(row.expires_at < datetime.now(UTC)))
            await connection.execute(
                update(row)
                .where(row.process != process, orphaned(row.process))
                .values(process=process, interrupted=True)
                .execution_options(synchronize_session=False)
            )
            found = (
                await connection.execute(select(row.__table__).where(row.process == process, row.interrupted))
            ).all()
        orders = []
        for each in found:
            try:
                address = self._cipher.decrypt(each.address)
            except AddressUnreadable:
                log.warning("no key of SECRET_KEY fits an order's address", job=each.id)
                await self.answered(each.id, process)
            else:
                orders.append(
                    Acknowledged(each.id, each.owner, address, each.description, each.locale, each.expires_at)
                )
        return orders
