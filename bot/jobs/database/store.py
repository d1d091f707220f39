"""The store of jobs. Each change is one guarded transaction, so that it happens once, whichever processes try it."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import structlog
from sqlalchemy import ColumnElement, delete, func, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.jobs import errors
from bot.jobs.database.acknowledged import Acknowledgements
from bot.jobs.database.cipher import Cipher
from bot.jobs.database.claims import Owner, claim, claimed_by, unclaim
from bot.jobs.database.connect import connected
from bot.jobs.database.controls import OperatorControls
from bot.jobs.database.fair_queue import at_the_end, drop_turns, next_turns, positions, server_of, take_first_turn
from bot.jobs.database.guilds import Guilds
from bot.jobs.database.history import History, role_of
from bot.jobs.database.job_rows import STATES, ReadableRow, result_columns
from bot.jobs.database.leases import Leases, orphaned
from bot.jobs.database.members import Members
from bot.jobs.database.overview import JobOverview
from bot.jobs.database.retention import Retention, end_holds
from bot.jobs.database.styles import Styles
from bot.jobs.database.tables import AcknowledgedRow, ClaimRow, JobRow, SyncRow, service_time
from bot.jobs.database.usage import Usage, charge, refund, refuse, within
from bot.jobs.database.wishes import Wishes
from bot.jobs.errors import AddressUnreadable, AlreadyPainting, JobUnreadable, NotKept
from bot.jobs.model import FAILED, FRAMES, NO_INPUTS, OPEN, DeliveredBy, Job, Painted, State
from bot.jobs.rules import NO_QUOTA, Quota
from engine.errors import AtelierError
from engine.recipe import Recipe

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A queued job."""

    id: str
    position: int
    """From 1, among all jobs that are queued for the same cluster."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue of a cluster, as one process needs it to begin jobs and to show positions."""

    waiting: Sequence[QueuedJob]
    """The queued jobs of the process, in their order."""
    running: int
    """The number of running jobs of the cluster, of all processes."""


