"""The reply to a command: its edits while the job is open, and the delivery of the job's end.

The channels, in the order in which they are tried:

1. an edit of the reply by the interaction's token;
2. an edit of the reply by the bot, where the app is installed in the server;
3. a new message in the reply's channel, except where somebody has deleted the reply;
4. a direct message to the owner;
5. none: the end is kept for ``/jobs``.

A picture that is too large for Discord is sent again as a smaller file. If every channel rejects the picture, the first
channel that accepts text says that ``/jobs`` has it. If only the reply can't show the picture, the reply says where it
was sent.

Edits are idempotent. New messages contain the job's id, and the bot searches for it before it sends one. If an earlier
edit by token may have succeeded, and the bot can't read the reply, it sends no message: that could be a second answer,
and the picture is kept for ``/jobs`` anyway.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import discord
import structlog

from bot import locales, texts
from bot.delivery.channels import DeliveryChannels, Payload, Picture, Rejection, sent_within_limits
from bot.delivery.target import ReplyTarget
from bot.error_messages import error_message
from bot.jobs.errors import CancelledByModerator, CancelledByOperator, DeliveryDelayed
from bot.jobs.model import DeliveredBy, Ending, Job, State
from bot.telemetry import metrics
from engine.errors import PaintingCancelled
from engine.executor.api import Executor
from engine.progress import Progress, Result

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EDIT_EVERY: Final = 2.0
"""Seconds between edits. Discord allows 5 edits in 5 s for each interaction, and the final one must not wait."""
MAX_BACKOFF: Final = 60.0
"""Seconds between edits that Discord rejects, at most. 10,000 rejected requests in 10 minutes ban the IP address."""
EDIT_TIMEOUT: Final = 5.0
"""Seconds for an edit, including waits for rate limits. A later edit shows more anyway."""
SETTLE_TIMEOUT: Final = 2.0
"""Seconds that the delivery waits for an edit in flight. Discord could carry out a cancelled edit after it."""
RETRIED_AFTER: Final = 1.0
"""Seconds. If a request takes longer, discord.py may have retried it, and its first attempt may have succeeded."""


@dataclass(frozen=True, slots=True)
class Views:
    """Makes the components under replies."""

    open: Callable[[Job, Progress | None], discord.ui.View]
    """Of a job that is not finished, and its latest progress if it is painted."""
    result: Callable[[Job], discord.ui.View]
    """Of a finished painting."""


@dataclass(frozen=True, slots=True)
class _Edit:
    text: str
    preview: bytes | None


class DiscordReply:
    """The reply to one interaction. Implements :class:`bot.jobs.model.Reply`.

    The latest edit wins: only the newest of the edits that wait is sent, and at most one every :data:`EDIT_EVERY`
    seconds. Only the first preview does not wait. Edits that fail or are rejected back off. Edits stop with the
    delivery, or when the reply is deleted.
    """

    def __init__(
        self,
        client: discord.Client,
        job: Job,
        views: Views,
        executor: Executor,
        may_edit: Callable[[], bool] = lambda: True,
    ) -> None:
        """``may_edit`` is called before each edit, and returns false once another process may look after the job.

        ``executor`` makes pictures smaller that are too large for Discord.
        """
        self._job = job
        self._executor = executor
        self._views = views
        self._may_edit = may_edit
        self._target = ReplyTarget.model_validate_json(job.address)
        self._channels = DeliveryChannels(client, self._target, job.id, job.owner)
        self._progress: Progress | None = None
        self._preview: bytes | None = None
        self._shown: bytes | None = None
        self._pending: _Edit | None = None
        self._editing: asyncio.Task[None] | None = None
        self._first_preview = asyncio.Event()
        """Set while the first preview waits."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = False
        self._perhaps_sent = job.state is State.DELIVERING
        """Whether an earlier attempt, of this or another process, may have sent a new message."""
        self._perhaps_edited = job.state is State.DELIVERING
        """Whether an earlier attempt may have edited the reply, although it looked failed."""
        self._perhaps_shown = False
        """Whether the reply may already show the end. Then no other message may follow."""
        self._pause = EDIT_EVERY
        """Seconds to the next edit. Doubles with each rejection."""

    @property
    def bucket(self) -> str:
        """What the edits' rate limit applies to: the reply while the interaction's token lives, then the channel."""
        return self._job.id if self._target.token_lives() else f"channel {self._target.channel}"

    @property
    def posted(self) -> str:
        """Where the picture is, without the interaction's token."""
        return self._channels.posted.model_dump_json()

    def renew(self, job: Job) -> None:
        """Show the components and the options of the job as it is now, and nothing of an earlier recipe."""
        if job.recipe != self._job.recipe:
            self._progress = self._preview = None
        self._job = job

    def queued(self, position: int, *, paused: bool = False) -> None:
        """Show the place in the queue."""
        with locales.using(self._job.locale):
            self._show(_Edit(texts.paused(position) if paused else texts.queued(position), None))

    def progressed(self, progress: Progress) -> None:
        """Show the progress and the newest preview. A painting that takes no longer than an edit shows only its end."""
        if progress.elapsed + progress.remaining < EDIT_EVERY:
            return
        self._progress = progress
        picture = progress.mask or progress.preview
        if progress.mask or (picture and self._preview is None):
            self._first_preview.set()
        self._preview = picture or self._preview
        with locales.using(self._job.locale):
            self._show(_Edit(texts.painting(progress, self._job.recipe, len(self._job.inputs.styles)), self._preview))

    async def deliver(self, ending: Ending) -> DeliveredBy:
        """Deliver the end through the first channel that works.

        The reply of a job is deleted if its owner cancelled it: they got an answer when they did so. If a moderator
        or an operator did, the reply says so.

        Raises:
            DeliveryDelayed: Discord can't be reached or is overloaded, or another process may look after the job.
        """
        await self._settle()
        self._check_ownership()
        told = isinstance(ending, CancelledByModerator | CancelledByOperator)
        if isinstance(ending, PaintingCancelled) and not told:
            outcome: DeliveredBy | Rejection = await self._channels.delete()
        else:
            with locales.using(self._job.locale):
                outcome = await self._deliver(ending)
        return "kept" if isinstance(outcome, Rejection) else outcome

    async def ping(self, delivered_by: DeliveredBy, ending: State) -> None:
        """Mention the owner. A direct message has notified them already."""
        if delivered_by != "direct":
            with locales.using(self._job.locale):
                text = texts.ping(self._job.owner, ending, kept=delivered_by == "kept")
            await self._channels.mention(text)

    async def close(self) -> None:
        """Stop editing and abandon an edit in flight."""
        self._stopped = True
        self._pending = None
        if self._editing is not None:
            self._editing.cancel()
            await asyncio.gather(self._editing, return_exceptions=True)
            self._editing = None

    async def _settle(self) -> None:
        self._stopped = True
        self._pending = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIMEOUT):
                await self._idle.wait()
        await self.close()

    async def _deliver(self, ending: Ending) -> DeliveredBy | Rejection:
        if self._perhaps_sent and (sent := await self._channels.sent()):
            channel, message = sent
            return "kept" if isinstance(ending, Result) and not message.attachments else channel
        payload = self._payload(ending)
        outcome: DeliveredBy | Rejection = await sent_within_limits(self._send, payload, self._executor)
        if isinstance(outcome, Rejection) and payload.picture is not None and not self._perhaps_shown:
            log.warning("a picture can't be delivered", job=self._job.id, reason=outcome.value)
            text = texts.too_large() if outcome is Rejection.TOO_LARGE else texts.kept()
            await self._send(Payload(text))
        return outcome

    def _payload(self, ending: Ending) -> Payload:
        if isinstance(ending, Result):
            return Payload(
                texts.caption(ending, self._job.recipe),
                self._picture(ending.picture, f"painting-{self._job.id}.{ending.format}"),
                self._views.result(self._job),
            )
        return Payload(error_message(ending))

    def _picture(self, data: bytes, filename: str) -> Picture:
        return Picture(data, filename, texts.described(self._job.description), self._job.spoiler)

    async def _send(self, payload: Payload) -> DeliveredBy | Rejection:
        signed = replace(payload, text=self._signed(payload.text))
        outcome: DeliveredBy | Rejection = await self._edit_finally(signed)
        if outcome is Rejection.CLOSED and self._perhaps_edited:
            shown = await self._channels.shown(signed)
            if shown is not False:
                self._perhaps_shown = True
                return "token" if shown else outcome
        reply_unfinished = outcome is Rejection.CLOSED and payload.picture is not None
        if outcome is Rejection.CLOSED:
            self._perhaps_sent = True
            self._check_ownership()
            text = texts.sent(payload.text, self._job, named=True)
            outcome = await self._channels.post(replace(payload, text=text))
        if outcome in {Rejection.CLOSED, Rejection.GONE}:
            self._perhaps_sent = True
            self._check_ownership()
            text = texts.sent(payload.text, self._job, named=False)
            outcome = await self._channels.direct(replace(payload, text=text))
        if reply_unfinished and not isinstance(outcome, Rejection):
            with contextlib.suppress(DeliveryDelayed):
                await self._channels.edit(Payload(self._signed(texts.delivered_elsewhere(outcome))))
        return outcome

    def _signed(self, text: str) -> str:
        """The text of the reply, with the name of its owner where others can't see it otherwise."""
        unnamed = self._target.pressed and self._target.place != "direct"
        return texts.requested(text, self._job.owner) if unnamed else text

    async def _edit_finally(self, payload: Payload) -> DeliveredBy | Rejection:
        began = time.monotonic()
        try:
            outcome = await self._channels.edit(payload)
        except DeliveryDelayed:
            self._perhaps_edited = True
            raise
        if time.monotonic() - began > RETRIED_AFTER:
            self._perhaps_edited = True
        return outcome

    def _check_ownership(self) -> None:
        if not self._may_edit():
            raise DeliveryDelayed("another process may look after the job")

    def _show(self, edit: _Edit) -> None:
        if self._stopped:
            return
        if self._pending is not None:
            metrics.EDITS.labels("skipped").inc()
        self._pending = replace(edit, text=self._signed(edit.text))
        if self._editing is None or self._editing.done():
            # Log lines of discord.py about an edit name the job, too.
            with structlog.contextvars.bound_contextvars(job=self._job.id):
                self._editing = asyncio.create_task(self._edit_in_turn())

    async def _edit_in_turn(self) -> None:
        while self._pending is not None:
            edit, self._pending = self._pending, None
            self._first_preview.clear()
            self._idle.clear()
            try:
                answered = self._may_edit() and await self._edit(edit)
            finally:
                self._idle.set()
            if not answered and not self._stopped:
                self._pending = self._pending or edit
            if self._pause > EDIT_EVERY:
                await asyncio.sleep(self._pause)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._first_preview.wait()

    async def _edit(self, edit: _Edit) -> bool:
        """Return whether Discord answered. If not, the same edit may succeed later."""
        preview: Payload | None = None
        if edit.preview is not None and edit.preview is not self._shown:
            preview = Payload(edit.text, self._picture(edit.preview, "preview.jpg"))
        try:
            async with asyncio.timeout(EDIT_TIMEOUT):
                rejection = await self._channels.show(edit.text, preview, self._views.open(self._job, self._progress))
        except (DeliveryDelayed, TimeoutError) as error:
            metrics.EDITS.labels("failed").inc()
            self._pause = min(2 * self._pause, MAX_BACKOFF)
            log.warning("an edit failed", job=self._job.id, reason=repr(error), again_in=self._pause)
            return False
        self._shown = edit.preview  # also after a rejection: Discord would reject the same preview again
        if rejection is None:
            metrics.EDITS.labels("done").inc()
            self._pause = EDIT_EVERY
            return True
        metrics.EDITS.labels("failed").inc()
        self._pause = min(2 * self._pause, MAX_BACKOFF)
        if rejection is Rejection.GONE:
            self._stopped = True
            self._pending = None
        log.info("an edit was rejected", job=self._job.id, reason=rejection.value)
        return True
