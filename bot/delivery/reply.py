"""The one place that edits messages: pacing while a job is open, and its end by the first way that works.

The ways, in their order: the reply is edited by the interaction's token, or by the bot's own where the app is installed
in the server; else a new message answers it in the channel; else the owner gets a direct message; else the end is kept
for ``/jobs``. A reply that somebody deleted was not wanted in that channel: then nothing is posted there.

A picture that is too large for Discord is sent again as a smaller file. A picture that every way refuses is kept, and
the first way that takes text says so. A reply that can't show the picture says where the picture is.

Edits may be repeated. What was sent carries the job's id and is looked for before it is sent again. Where an earlier
edit by the token may have arrived, and the bot can't look at the reply, nothing is sent: it would perhaps be a second
answer, and what is kept is not lost.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import discord
import structlog

from bot import texts
from bot.delivery.channels import DeliveryChannels, Payload, Rejection, sent_within_limits
from bot.delivery.target import ReplyTarget
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import DeliveredBy, Ending, Job, State
from bot.telemetry import metrics
from engine.errors import PaintingCancelled
from engine.progress import Progress, Result

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EDIT_EVERY: Final = 2.0
"""Seconds between edits: Discord grants 5 in 5 s for each interaction, and the final picture must not wait."""
REFUSED_EVERY: Final = 60.0
"""Seconds, the longest pause after a refused edit: 10,000 refusals in 10 minutes ban the bot's address."""
EDIT_WITHIN: Final = 5.0
"""Seconds after which an edit on the way is abandoned, waits for rate limits included: the next shows more."""
SETTLE_WITHIN: Final = 2.0
"""Seconds that the end waits for an edit in flight: cut off, it might still be carried out after the end was shown."""
REPEATED_AFTER: Final = 1.0
"""Seconds: an answer that took longer may be to a repetition of discord.py's, whose first attempt arrived after all."""


@dataclass(frozen=True, slots=True)
class _Edit:
    text: str
    preview: bytes | None


