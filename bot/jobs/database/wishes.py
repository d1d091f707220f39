"""What members wish of their jobs after they ordered them: a mention at the end, an early end, deletion."""

from sqlalchemy import delete, select, update

from bot.jobs.database.claims import Owner, claimed_by, unclaim
from bot.jobs.database.history import role_of
from bot.jobs.database.tables import JobRow
from bot.jobs.database.transactions import Transactions
from bot.jobs.model import FRAMES, OPEN, State
from engine.recipe import Recipe


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

    async def set_recipe(self, job: str, recipe: Recipe) -> bool:
        """Queue a job again that waits or is painted, from the start with another recipe. Returns whether it was one.

        It keeps its turn.
        """
        begun = JobRow.state.in_({State.QUEUED, State.RUNNING})
        new = {"recipe": recipe.model_dump_json(), "recipe_id": recipe.id, "finishing": False}
        async with self._changing() as connection:
            changed = await connection.execute(
                update(JobRow).where(JobRow.id == job, begun).values(state=State.QUEUED, **new)
            )
            if changed.rowcount:
                await unclaim(connection, Owner("job", job), ["checkpoint", *map(role_of, range(FRAMES))])
        return changed.rowcount == 1

    async def remove(self, job: str) -> set[str] | None:
        """Remove an ended job with its claims. Returns the blobs that it claimed; None if it is open."""
        async with self._changing() as connection:
            gone = await connection.execute(delete(JobRow).where(JobRow.id == job, JobRow.state.not_in(OPEN)))
            if gone.rowcount == 0:
                return None
            blobs = set((await claimed_by(connection, "job", [job]))[job].values())
            await unclaim(connection, Owner("job", job))
        return blobs
