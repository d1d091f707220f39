"""Bot processes that share a database, and the jobs that each of them looks after."""

from datetime import UTC, datetime

from sqlalchemy import case, delete, func, insert, select, update

from bot.jobs import errors
from bot.jobs.errors import JobUnreadable
from bot.jobs.job import OPEN, State
from bot.jobs.line import LEASE, orphaned
from bot.jobs.tables import JobRow, ProcessRow, database_time
from bot.jobs.transactions import Transactions


class Processes(Transactions):
    """A part of :class:`bot.jobs.store.Store`: who is there, and who looks after what."""

    async def renew(self, process: str) -> None:
        """Say that a process is alive; see :data:`bot.jobs.line.LEASE`."""
        async with self._changing() as connection:
            found = await connection.execute(
                update(ProcessRow).where(ProcessRow.id == process).values(seen=database_time())
            )
            if found.rowcount == 0:
                await connection.execute(insert(ProcessRow).values(id=process, seen=database_time()))

    async def move(self, process: str, pool: str) -> None:
        """Have everything that a process looks after wait for these workers: its scheduler may have started anew."""
        async with self._changing() as connection:
            await connection.execute(
                update(JobRow)
                .where(JobRow.process == process, JobRow.state.in_(OPEN), JobRow.pool != pool)
                .values(pool=pool)
            )

    async def leave(self, process: str) -> None:
        """Let go of everything that a process looks after, for the others or for its successor."""
        async with self._changing() as connection:
            held = JobRow.process == process
            await connection.execute(
                update(JobRow)
                .where(held, JobRow.state == State.RUNNING)
                .values(state=State.QUEUED, changed_at=datetime.now(UTC))
            )
            await connection.execute(update(JobRow).where(held, JobRow.state.in_(OPEN)).values(process=""))
            await connection.execute(delete(ProcessRow).where(ProcessRow.id == process))

    async def adopt(self, process: str, pool: str) -> list[tuple[str, State]]:
        """Take every open job that nobody looks after; what was painted waits again, in its old turn.

        One whose state this version doesn't know has failed, and is to be told so.

        Returns:
            The jobs and their states: queued or delivering.
        """
        # A job is delivered from its result or from its cause; one that has neither lost its result with its process.
        untold = (JobRow.state == State.DELIVERING) & (JobRow.painted == "") & (JobRow.cause == "")
        strange = JobRow.state.not_in(State)
        state = case(
            (strange, State.DELIVERING), (untold | (JobRow.state == State.RUNNING), State.QUEUED), else_=JobRow.state
        )
        cause = case((strange, errors.dump(JobUnreadable())), else_=JobRow.cause)
        async with self._changing() as connection:
            taken = await connection.execute(
                update(JobRow)
                .where(
                    JobRow.state.in_(OPEN) & (JobRow.process != process) & orphaned()
                    | strange & ((JobRow.process == process) | orphaned())
                )
                .values(process=process, pool=pool, state=state, cause=cause)
                .returning(JobRow.id, JobRow.state)
                .execution_options(synchronize_session=False)
            )
            found = [(row.id, State(row.state)) for row in taken]
            if found:
                await connection.execute(delete(ProcessRow).where(ProcessRow.seen < database_time() - 86400))
        return found

    async def in_care(self, process: str) -> dict[str, State]:
        """The open jobs that a process looks after."""
        query = select(JobRow.id, JobRow.state).where(JobRow.process == process, JobRow.state.in_(OPEN))
        async with self._engine.connect() as connection:
            return {row.id: State(row.state) for row in await connection.execute(query)}

    async def overdue(self, process: str, accepted_before: datetime) -> list[str]:
        """Jobs in a process's care that should have ended long ago and have no result yet."""
        query = select(JobRow.id).where(
            JobRow.process == process,
            JobRow.state.in_({State.QUEUED, State.RUNNING}),
            JobRow.created_at < accepted_before,
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def processes(self) -> int:
        """How many bot processes are alive."""
        query = select(func.count()).where(ProcessRow.seen >= database_time() - LEASE)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one()
