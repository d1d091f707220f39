"""The base class of every persistent button and menu."""

from typing import ClassVar, TypeVar

import discord
from discord import ui

from bot.client.client import Atelier
from bot.client.errors import report_error, undelivered_is_logged

ItemT = TypeVar("ItemT", bound=ui.Item[ui.View])


class JobComponent(ui.DynamicItem[ItemT], template=r"(?!)"):  # matches nothing: each subclass has its own template
    """A component that acknowledges an interaction, acts, and answers the member who pressed or chose.

    It works after a restart of the bot, because its custom id holds everything that it needs. A subclass gives a
    ``template`` for the custom id, and implements ``from_custom_id`` and :meth:`act`.
    """

    thinking: ClassVar[bool] = False
    """Show "thinking …" to the member until the answer is there. For acts that take seconds."""

    async def callback(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Called by discord.py for each press or choice."""
        with undelivered_is_logged(interaction):
            await interaction.response.defer(ephemeral=True, thinking=self.thinking)
            failure: Exception | None = None
            try:
                text = await self.act(interaction)
            except Exception as error:
                failure, text = error, report_error(interaction, error)
            if text is None:
                return
            if self.thinking:
                await interaction.edit_original_response(content=text, attachments=[])
            else:
                await interaction.followup.send(text, ephemeral=True)
            if failure is not None:
                await self.after_failure(interaction, failure)

    async def act(self, interaction: discord.Interaction[Atelier]) -> str | None:
        """Do what the component is for. Return the answer for the member, or None if :meth:`act` has answered.

        The member also gets an answer for each exception that this raises.
        """
        raise NotImplementedError

    async def after_failure(self, interaction: discord.Interaction[Atelier], failure: Exception) -> None:
        """Called after the member was told that :meth:`act` raised ``failure``."""
