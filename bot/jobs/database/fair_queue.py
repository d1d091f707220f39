"""The fair queue: servers take turns, and so do the members of a server, however many jobs each of them has queued.

Start-time fair queueing with equal costs (Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996) on two levels
(Goyal, Guo and Vin, "A Hierarchical CPU Scheduler for Multimedia Operating Systems", OSDI 1996), in the database, so
that several processes share one queue. Outside servers, each member counts as a server.

An accepted job adds a turn to its member and one to its server: the turn that is served now, or the one after the last
open job. Within a server, jobs are sorted by their members' turns, then by arrival. The first of them has the server's
first turn, the second its second turn, and so on, whichever job added it. The queue is sorted by the servers' turns,
then by arrival. So nobody starves: a server's first job waits for at most one job of each other server, and a member's
first job for at most one job of each other member of the server.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Subquery, and_, case, func, literal, null, or_, select, true, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute, aliased

from bot.jobs.database.leases import orphaned
from bot.jobs.database.tables import JobRow
from bot.jobs.model import OPEN, State

SET_BACK: Final = 0
"""Stands for the server of all jobs that were put at the end of the queue. No server has this id."""


def server_of(owner: int, guild_id: int | None) -> int:
    """Whose turns a job takes: those of the server, or outside servers those of the member alone."""
    return -owner if guild_id is None else guild_id


def positions(cluster_id: str) -> Subquery:
    """The jobs that are queued for this cluster: ``id``, ``process``, and ``position`` from 1.

    Jobs without a live owner are queued for every cluster.
    """
    arrival = (JobRow.accepted, JobRow.created_at, JobRow.id)
    place = func.row_number().over(partition_by=JobRow.server, order_by=(JobRow.turn, *arrival))
    nth = func.row_number().over(partition_by=JobRow.server, order_by=(JobRow.server_turn, JobRow.id))
    waiting = (
        select(
            *(JobRow.id, JobRow.process, JobRow.server, JobRow.server_turn, JobRow.accepted),
            place.label("place"),
            nth.label("nth"),
        )
        .where(JobRow.state == State.QUEUED, or_(JobRow.cluster_id == cluster_id, orphaned()))
        .cte("waiting")
    ).c
    # A join of jobs and turns, written as a GROUP BY: SQLite would compare each job with each turn.
    jobs = select(waiting.server, waiting.place, waiting.id, waiting.process, waiting.accepted)
    turns = select(waiting.server, waiting.nth, null(), null(), null(), waiting.server_turn)
    both = union_all(jobs.add_columns(null().label("server_turn")), turns).subquery().c
    values = (both.id, both.process, both.accepted, both.server_turn)
    pairs = [func.max(each).label(each.key) for each in values]
    queue = select(*pairs).group_by(both.server, both.place).subquery().c
    order = (queue.server_turn, queue.accepted, queue.id)
    return select(queue.id, queue.process, func.row_number().over(order_by=order).label("position")).subquery()


def next_turns(owner: int, server: int, cluster_id: str) -> dict[str, ColumnElement[int]]:
    """The values of the columns for the turns of a job that is accepted now."""
    return {
        "turn": _next(JobRow.turn, cluster_id, {"server": server}, {"server": server, "owner": owner}),
        "server_turn": _next(JobRow.server_turn, cluster_id, {}, {"server": server}),
    }


def at_the_end() -> dict[str, Any]:
    """The values of the columns that put a job at the end of its cluster's queue."""
    others = aliased(JobRow)
    last = func.coalesce(func.max(others.server_turn), 0), func.coalesce(func.max(others.turn), 0)
    queued = others.state == State.QUEUED, others.cluster_id == JobRow.cluster_id
    server_turn, turn = (select(each + 1).where(*queued).scalar_subquery() for each in last)
    return {"server": SET_BACK, "server_turn": server_turn, "turn": turn}


async def take_first_turn(connection: AsyncConnection, job: str) -> None:
    """Let a job that has just begun take its server's first turn. The queued job that had it gets the other one."""
    begun = aliased(JobRow)
    first = (
        select(JobRow.id, JobRow.server_turn, begun.server_turn.label("later"))
        .join(begun, and_(begun.id == job, begun.server == JobRow.server, begun.cluster_id == JobRow.cluster_id))
        .where(JobRow.state == State.QUEUED, JobRow.server_turn < begun.server_turn)
        .order_by(JobRow.server_turn)
        .limit(1)
    )
    if (found := (await connection.execute(first)).one_or_none()) is None:
        return
    # Another process may begin another job of the server at the same time.
    has_it = JobRow.id == found.id, JobRow.server_turn == found.server_turn
    given = await connection.execute(update(JobRow).where(*has_it).values(server_turn=found.later))
    if given.rowcount:
        await connection.execute(update(JobRow).where(JobRow.id == job).values(server_turn=found.server_turn))


async def drop_turns(connection: AsyncConnection, job: str) -> None:
    """Remove the turns of a job that has just left the queue unpainted. The later ones move up."""
    left = (
        await connection.execute(
            select(JobRow.owner, JobRow.server, JobRow.cluster_id, JobRow.turn, JobRow.server_turn).where(
                JobRow.id == job
            )
        )
    ).one()
    queued = JobRow.server == left.server, JobRow.state == State.QUEUED, JobRow.cluster_id == left.cluster_id
    await connection.execute(
        update(JobRow).where(*queued, JobRow.owner == left.owner, JobRow.turn > left.turn).values(turn=JobRow.turn - 1)
    )
    last = select(JobRow.id).where(*queued, JobRow.server_turn > left.server_turn)
    last = last.order_by(JobRow.server_turn.desc()).limit(1)
    await connection.execute(
        update(JobRow).where(JobRow.id == last.scalar_subquery()).values(server_turn=left.server_turn)
    )


def _next(
    turn: InstrumentedAttribute[int], cluster_id: str, among: dict[str, int], own: dict[str, int]
) -> ColumnElement[int]:
    """The turn that is served now ``among`` these jobs, or the one after the last of the open jobs that are ``own``."""
    jobs = aliased(JobRow)
    number = getattr(jobs, turn.key)

    def those(which: dict[str, int]) -> ColumnElement[bool]:
        return and_(true(), *(getattr(jobs, name) == value for name, value in which.items()))

    here = and_(those(among), jobs.cluster_id == cluster_id)
    running = select(func.max(number)).where(jobs.state == State.RUNNING, here).scalar_subquery()
    ahead = select(func.min(number)).where(jobs.state == State.QUEUED, here).scalar_subquery()
    last = select(func.max(number) + 1).where(those(own), jobs.state.in_(OPEN)).scalar_subquery()
    # CASE, because the two databases name the function for the larger value differently.
    served, after = func.coalesce(running, ahead, literal(0)), func.coalesce(last, literal(0))
    return case((after > served, after), else_=served)
