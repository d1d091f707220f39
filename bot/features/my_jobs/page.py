"""The pages of ``/jobs``: a member's jobs with thumbnails, newest first, and buttons to the pages beside them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Self, cast

import discord
from discord import ui

from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.delivery.channels import Picture
from bot.delivery.gallery import Entry, Page, show_page
from bot.features.my_jobs import texts
from bot.features.my_jobs.menu import ShowMenu
from bot.features.results.cancel import CancelButton
from bot.jobs.database.history import Position
from bot.jobs.errors import DeliveryDelayed
from bot.jobs.model import HistoryPage, Job, State
from bot.limits import MENU_OPTIONS, ROW_BUTTONS, ROWS
from bot.locales import gettext
from bot.texts import described

SHOWN: Final = 10
"""Jobs on a page. With a thumbnail for each, and their buttons, they have at most 40 components."""
Direction = Literal["newer", "older"]
_LABELS: Final[dict[Direction, str]] = {"newer": texts.NEWER, "older": texts.OLDER}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class PageButton(
    JobComponent[ui.Button[ui.View]],
    template=r"jobs:(?P<way>newer|older):(?P<moment>[0-9]{1,16}):(?P<job>[0-9a-f]{16})",
):
    """Shows the jobs beside a job of the page, in the message of the button.

    The custom id holds that job's position, so that the button works after the job is removed. A member who
    presses it sees their own jobs.
    """

    def __init__(self, direction: Direction, beside: Position, *, disabled: bool = False) -> None:
        moment = (beside.created_at - _EPOCH) // _MICROSECOND
        super().__init__(
            ui.Button(
                label=gettext(_LABELS[direction]),
                style=discord.ButtonStyle.secondary,
                custom_id=f"jobs:{direction}:{max(0, moment)}:{beside.job}",
                disabled=disabled,
            )
        )
        self.direction = direction
        self.beside = beside

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        position = Position(_EPOCH + int(match["moment"]) * _MICROSECOND, match["job"])
        return cls(cast(Direction, match["way"]), position)

    async def act(self, interaction: discord.Interaction[Atelier]) -> str | None:
        """Show the page."""
        history, member = interaction.client.services.history, interaction.user.id
        if self.direction == "newer":
            return await show_jobs(interaction, await history.page(member, SHOWN, newer_than=self.beside))
        return await show_jobs(interaction, await history.page(member, SHOWN, older_than=self.beside))


async def show_jobs(interaction: discord.Interaction[Atelier], page: HistoryPage) -> str | None:
    """Replace an acknowledged reply by a page. Returns a text for the member if Discord refuses it."""
    thumbnails = await interaction.client.services.history.thumbnails(page.jobs)
    entries = [
        Entry(text, _picture(job, thumbnails.get(job.id)))
        for job, text in zip(page.jobs, texts.listed(page), strict=True)
    ]
    try:
        rejection = await show_page(
            interaction, Page(texts.your_pictures(page.jobs), entries=entries, rows=lambda: _rows(page))
        )
    except DeliveryDelayed:
        return texts.not_listed()
    return texts.not_listed() if rejection else None


def _picture(job: Job, thumbnail: bytes | None) -> Picture | None:
    if thumbnail is None:
        return None
    return Picture(thumbnail, f"thumbnail-{job.id}.jpg", described(job.description), job.spoiler)


def _rows(page: HistoryPage) -> list[list[ui.Item[Any]]]:
    """A menu of the finished paintings, buttons that cancel the open jobs, and the buttons to the pages beside."""
    rows: list[list[ui.Item[Any]]] = []
    options = [
        discord.SelectOption(label=texts.option(number, job), value=job.id)
        for number, job in page.numbered
        if job.painted is not None
    ]
    if options:
        rows.append([ShowMenu(options[:MENU_OPTIONS])])
    cancels = [
        CancelButton(job.id, texts.cancel(number))
        for number, job in page.numbered
        if job.state in {State.QUEUED, State.RUNNING}
    ]
    turns: list[list[ui.Item[Any]]] = []
    if page.jobs and (page.newer or page.older):
        first, last = (Position(job.created_at, job.id) for job in (page.jobs[0], page.jobs[-1]))
        turns = [
            [PageButton("newer", first, disabled=not page.newer), PageButton("older", last, disabled=not page.older)]
        ]
    left = ROWS - len(rows) - len(turns)
    for start in range(0, len(cancels), ROW_BUTTONS)[:left]:
        rows.append([*cancels[start : start + ROW_BUTTONS]])
    return rows + turns
