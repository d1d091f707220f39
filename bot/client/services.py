"""The services that features use."""

from dataclasses import dataclass

from bot.client.attachments import AttachmentDownloader
from bot.jobs.api import History, Jobs, OwnData
from bot.jobs.database.store import Store
from bot.jobs.rules import Policy
from bot.library.library import StyleLibrary
from engine.executor.api import Executor


@dataclass(frozen=True, slots=True)
class Services:
    """Built once at start, in ``bot.app``, and handed to the client's constructor."""

    jobs: Jobs
    history: History
    own_data: OwnData
    executor: Executor
    attachments: AttachmentDownloader
    styles: StyleLibrary
    store: Store
    """For what moderators and operators set and read."""
    policy: Policy
    """The operator's limits."""
