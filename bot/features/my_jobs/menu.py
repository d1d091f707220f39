"""What stands under the list of a member's jobs: a menu that shows a painting again, and buttons that cancel.

They outlive restarts: what they need is in what Discord sends with a choice.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Self

import discord
import structlog
from discord import ui

from bot import texts
from bot.client.errors import UNDELIVERED, is_for_another_process, report_error
from bot.delivery.channels import Payload, Rejection, asked, sent_within_limits
from bot.features.my_jobs.cancel import CancelButton
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import Job, State

if TYPE_CHECKING:
    from bot.client.client import Atelier

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

MENU: Final = "jobs:show"
OPTIONS: Final = 25
BUTTONS: Final = 20
"""Four rows of five, under the menu."""


class ShowMenu(ui.DynamicItem[ui.Select[ui.View]], template=MENU):
    """Shows a painting again, to its owner alone."""

    def __init__(self, options: Sequence[discord.SelectOption] = ()) -> None:
        super().__init__(ui.Select(custom_id=MENU, placeholder="Show a painting again …", options=list(options)))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for a choice."""
        return cls()

    async def callback(self, interaction: "discord.Interaction[Atelier]") -> None:  # type: ignore[override]
        """Acknowledge at once, fetch the painting, and show it to the one who chose."""
        try:
            await interaction.response.defer(ephemeral=True, thinking=True)
            if (text := await _show(interaction, self.item.values[0])) is not None:
                await interaction.edit_original_response(content=text, attachments=[])
        except UNDELIVERED as failure:
            if not is_for_another_process(interaction, failure):
                log.warning("a painting could not be shown again", reason=str(failure))


async def _show(interaction: "discord.Interaction[Atelier]", job_id: str) -> str | None:
    """Show the painting; where that fails, the words to show instead."""
    try:
        payload = await _payload(interaction, job_id)
        outcome = await sent_within_limits(partial(_send, interaction), payload)
    except DeliveryDelayed:
        return texts.not_shown()
    except Exception as error:
        return report_error(interaction, error)
    if outcome is Rejection.TOO_LARGE:
        return texts.too_large_here(payload.size)
    return texts.not_shown() if isinstance(outcome, Rejection) else None


async def _payload(interaction: "discord.Interaction[Atelier]", job_id: str) -> Payload:
    """Words and painting for the owner; raises what :meth:`bot.jobs.service.JobService.picture` raises."""
    job, picture = await interaction.client.jobs.picture(job_id, interaction.user.id)
    kind = "png" if job.painted is None else job.painted.format
    text = texts.titled(job.description)
    if job.painted is not None:
        text = texts.caption(job.painted.result(job.recipe, picture), job.recipe)
    return Payload(text, picture, f"painting-{job.id}.{kind}", job.description)


async def _send(
    interaction: "discord.Interaction[Atelier]", payload: Payload
) -> discord.InteractionMessage | Rejection:
    if payload.size > interaction.filesize_limit:
        return Rejection.TOO_LARGE
    return await asked(interaction.edit_original_response(content=payload.text, attachments=payload.files()))


def jobs_view(jobs: Sequence[Job]) -> ui.View | None:
    """What can be done with these jobs, numbered from 1 as in their list; None where nothing can."""
    view = ui.View(timeout=None)
    options = [
        discord.SelectOption(label=texts.option(number, job), value=job.id)
        for number, job in enumerate(jobs, 1)
        if job.painted is not None
    ]
    if options:
        view.add_item(ShowMenu(options[:OPTIONS]))
    open_jobs = [(number, job) for number, job in enumerate(jobs, 1) if job.state in {State.QUEUED, State.RUNNING}]
    for number, job in open_jobs[:BUTTONS]:
        view.add_item(CancelButton(job.id, f"Cancel {number}"))
    return view if view.children else None
