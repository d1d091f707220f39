"""The replies of the jobs that this process looks after: one for each, made when there is something to show."""

from collections.abc import Callable, Collection

import structlog

from bot.jobs.model import DeliveredBy, Ending, Job, Reply
from engine.progress import Progress

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

ReplyTo = Callable[[Job, Callable[[], bool]], Reply]
"""Makes a job's reply. The second argument tells whether this process may still edit it.

It raises ``ValueError`` for an address that it doesn't understand.
"""


class Replies:
    """By the jobs' ids."""

    def __init__(self, reply_to: ReplyTo, may_edit: Callable[[], bool]) -> None:
        self._reply_to = reply_to
        self._may_edit = may_edit
        self._replies: dict[str, Reply] = {}

    def of(self, job: Job) -> Reply:
        """The one reply of a job."""
        if job.id not in self._replies:
            self._replies[job.id] = self.apart(job)
        return self._replies[job.id]

    def get(self, job_id: str) -> Reply | None:
        """The reply, if it was made."""
        return self._replies.get(job_id)

    def progressed(self, job: Job, progress: Progress) -> None:
        """Show a job's progress in its reply."""
        if reply := self.get(job.id):
            reply.progressed(progress)

    def drop(self, job_id: str) -> None:
        """The job has ended."""
        self._replies.pop(job_id, None)

    async def keep(self, jobs: Collection[str]) -> None:
        """Close those of all other jobs: they are no longer in this process's care."""
        for job_id in self._replies.keys() - jobs:
            if reply := self._replies.pop(job_id, None):  # it may have ended meanwhile
                await reply.close()

    def apart(self, job: Job) -> Reply:
        """A new reply, which is not kept here."""
        try:
            return self._reply_to(job, self._may_edit) if job.address else NullReply()
        except ValueError as error:
            log.warning("a job's address is not understood", job=job.id, reason=type(error).__name__)
            return NullReply()


class NullReply:
    """The reply of a job whose address can't be read, for another key or for damage. ``/jobs`` shows the result."""

    bucket = "silent"

    def queued(self, position: int) -> None:
        pass

    def progressed(self, progress: Progress) -> None:
        pass

    async def deliver(self, ending: Ending) -> DeliveredBy:
        return "kept"

    async def close(self) -> None:
        pass
