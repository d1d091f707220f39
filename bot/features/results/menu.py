"""The menu under a result. Features add its entries: see :class:`bot.client.actions.ResultAction`."""

import re
from collections.abc import Sequence
from typing import ClassVar, Self

import discord
from discord import ui

from bot.client.actions import ResultAction
from bot.client.client import Atelier
from bot.client.components import JobComponent
from bot.features.results import texts
from bot.jobs.model import Job
from bot.limits import MENU_OPTIONS
from bot.locales import gettext


class ResultMenu(JobComponent[ui.Select[ui.View]], template=r"menu:(?P<job>[0-9a-f]{16})"):
    """Everybody who sees the result may choose: discord.py checks that the message has the menu."""

    thinking: ClassVar[bool] = True

    def __init__(self, job: str, options: Sequence[discord.SelectOption] = ()) -> None:
        super().__init__(ui.Select(custom_id=f"menu:{job}", placeholder=gettext(texts.MORE), options=list(options)))
        self.job = job

    @classmethod
    def of(cls, client: Atelier, job: Job) -> Self | None:
        """The menu of a job. None if nothing is offered."""
        offered = {name: action for name, action in client.result_actions.items() if action.offered(job)}
        options = [discord.SelectOption(label=gettext(action.label), value=name) for name, action in offered.items()]
        return cls(job.id, options[:MENU_OPTIONS]) if options else None

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each choice."""
        return cls(match["job"])

    def defers(self, interaction: discord.Interaction[Atelier]) -> bool:
        """Whether "thinking …" is shown to the member alone."""
        chosen = self._chosen(interaction)
        return chosen is None or chosen.defers

    async def act(self, interaction: discord.Interaction[Atelier]) -> str | None:
        """Do what was chosen."""
        if (chosen := self._chosen(interaction)) is None:
            return texts.unknown_entry()
        return await chosen.act(interaction, self.job)

    def _chosen(self, interaction: discord.Interaction[Atelier]) -> ResultAction | None:
        """The chosen entry. None if it is one of another version of the bot."""
        return interaction.client.result_actions.get(self.item.values[0])
