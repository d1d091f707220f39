"""What operators do on their page. Each action is the same as that of ``/admin``, or of the job's owner."""

from bot.error_messages import error_message
from bot.jobs.database.controls import Control
from bot.jobs.database.store import Store
from bot.jobs.errors import AlreadyPainting, Blocked, DailyLimit, Draining, JobEnded, NotFailed, NotKept, TooManyJobs
from bot.jobs.service import JobService
from engine.errors import AtelierError


class OperatorActions:
    """Each method returns what happened, in a sentence. An action that can't be done raises ``AtelierError``."""

    def __init__(self, store: Store, jobs: JobService, operators: frozenset[int]) -> None:
        """``operators`` are the ids of the members who may use ``/admin``. They can't be blocked."""
        self._store = store
        self._jobs = jobs
        self._operators = operators

    async def pause(self) -> str:
        """Begin no more paintings."""
        await self._switch("paused")
        return "Paused: no painting begins. Orders are accepted and wait. Paintings in progress go on."

    async def drain(self) -> str:
        """Accept no more orders."""
        await self._switch("draining")
        left = await self._store.count_open()
        return f"No orders are accepted. Pictures left: {left}." if left else "No orders are accepted. None is left."

    async def resume(self) -> str:
        """End a pause and a drain."""
        await self._store.switch("paused", on=False)
        await self._store.switch("draining", on=False)
        await self._jobs.read_controls()
        return "Orders are accepted and paintings begin."

    async def cancel(self, job: str) -> str:
        """Cancel an open job."""
        await self._jobs.cancel_as_operator(job)
        return f"Job {job} is cancelled, and its member reads so."

    async def retry(self, job: str) -> str:
        """Paint a failed job again."""
        again = await self._jobs.retry(job)
        return f"Job {job} is queued again, as job {again.id}."

    async def block_owner(self, job: str) -> str:
        """Block the member who ordered a job."""
        return await self.block((await self._jobs.get(job)).owner)

    async def block(self, member: int) -> str:
        """Block a member."""
        if member in self._operators:
            return f"Member {member} is an operator, and can't be blocked."
        new = await self._store.block(member)
        await self._jobs.read_controls()
        return f"Member {member} is blocked." if new else f"Member {member} was blocked already."

    async def unblock(self, member: int) -> str:
        """Undo a block."""
        was = await self._store.unblock(member)
        await self._jobs.read_controls()
        return f"Member {member} is no longer blocked." if was else f"Member {member} was not blocked."

    async def _switch(self, control: Control) -> None:
        await self._store.switch(control, on=True)
        await self._jobs.read_controls()


def refusal(error: AtelierError) -> str:  # noqa: PLR0911 - one return for each error
    """Why an action can't be done, for an operator."""
    match error:
        case JobEnded():
            return "This job has ended already."
        case NotKept():
            return "This job or its pictures are not stored any more."
        case NotFailed():
            return "Only a failed job can be painted again."
        case AlreadyPainting():
            return "This job is queued again already."
        case Blocked():
            return "Its member is blocked."
        case Draining():
            return "No orders are accepted at the moment. Resume first."
        case TooManyJobs(limit=limit):
            return f"Its member has {_counted(limit, 'open picture')} already, the most that is allowed."
        case DailyLimit(limit=limit):
            return f"Its member has ordered {_counted(limit, 'picture')} in 24 hours, the most that is allowed."
        case _:
            return error_message(error)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
