"""The services that features use."""

from dataclasses import dataclass

from bot.client.attachments import AttachmentDownloader
from bot.jobs.service import JobService
from engine.executor.api import Executor


@dataclass(frozen=True, slots=True)
class Services:
    """Built once at start, in ``bot.app``, and handed to the client's constructor."""

    jobs: JobService
    executor: Executor
    attachments: AttachmentDownloader
