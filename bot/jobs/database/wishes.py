"""What members wish of their jobs after they ordered them: a mention at the end, an early end, deletion."""

from sqlalchemy import delete, select, update

from bot.jobs.database.claims import Owner, claimed_by, unclaim
from bot.jobs.database.tables import JobRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.model import OPEN, State


class Wishes(Transactions):
    """A part of :class:`bot.jobs.database.store.Store`."""

    async def set_pings(self, job: str) -> bool | None:
        """Begin or stop to mention the owner of an open job at its end. Returns which; None if it has ended."""
        async with self._changing() as connection:
            changed = await connection.execute(
                update(JobRow).where(JobRow.id == job, JobRow.state.in_(OPEN)).values(pings=~JobRow.pings)
            )
            pings = (await connection.execute(select(JobRow.pings).where(JobRow.id == job))).scalar_one_or_none()
        return pings if changed.rowcount else None

    async def set_finishing(self, job: str) -> bool:
        """Record that the owner of a running job wants the picture as it is. Returns whether it is running."""
        async with self._changing() as connection:
            changed = await connection.execute(
                update(JobRow).where(JobRow.id == job, JobRow.state == State.RUNNING).values(finishing=True)
            )
        return changed.rowcount == 1

    async def finishing(self, process: str) -> list[str]:
        """The running jobs of a process whose owners want the picture as it is."""
        running = (JobRow.process == process) & (JobRow.state == State.RUNNING)
        async with self._engine.connect() as connection:
            return list((await connection.execute(select(JobRow.id).where(running, JobRow.finishing))).scalars())

    async def remove(self, job: str) -> set[str] | None:
        """Remove an ended job with its claims. Returns the blobs that it claimed; None if it is open."""
        async with self._changing() as connection:
            gone = await connection.execute(delete(JobRow).where(JobRow.id == job, JobRow.state.not_in(OPEN)))
            if gone.rowcount == 0:
                return None
            blobs = set((await claimed_by(connection, "job", [job]))[job].values())
            await unclaim(connection, Owner("job", job))
        return blobs
