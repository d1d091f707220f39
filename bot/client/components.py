"""The base classes of every persistent button and menu, and of every modal."""

import re
from typing import ClassVar, Self, TypeVar

import discord
from discord import ui

from bot import locales
from bot.client.client import Atelier
from bot.client.errors import answer_error, report_error, undelivered_is_logged
from bot.jobs.errors import Blocked, NotKept
from bot.locales import gettext

ItemT = TypeVar("ItemT", bound=ui.Item[ui.View])


class JobComponent(ui.DynamicItem[ItemT], template=r"(?!)"):  # matches nothing: each subclass has its own template
    """A component that acknowledges an interaction, acts, and answers the member who pressed or chose.

    It works after a restart of the bot, because its custom id holds everything that it needs. A subclass gives a
    ``template`` for the custom id, and implements ``from_custom_id`` and :meth:`act`.
    """

    thinking: ClassVar[bool] = False
    """Show "thinking …" to the member until the answer is there. For acts that take seconds."""

    def defers(self, interaction: discord.Interaction[Atelier]) -> bool:
        """Whether the interaction is acknowledged before :meth:`act`. If not, :meth:`act` must do so within 3 s."""
        return True

    async def callback(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Called by discord.py for each press or choice. The answer is in the member's language."""
        locales.choose(interaction.locale.value)
        with undelivered_is_logged(interaction):
            deferred = self.defers(interaction)
            if deferred:
                await interaction.response.defer(ephemeral=True, thinking=self.thinking)
            failure: Exception | None = None
            try:
                check_not_blocked(interaction)
                text = await self.act(interaction)
            except Exception as error:
                if not deferred:
                    await answer_error(interaction, error)
                    return
                failure, text = error, report_error(interaction, error)
            if text is None:
                return
            if not interaction.response.is_done():
                await interaction.response.send_message(text, ephemeral=True)
            elif self.thinking:
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
        """Called after the member got the answer about ``failure``, which :meth:`act` raised."""


class JobButton(JobComponent[ui.Button[ui.View]], template=r"(?!)"):
    """A button about one job. A subclass names its ``action``: the custom id is ``action:job``."""

    action: ClassVar[str]
    label: ClassVar[str]
    """In English, marked by :func:`bot.locales.N_`. Up to 80 characters in each language."""
    style: ClassVar[discord.ButtonStyle] = discord.ButtonStyle.secondary

    def __init_subclass__(cls, *, action: str) -> None:
        super().__init_subclass__(template=rf"{action}:(?P<job>[0-9a-f]{{16}})")
        cls.action = action

    def __init__(self, job: str, label: str | None = None) -> None:
        """``label`` replaces that of the class, and is translated."""
        label = label or gettext(self.label)
        super().__init__(ui.Button(label=label, style=self.style, custom_id=f"{self.action}:{job}"))
        self.job = job

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: ui.Item[ui.View], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py for each press."""
        return cls(match["job"])


def check_not_blocked(interaction: discord.Interaction[Atelier]) -> None:
    """Raise ``Blocked`` if the operators blocked the member."""
    if interaction.client.services.jobs.is_blocked(interaction.user.id):
        raise Blocked


class JobModal(ui.Modal):
    """A modal whose errors the member reads. A subclass implements ``on_submit``.

    It lives in the memory of the process that opened it: a restart of the bot loses it, and then the member reads so.
    """

    async def interaction_check(self, interaction: discord.Interaction[Atelier], /) -> bool:  # type: ignore[override]
        """Called by discord.py before ``on_submit``. What follows is in the member's language."""
        locales.choose(interaction.locale.value)
        check_not_blocked(interaction)
        return True

    async def on_error(self, interaction: discord.Interaction[Atelier], error: Exception, /) -> None:  # type: ignore[override]
        """Called by discord.py when ``on_submit`` raised."""
        await answer_error(interaction, error)


class PersistentModal(JobModal):
    """A modal about one job, opened under its message. It works after a restart, and in every process.

    A subclass has an ``action`` and a constructor that takes the job's id alone: the custom id is ``action:job``. The
    feature's ``setup`` adds the constructor to ``client.modals[action]``. A modal that is made from a custom id has
    fields without their choices, because Discord sends only what the member chose.
    """

    action: ClassVar[str]

    def __init__(self, title: str, job: str) -> None:
        """``title`` is translated here."""
        super().__init__(title=gettext(title), custom_id=f"{self.action}:{job}")
        self.job = job
        self.stop()  # discord.py would keep it in memory

    async def interaction_check(self, interaction: discord.Interaction[Atelier], /) -> bool:  # type: ignore[override]
        """Check that the message has components of the job: a custom id can be forged."""
        rows = interaction.message.components if interaction.message is not None else []
        items = [item for row in rows if isinstance(row, discord.ActionRow) for item in row.children]
        if not any((item.custom_id or "").endswith(f":{self.job}") for item in items):
            raise NotKept
        return await super().interaction_check(interaction)
