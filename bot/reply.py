"""The one place that edits messages: pacing, delivery past the token's life, alt text.

Discord's documentation: "Receiving and Responding to Interactions", "Followup Messages".
"""

import asyncio
import io
import time
from dataclasses import dataclass
from typing import Final

import aiohttp
import discord
import structlog
from pydantic import BaseModel, ConfigDict, Field

from bot import words
from bot.jobs.job import Job
from bot.views.cancel import cancel_view
from engine.errors import AtelierError
from engine.progress import Progress, Result

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

EDIT_EVERY: Final = 2.0
"""Seconds between edits: Discord grants 5 in 5 s for each interaction, and the final picture must not wait."""
TOKEN_LIFE: Final = 15 * 60.0
"""Seconds that an interaction's token lives."""
TOKEN_MARGIN: Final = 10.0
TOKEN_DEAD: Final = {50027, 10015}
"""Discord's codes for an interaction's token that it no longer takes, whatever our clock says."""
UNDELIVERED: Final = (discord.HTTPException, aiohttp.ClientError, OSError)
"""What discord.py lets through when an edit does not arrive; ``TimeoutError`` is an ``OSError``."""


class Address(BaseModel):
    """Where a job's reply is. Holds the interaction's token, so it is a secret until the job has ended."""

    model_config = ConfigDict(frozen=True)

    application: int
    token: str = Field(repr=False)
    channel: int
    message: int
    created_at: float
    """Unix time of the interaction."""

    def token_lives(self) -> bool:
        """Whether the interaction's token can still be used."""
        return time.time() < self.created_at + TOKEN_LIFE - TOKEN_MARGIN


@dataclass(frozen=True, slots=True)
class _Edit:
    text: str
    preview: bytes | None


class DiscordReply:
    """One reply to one interaction: implements :class:`bot.jobs.job.Reply`.

    Edits are latest-wins: while one is on its way, or the last was under :data:`EDIT_EVERY` ago, newer ones replace
    each other. The end of the job drops whatever edit is in flight.
    """

    def __init__(self, client: discord.Client, job: Job) -> None:
        self._client = client
        self._job = job
        self._address = Address.model_validate_json(job.address)
        self._webhook = discord.Webhook.partial(self._address.application, self._address.token, client=client)
        self._preview: bytes | None = None
        self._pending: _Edit | None = None
        self._wake = asyncio.Event()
        self._editing = asyncio.create_task(self._edit_in_turn())

    def queued(self, place: int) -> None:
        """Show the place in the queue."""
        self._show(_Edit(words.queued(place), None))

    def progressed(self, progress: Progress) -> None:
        """Show how far the painting is, with the newest preview."""
        self._preview = progress.preview or self._preview
        self._show(_Edit(words.painting(progress), self._preview))

    async def finished(self, result: Result) -> None:
        """Replace the preview by the picture; raises one of :data:`UNDELIVERED`."""
        await self.close()
        file = discord.File(
            io.BytesIO(result.picture), f"painting.{result.format}", description=self._job.description[:1024]
        )
        await self._edit(words.caption(result), [file], None)

    async def failed(self, error: AtelierError) -> None:
        """Take the reply away and tell the owner alone; past the token's life, say it in the reply."""
        await self.close()
        text = words.explain(error)
        try:
            if self._address.token_lives():
                await self._webhook.delete_message(self._address.message)
                await self._webhook.send(text, ephemeral=True)
            else:
                await self._edit(text, [], None)
        except UNDELIVERED as failure:
            log.warning("a failure could not be told", job=self._job.id, error=repr(error), reason=repr(failure))

    async def cancelled(self) -> None:
        """Take the reply away: whoever cancelled is answered where they did."""
        await self.close()
        try:
            if self._address.token_lives():
                await self._webhook.delete_message(self._address.message)
            else:
                await self._by_bot().delete()
        except UNDELIVERED as failure:
            log.warning("a cancelled reply could not be taken away", job=self._job.id, reason=repr(failure))

    async def close(self) -> None:
        """Stop editing and drop an edit in flight."""
        self._editing.cancel()
        await asyncio.gather(self._editing, return_exceptions=True)

    def _show(self, edit: _Edit) -> None:
        self._pending = edit
        self._wake.set()

    async def _edit_in_turn(self) -> None:
        shown: bytes | None = None
        while True:
            await self._wake.wait()
            self._wake.clear()
            edit, self._pending = self._pending, None
            if edit is None:
                continue
            files: list[discord.File] | None = None
            if edit.preview is not None and edit.preview is not shown:
                files = [
                    discord.File(io.BytesIO(edit.preview), "preview.jpg", description=self._job.description[:1024])
                ]
            try:
                await self._edit(edit.text, files, cancel_view(self._job.id))
                shown = edit.preview
            except UNDELIVERED as failure:
                # The next edit is a new chance, and the job doesn't depend on what is shown of it.
                log.warning("an edit failed", job=self._job.id, reason=repr(failure))
            await asyncio.sleep(EDIT_EVERY)

    async def _edit(self, text: str, files: list[discord.File] | None, view: discord.ui.View | None) -> None:
        """Edit by the interaction's token while it lives, else as the bot; ``files`` None keeps what is attached."""
        attachments = discord.utils.MISSING if files is None else files
        if self._address.token_lives():
            try:
                await self._webhook.edit_message(
                    self._address.message, content=text, attachments=attachments, view=view
                )
            except discord.HTTPException as error:
                if error.code not in TOKEN_DEAD:
                    raise
            else:
                return
        for file in files or []:
            file.reset()
        await self._by_bot().edit(content=text, attachments=attachments, view=view)

    def _by_bot(self) -> discord.PartialMessage:
        """The reply as the bot itself can reach it: in servers where it is a member, without any token."""
        return self._client.get_partial_messageable(self._address.channel).get_partial_message(self._address.message)
