"""The replies of this process's jobs: one for each job, made when there is something to show."""

from collections.abc import Callable, Collection

import structlog

from bot.jobs.model import DeliveredBy, Ending, Job, Reply, State
from engine.progress import Progress

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ReplyTo = Callable[[Job, Callable[[], bool]], Reply]
"""Makes a job's reply. The second argument returns whether this process may still edit it.

Raises ``ValueError`` for an invalid address.
"""


class Replies:
    """The open replies, by the jobs' ids."""

    def __init__(self, reply_to: ReplyTo, may_edit: Callable[[], bool]) -> None:
        self._reply_to = reply_to
        self._may_edit = may_edit
        self._replies: dict[str, Reply] = {}

    def of(self, job: Job) -> Reply:
        """The reply of a job, which shows it as it is now. It is made on the first call."""
        if job.id not in self._replies:
            self._replies[job.id] = self.apart(job)
        else:
            self._replies[job.id].renew(job)
        return self._replies[job.id]

    def get(self, job_id: str) -> Reply | None:
        """The reply of a job, if it was made."""
        return self._replies.get(job_id)

    def progressed(self, job: Job, progress: Progress) -> None:
        """Show a job's progress in its reply."""
        if reply := self.get(job.id):
            reply.progressed(progress)

    def drop(self, job_id: str) -> None:
        """Forget the reply of a job that has ended."""
        self._replies.pop(job_id, None)

    async def keep(self, jobs: Collection[str]) -> None:
        """Close the replies of all other jobs, which this process no longer owns."""
        for job_id in self._replies.keys() - jobs:
            if reply := self._replies.pop(job_id, None):  # else the job has ended meanwhile
                await reply.close()

    def apart(self, job: Job) -> Reply:
        """Make a reply without storing it here."""
        try:
            return self._reply_to(job, self._may_edit) if job.address else NullReply()
        except ValueError as error:
            log.warning("the address of a job is invalid", job=job.id, reason=type(error).__name__)
            return NullReply()


class NullReply:
    """A reply that shows nothing, for a job whose address can't be read. ``/jobs`` shows its result."""

    bucket = "silent"
    posted = ""

    def renew(self, job: Job) -> None:
        pass

    def queued(self, position: int, *, paused: bool = False) -> None:
        pass

    def progressed(self, progress: Progress) -> None:
        pass

    async def deliver(self, ending: Ending) -> DeliveredBy:
        return "kept"

    async def ping(self, delivered_by: DeliveredBy, ending: State) -> None:
        pass

    async def close(self) -> None:
        pass
