"""Paints the photo of a result in another style, or takes the result as the photo."""

from collections.abc import Sequence

import discord

from bot import texts as all_texts
from bot.client.acknowledge import acknowledge
from bot.client.client import Atelier
from bot.client.components import JobButton, JobModal
from bot.client.file_types import send_modal
from bot.features.results import texts
from bot.features.results.again import photo_of
from bot.features.styles.fields import StyleFields, offered_styles
from bot.features.styles.suggest import reader_of
from bot.features.stylize.order import PaintingRequest, StoredPicture, check_stated_sizes, submit
from bot.jobs.errors import NoStyle, NotKept
from bot.jobs.model import Job
from bot.library.library import Style
from engine.recipe import Inputs


class AnotherStyleButton(JobButton, action="style"):
    """Asks for a style picture. Everybody who sees the result may press it."""

    label = texts.ANOTHER_STYLE

    def defers(self, interaction: discord.Interaction[Atelier]) -> bool:
        """The answer is a modal."""
        return False

    async def act(self, interaction: discord.Interaction[Atelier]) -> None:
        """Open the modal."""
        await send_modal(interaction, StyleModal(self.job, await offered_styles(interaction), as_photo=False))


async def use_as_photo(interaction: discord.Interaction[Atelier], job_id: str) -> None:
    """Open the modal for a painting of the result itself."""
    await send_modal(interaction, StyleModal(job_id, await offered_styles(interaction), as_photo=True))


class StyleModal(JobModal):
    """Asks for a style, and paints the result's photo, or the result itself, with the result's options."""

    def __init__(self, job: str, styles: Sequence[Style], *, as_photo: bool) -> None:
        super().__init__(title=texts.AS_PHOTO_TITLE if as_photo else texts.ANOTHER_STYLE_TITLE)
        self.job = job
        self._as_photo = as_photo
        self._style = StyleFields(self, styles)

    async def on_submit(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Place the order."""
        if (chosen := self._style.chosen()) is None:
            raise NoStyle
        message = await acknowledge(interaction)
        style = await _found(interaction, chosen)
        parent = await interaction.client.services.jobs.get(self.job)
        content = _result(parent) if self._as_photo else photo_of(parent)
        check_stated_sizes(interaction, content, style)
        recipe = parent.painted_recipe.whole.model_copy(update={"style_shares": ()})
        await submit(
            interaction,
            message,
            PaintingRequest(
                Inputs(content, (style,)),
                lambda _: recipe,
                all_texts.described(content.filename, style.filename),
                parent.id,
                f"{'photo' if self._as_photo else 'style'} {style.id}",
            ),
        )


async def _found(
    interaction: discord.Interaction[Atelier], chosen: discord.Attachment | str
) -> discord.Attachment | Style:
    if isinstance(chosen, str):
        return await interaction.client.services.styles.find(chosen, reader_of(interaction))
    return chosen


def _result(parent: Job) -> StoredPicture:
    if parent.painted is None:
        raise NotKept
    return StoredPicture(parent.painted.picture, all_texts.title_of(parent.description), parent.spoiler)
