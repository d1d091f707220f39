"""The fair queue: members take turns, however many jobs each of them has queued.

Start-time fair queueing with equal costs (Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996), in the
database, so that several processes share one queue. A job's turn is fixed when the job is accepted: the turn that is
served now, or the one after its owner's last open job. The queue is sorted by turn, then by arrival. So nobody starves,
and a member's first job waits for at most one job of each other member.
"""

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select
from sqlalchemy.orm import aliased

from bot.jobs.database.leases import orphaned
from bot.jobs.database.tables import JobRow
from bot.jobs.model import OPEN, State

QUEUE_ORDER = (JobRow.turn, JobRow.accepted, JobRow.created_at, JobRow.id)


def waits_for(cluster_id: str) -> ColumnElement[bool]:
    """Whether a job is queued for this cluster. Jobs without a live owner are queued for every cluster."""
    return and_(JobRow.state == State.QUEUED, or_(JobRow.cluster_id == cluster_id, orphaned()))


def next_turn(owner: int, cluster_id: str) -> ColumnElement[int]:
    """The turn of a job that is accepted now."""
    jobs = aliased(JobRow)
    here = (
        select(func.max(jobs.turn)).where(jobs.state == State.RUNNING, jobs.cluster_id == cluster_id).scalar_subquery()
    )
    ahead = (
        select(func.min(jobs.turn)).where(jobs.state == State.QUEUED, jobs.cluster_id == cluster_id).scalar_subquery()
    )
    own = select(func.max(jobs.turn) + 1).where(jobs.owner == owner, jobs.state.in_(OPEN)).scalar_subquery()
    # CASE, because the two databases name the function for the larger value differently.
    served, after = func.coalesce(here, ahead, literal(0)), func.coalesce(own, literal(0))
    return case((after > served, after), else_=served)