class DiscordReply:
    """One reply to one interaction: implements :class:`bot.jobs.model.Reply`.

    Edits are latest-wins: while one is on its way, or the last was under :data:`EDIT_EVERY` ago, newer ones replace
    each other. They stop with the end, and where the reply is gone; where they are refused, they come less often.
    """

    def __init__(
        self,
        client: discord.Client,
        job: Job,
        view: Callable[[str], discord.ui.View],
        may_edit: Callable[[], bool] = lambda: True,
    ) -> None:
        """``view`` makes the components of an open job's reply from the job's id. ``may_edit`` is called before each
        edit, and returns false once another process may look after the job.
        """
        self._job = job
        self._view = view
        self._may_edit = may_edit
        self._target = ReplyTarget.model_validate_json(job.address)
        self._channels = DeliveryChannels(client, self._target, job.id, job.owner)
        self._preview: bytes | None = None
        self._shown: bytes | None = None
        self._pending: _Edit | None = None
        self._editing: asyncio.Task[None] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = False
        self._perhaps_sent = job.state is State.DELIVERING
        """Whether an earlier attempt, of this process or of one that died, may have sent a message."""
        self._perhaps_edited = job.state is State.DELIVERING
        """Whether one may have edited the reply without knowing."""
        self._perhaps_shown = False
        """Whether the reply may show the end already. Then no other message may follow."""
        self._pause = EDIT_EVERY
        """Seconds to the next edit. Each refusal doubles them."""

    @property
    def bucket(self) -> str:
        """What Discord counts the edits by: the reply while the interaction's token lives, then the channel."""
        return self._job.id if self._target.token_lives() else f"channel {self._target.channel}"

    def queued(self, position: int) -> None:
        """Show the place in the queue."""
        self._show(_Edit(texts.queued(position), None))

    def progressed(self, progress: Progress) -> None:
        """Show how far the painting is, with the newest preview."""
        self._preview = progress.preview or self._preview
        self._show(_Edit(texts.painting(progress), self._preview))

    async def deliver(self, ending: Ending) -> DeliveredBy:
        """Tell the end in the first way that works.

        A cancelled job's reply is taken away: whoever cancelled is answered where they did.

        Raises:
            DeliveryDelayed: Discord can't be reached or is overloaded, or this may be another process's task now.
        """
        await self._settle()
        self._check_care()
        if isinstance(ending, PaintingCancelled):
            outcome: DeliveredBy | Rejection = await self._channels.take_away()
        else:
            outcome = await self._tell(ending)
        return "kept" if isinstance(outcome, Rejection) else outcome

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
            async with asyncio.timeout(SETTLE_WITHIN):
                await self._idle.wait()
        await self.close()

    async def _tell(self, ending: Ending) -> DeliveredBy | Rejection:
        if self._perhaps_sent and (sent := await self._channels.sent()):
            way, message = sent
            return "kept" if isinstance(ending, Result) and not message.attachments else way
        payload = self._payload(ending)
        outcome: DeliveredBy | Rejection = await sent_within_limits(self._hand_over, payload)
        if isinstance(outcome, Rejection) and payload.picture is not None and not self._perhaps_shown:
            log.warning("a picture can't be delivered", job=self._job.id, reason=outcome.value)
            text = texts.too_large() if outcome is Rejection.TOO_LARGE else texts.kept()
            await self._hand_over(Payload(text))
        return outcome

    def _payload(self, ending: Ending) -> Payload:
        if isinstance(ending, Result):
            return Payload(
                texts.caption(ending, self._job.recipe),
                ending.picture,
                f"painting-{self._job.id}.{ending.format}",
                self._job.description,
            )
        return Payload(texts.error_message(ending))

    async def _hand_over(self, payload: Payload) -> DeliveredBy | Rejection:
        outcome: DeliveredBy | Rejection = await self._edit_for_good(payload)
        if outcome is Rejection.CLOSED and self._perhaps_edited:
            shown = await self._channels.shown(payload)
            if shown is not False:
                self._perhaps_shown = True
                return "token" if shown else outcome
        reply_unfinished = outcome is Rejection.CLOSED and payload.picture is not None
        if outcome is Rejection.CLOSED:
            self._perhaps_sent = True
            self._check_care()
            text = texts.sent(payload.text, self._job, named=True)
            outcome = await self._channels.post(replace(payload, text=text))
        if outcome in {Rejection.CLOSED, Rejection.GONE}:
            self._perhaps_sent = True
            self._check_care()
            text = texts.sent(payload.text, self._job, named=False)
            outcome = await self._channels.direct(replace(payload, text=text))
        if reply_unfinished and not isinstance(outcome, Rejection):
            with contextlib.suppress(DeliveryDelayed):
                await self._channels.edit(Payload(texts.delivered_elsewhere(outcome)))
        return outcome

    async def _edit_for_good(self, payload: Payload) -> DeliveredBy | Rejection:
        began = time.monotonic()
        try:
            outcome = await self._channels.edit(payload)
        except DeliveryDelayed:
            self._perhaps_edited = True
            raise
        if time.monotonic() - began > REPEATED_AFTER:
            self._perhaps_edited = True
        return outcome

    def _check_care(self) -> None:
        if not self._may_edit():
            raise DeliveryDelayed("another process may look after the job")

    def _show(self, edit: _Edit) -> None:
        if self._stopped:
            return
        if self._pending is not None:
            metrics.EDITS.labels("skipped").inc()
        self._pending = edit
        if self._editing is None or self._editing.done():
            # What discord.py logs of an edit names the job, too.
            with structlog.contextvars.bound_contextvars(job=self._job.id):
                self._editing = asyncio.create_task(self._edit_in_turn())

    async def _edit_in_turn(self) -> None:
        while self._pending is not None:
            edit, self._pending = self._pending, None
            self._idle.clear()
            try:
                if self._may_edit():
                    await self._edit(edit)
            finally:
                self._idle.set()
            await asyncio.sleep(self._pause)

    async def _edit(self, edit: _Edit) -> None:
        preview: Payload | None = None
        if edit.preview is not None and edit.preview is not self._shown:
            preview = Payload(edit.text, edit.preview, "preview.jpg", self._job.description)
        try:
            async with asyncio.timeout(EDIT_WITHIN):
                refusal = await self._channels.show(edit.text, preview, self._view(self._job.id))
        except (DeliveryDelayed, TimeoutError) as error:
            # The next edit is a new chance, and the job doesn't depend on what is shown of it.
            metrics.EDITS.labels("failed").inc()
            log.warning("an edit did not arrive", job=self._job.id, reason=repr(error))
            return
        self._shown = edit.preview  # also after a refusal: Discord would refuse the same preview again
        if refusal is None:
            metrics.EDITS.labels("done").inc()
            self._pause = EDIT_EVERY
            return
        metrics.EDITS.labels("failed").inc()
        self._pause = min(2 * self._pause, REFUSED_EVERY)
        if refusal is Rejection.GONE:
            self._stopped = True
            self._pending = None
        log.info("an edit was refused", job=self._job.id, reason=refusal.value)
