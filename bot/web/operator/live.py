"""The newest progress of each painting of this process."""

from dataclasses import dataclass, replace

from bot.jobs.model import Job
from bot.jobs.service import JobService
from engine.progress import Progress


@dataclass(frozen=True, slots=True)
class Live:
    """A painting in progress."""

    progress: Progress
    """Without its preview."""
    preview: bytes | None = None
    """The newest one, as JPEG."""
    number: int = 0
    """How many previews there were."""


class LiveProgress:
    """Observes the paintings of this process, and forgets those that have ended."""

    def __init__(self, jobs: JobService, *, pictures: bool) -> None:
        """``pictures`` is whether previews are kept in memory."""
        self._jobs = jobs
        self._pictures = pictures
        self._latest: dict[str, Live] = {}
        jobs.observe(self._progressed)

    def get(self, job_id: str) -> Live | None:
        """The newest progress of a painting, or None if this process does not paint it."""
        self._forget_ended()
        return self._latest.get(job_id)

    def _progressed(self, job: Job, progress: Progress) -> None:
        if job.id not in self._latest:
            self._forget_ended()
        last = self._latest.get(job.id, Live(progress))
        last = replace(last, progress=replace(progress, preview=None))
        if progress.preview is not None and self._pictures and not job.spoiler:
            last = replace(last, preview=progress.preview, number=last.number + 1)
        self._latest[job.id] = last

    def _forget_ended(self) -> None:
        painting = set(self._jobs.painting)
        for job_id in self._latest.keys() - painting:
            del self._latest[job_id]