class Store(
    Leases,
    Retention,
    Acknowledgements,
    Styles,
    History,
    Members,
    Wishes,
    Guilds,
    OperatorControls,
    JobOverview,
    Usage,
):
    """Each method is one transaction, committed when it returns. All raise SQLAlchemy's errors."""

    def __init__(self, engine: AsyncEngine, cipher: Cipher) -> None:
        super().__init__(engine)
        self._cipher = cipher

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, cipher: Cipher) -> AsyncIterator[Self]:
        """See :func:`bot.jobs.database.connect.connected`."""
        async with connected(url) as engine:
            yield cls(engine, cipher)

    async def add(
        self,
        job: Job,
        process: str,
        cluster_id: str,
        limit: int,
        quota: Quota = NO_QUOTA,
        *,
        kept: Collection[str] = (),
    ) -> None:
        """Store a new job in the queue. ``kept`` are those of its inputs that it does not bring along.

        Raises:
            TooManyJobs: the owner has ``limit`` open jobs, or those of the quota.
            DailyLimit: the owner has used their quota of a day.
            AlreadyPainting: the owner has an open job with the same parent and action.
            NotKept: nobody claims one of ``kept`` any more.
            IntegrityError: the job is stored already.
        """
        now, server = job.created_at, server_of(job.owner, job.guild_id)
        row: dict[str, Any] = {
            "id": job.id,
            "owner": job.owner,
            "guild_id": job.guild_id,
            "server": server,
            "state": job.state,
            "process": process,
            "cluster_id": cluster_id,
            "recipe": job.recipe.model_dump_json(),
            "recipe_id": job.recipe.id,
            "address": self._cipher.encrypt(job.address),
            "description": job.description,
            "max_bytes": job.max_bytes,
            "spoiler": job.spoiler,
            "parent": job.parent,
            "action": job.action,
            "locale": job.locale,
            "painted": "",
            "cause": "",
            "delivered_by": "",
            "created_at": now,
            "changed_at": now,
        }
        types = JobRow.__table__.c
        turns = next_turns(job.owner, server, cluster_id)
        values = [literal(value, types[name].type).label(name) for name, value in row.items()]
        same = (JobRow.owner == job.owner) & (JobRow.parent == job.parent) & (JobRow.action == job.action)
        twin = select(JobRow.id).where(same, JobRow.parent != "", JobRow.state.in_(OPEN))
        roles = {"content": job.inputs.content}
        roles |= {f"style-{index}": name for index, name in enumerate(job.inputs.styles)}
        roles |= {"mask": job.inputs.mask} if job.inputs.mask is not None else {}
        async with self._changing() as connection:
            # Concurrent orders of a member would exceed the limits, and those in a server would get the same turn.
            await self._serialise(connection, job.owner, server)
            added = await connection.execute(
                insert(JobRow).from_select(
                    [*row, *turns, "accepted"],
                    select(*values, *turns.values(), service_time().label("accepted")).where(
                        within(job, limit, quota), ~twin.exists()
                    ),
                )
            )
            if added.rowcount == 0:
                if (await connection.execute(twin)).first():
                    raise AlreadyPainting
                await refuse(connection, job, limit, quota)
            await charge(connection, job)
            # The lock keeps other processes from giving up these claims before this one adds its own.
            claims = select(ClaimRow.name).where(ClaimRow.name.in_({*kept, job.recipe.continues})).with_for_update()
            claimed = set((await connection.execute(claims)).scalars())
            if not claimed.issuperset(kept):
                raise NotKept
            if job.recipe.continues in claimed:  # else the painting starts without it
                roles["start"] = job.recipe.continues
            await connection.execute(delete(AcknowledgedRow).where(AcknowledgedRow.id == job.id))
            await claim(connection, Owner("job", job.id), roles)
            await end_holds(connection, [name for name in roles.values() if name not in claimed])

    async def queue(self, process: str, cluster_id: str) -> Queue:
        """The queue of a cluster, with the positions of the jobs of ``process``."""
        all_jobs = positions(cluster_id).c
        mine = select(all_jobs.id, all_jobs.position).where(all_jobs.process == process).order_by(all_jobs.position)
        running = select(func.count()).where(JobRow.state == State.RUNNING, JobRow.cluster_id == cluster_id)
        async with self._engine.connect() as connection:
            waiting = [QueuedJob(row.id, row.position) for row in await connection.execute(mine)]
            return Queue(waiting, (await connection.execute(running)).scalar_one())

    async def begin(self, job: str, process: str, cluster_id: str) -> bool:
        """Begin a queued job that ``process`` owns or that has no live owner. Returns whether this call did."""
        mine = (JobRow.process == process) | orphaned()
        new = {"process": process, "cluster_id": cluster_id}
        async with self._changing() as connection:
            begun = await self._change_in(connection, job, State.RUNNING, {State.QUEUED}, mine, **new)
            if begun:
                await take_first_turn(connection, job)
        return begun

    async def requeue(self, job: str, process: str, *, last: bool = False) -> bool:
        """Put a running job back into its position in the queue, or at the end of its cluster's queue."""
        turns = at_the_end() if last else {}
        return await self._change(job, State.QUEUED, {State.RUNNING}, JobRow.process == process, **turns)

    async def set_checkpoint(self, job: str, process: str, name: str) -> str | None:
        """Store a job's new checkpoint. Returns the checkpoint that may be removed: the previous one, if any.

        If ``process`` no longer runs the job, the new checkpoint is not stored, and may be removed.
        """
        running = select(JobRow.id).where(
            JobRow.id == job, JobRow.process == process, JobRow.state == State.RUNNING
        )  # fmt: skip
        async with self._changing() as connection:
            if (await connection.execute(running.with_for_update())).one_or_none() is None:
                return name
            last = (await claimed_by(connection, "job", [job]))[job].get("checkpoint")
            await claim(connection, Owner("job", job), {"checkpoint": name})
        return None if last == name else last

    async def finish(
        self, job: str, process: str, painted: Painted | None, state: str | None = None, thumbnail: str | None = None
    ) -> bool:
        """The painting is done: ``running → delivering``. ``painted`` is None if the picture could not be stored.

        ``state`` and ``thumbnail`` are the blobs of the painting's final state and of its thumbnail, if there are any.
        """
        async with self._changing() as connection:
            done = await self._change_in(
                connection, job, State.DELIVERING, {State.RUNNING}, JobRow.process == process,
                **result_columns(painted),
            )  # fmt: skip
            if done and painted:
                stored = {"painted": painted.picture} | ({"thumbnail": thumbnail} if thumbnail else {})
                await claim(connection, Owner("job", job), stored)
                await end_holds(connection, stored.values())
            if done and state:
                await claim(connection, Owner("job", job), {"state": state})
        return done

    async def set_painted(self, job: str, process: str, painted: Painted) -> None:
        """Store a result that could not be stored by :meth:`finish`. Has no effect if the job no longer needs it."""
        unkept = (JobRow.painted == "") & (JobRow.cause == "") & (JobRow.process == process)
        async with self._changing() as connection:
            changed = await connection.execute(
                update(JobRow)
                .where(JobRow.id == job, JobRow.state.in_({State.DELIVERING, State.DELIVERED}), unkept)
                .values(**result_columns(painted))
            )
            if changed.rowcount:
                await claim(connection, Owner("job", job), {"painted": painted.picture})
            await end_holds(connection, [painted.picture])

    async def give_up(self, job: str, cause: AtelierError, process: str | None = None) -> State | None:
        """End a job without a result: ``queued`` or ``running → delivering``. Returns the old state, None if no other.

        If ``process`` is given, it must own the job.
        """
        guard: ColumnElement[bool] = literal(True) if process is None else JobRow.process == process
        change = {"cause": errors.dump(cause)}
        async with self._changing() as connection:
            if await self._change_in(connection, job, State.DELIVERING, {State.QUEUED}, guard, **change):
                await drop_turns(connection, job)
                await refund(connection, job)
                return State.QUEUED
            if await self._change_in(connection, job, State.DELIVERING, {State.RUNNING}, guard, **change):
                return State.RUNNING
        return None

    async def conclude(self, job: str, process: str, end: State, delivered_by: DeliveredBy, posted: str = "") -> bool:
        """Record that the ending is delivered: ``delivering →`` a final state. ``posted`` replaces the address.

        Removes the checkpoint and the claim on the state that it started from. A delivered painting keeps its final
        state.
        """
        async with self._changing() as connection:
            ended = await self._change_in(
                connection,
                job,
                end,
                {State.DELIVERING},
                JobRow.process == process,
                delivered_by=delivered_by,
                address=self._cipher.encrypt(posted) if posted else "",
            )
            if ended:
                roles = ["checkpoint", "start"]
                if end is not State.DELIVERED:
                    roles += ["state", *map(role_of, range(FRAMES))]
                await unclaim(connection, Owner("job", job), roles)
            if ended and end in FAILED:
                await refund(connection, job)
        return ended

    async def ping(self) -> None:
        """Raise an error if the database accepts no changes. Changes nothing."""
        async with self._changing() as connection:
            await connection.execute(update(JobRow).where(JobRow.id == "").values(address=""))

    async def get(self, job: str) -> Job | None:
        """The job with this id."""
        found = await self._jobs(JobRow.id == job)
        return found[0] if found else None

    async def jobs(self, ids: Sequence[str]) -> list[Job]:
        """The jobs with these ids, in any order."""
        return await self._jobs(JobRow.id.in_(ids)) if ids else []

    async def open_jobs(self, owner: int) -> list[Job]:
        """A member's jobs that have not ended."""
        return await self._jobs((JobRow.owner == owner) & JobRow.state.in_(OPEN))

    async def count_open(self, owner: int | None = None) -> int:
        """The number of open jobs of one member, or of all."""
        query = select(func.count()).where(JobRow.state.in_(OPEN))
        if owner is not None:
            query = query.where(JobRow.owner == owner)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).scalar_one()

    async def queue_stats(self) -> tuple[int, float]:
        """The number of queued jobs, and the age of the oldest of them in seconds."""
        query = select(func.count(), func.min(JobRow.created_at)).where(JobRow.state == State.QUEUED)
        async with self._engine.connect() as connection:
            count, oldest = (await connection.execute(query)).one()
        return count, max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0

    async def synced(self, scope: str) -> str | None:
        """The fingerprint that :meth:`set_synced` stored."""
        async with self._engine.connect() as connection:
            query = select(SyncRow.fingerprint).where(SyncRow.scope == scope)
            return (await connection.execute(query)).scalar_one_or_none()

    async def set_synced(self, scope: str, fingerprint: str) -> None:
        """Store the fingerprint of the commands that were registered with Discord for ``scope``."""
        async with self._changing() as connection:
            if not await self._insert_new(connection, SyncRow, scope=scope, fingerprint=fingerprint):
                changed = update(SyncRow).where(SyncRow.scope == scope).values(fingerprint=fingerprint)
                await connection.execute(changed)

    async def _change(
        self, job: str, to: State, since: Collection[State], guard: ColumnElement[bool], **values: Any
    ) -> bool:
        async with self._changing() as connection:
            return await self._change_in(connection, job, to, since, guard, **values)

    async def _change_in(
        self,
        connection: AsyncConnection,
        job: str,
        to: State,
        since: Collection[State],
        guard: ColumnElement[bool],
        **values: Any,
    ) -> bool:
        changed = await connection.execute(
            update(JobRow)
            .where(JobRow.id == job, JobRow.state.in_(since), guard)
            .values(state=to, changed_at=datetime.now(UTC), **values)
        )
        return changed.rowcount == 1

    def _address(self, row: Any) -> str:
        try:
            return self._cipher.decrypt(str(row.address)) if row.address else ""
        except AddressUnreadable:
            if row.state in OPEN:
                log.warning("no key of SECRET_KEY fits a job's address", job=row.id)
            return ""

    async def _jobs(self, which: ColumnElement[bool]) -> list[Job]:
        query = select(JobRow.__table__).where(which).order_by(JobRow.created_at.desc())
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
            blobs = await claimed_by(connection, "job", [row.id for row in rows])
        return [self._job(row, blobs[row.id]) for row in rows]

    def _job(self, row: Any, blobs: dict[str, str]) -> Job:
        """The job of a row. An unreadable row gives default fields, with JobUnreadable as the cause."""
        address = self._address(row)
        try:
            return ReadableRow.model_validate(row).job(address, blobs)
        except (LookupError, TypeError, ValueError) as error:
            log.warning("a job can't be read", job=row.id, reason=type(error).__name__)
        return Job(
            id=row.id,
            owner=row.owner if isinstance(row.owner, int) else 0,
            guild_id=None,
            recipe=Recipe(),
            inputs=NO_INPUTS,
            address=address,
            description=row.description if isinstance(row.description, str) else "",
            max_bytes=1,
            state=State(row.state) if row.state in STATES else State.FAILED,
            created_at=row.created_at or datetime.now(UTC),
            accepted=row.accepted if isinstance(row.accepted, float) else 0.0,
            process=row.process,
            checkpoint=blobs.get("checkpoint"),
            cause=JobUnreadable(),
        )
