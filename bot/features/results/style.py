"""Paints the photo of a result in another style, or takes the result as the photo."""

from collections.abc import Sequence

import discord

from bot import texts as all_texts
from bot.client.acknowledge import acknowledge
from bot.client.client import Atelier
from bot.client.components import JobButton, PersistentModal
from bot.client.file_types import send_modal
from bot.features.results import texts
from bot.features.results.again import photo_name, photo_of
from bot.features.styles.fields import StyleFields, offered_styles
from bot.features.styles.suggest import reader_of
from bot.features.stylize.order import PaintingRequest, StoredPicture, check_stated_sizes, mask_of, submit
from bot.jobs.errors import NoStyle, NotKept
from bot.jobs.model import Job
from bot.library.library import Style
from engine.recipe import Inputs, Recipe


class AnotherStyleButton(JobButton, action="style"):
    """Asks for a style picture. Everybody who sees the result may press it."""

    label = texts.ANOTHER_STYLE

    def defers(self, interaction: discord.Interaction[Atelier]) -> bool:
        """The answer is a modal."""
        return False

    async def act(self, interaction: discord.Interaction[Atelier]) -> None:
        """Open the modal."""
        await send_modal(interaction, AnotherStyleModal(self.job, await offered_styles(interaction)))


async def use_as_photo(interaction: discord.Interaction[Atelier], job_id: str) -> None:
    """Open the modal for a painting of the result itself."""
    await send_modal(interaction, AsPhotoModal(job_id, await offered_styles(interaction)))


class AnotherStyleModal(PersistentModal):
    """Asks for a style, and paints the result's photo with the result's options."""

    action = "restyled"
    title = texts.ANOTHER_STYLE_TITLE

    def __init__(self, job: str, styles: Sequence[Style] = ()) -> None:
        """``styles`` are offered."""
        super().__init__(self.title, job)
        self._style = StyleFields(self, styles)

    def content(self, parent: Job) -> StoredPicture:
        """What to paint."""
        return photo_of(parent)

    def recipe(self, parent: Job) -> Recipe:
        """How to paint it: one style has no others to mix with, and none for the rest."""
        return parent.painted_recipe.whole.model_copy(update={"style_shares": (), "rest": "photo"})

    async def on_submit(self, interaction: discord.Interaction[Atelier]) -> None:  # type: ignore[override]
        """Place the order."""
        if (chosen := self._style.chosen()) is None:
            raise NoStyle
        message = await acknowledge(interaction)
        style = await _found(interaction, chosen)
        parent = await interaction.client.services.jobs.get(self.job)
        content = self.content(parent)
        check_stated_sizes(interaction, Inputs(content, (style,)))
        recipe = self.recipe(parent)
        await submit(
            interaction,
            message,
            PaintingRequest(
                Inputs(content, (style,), mask_of(parent) if recipe.where in {"mask", "not-mask"} else None),
                lambda *_: recipe,
                all_texts.names_of_files(content.filename, style.filename),
                parent.id,
                f"{self.action} {style.id}",
            ),
        )


class AsPhotoModal(AnotherStyleModal):
    """Asks for a style, and paints the result itself."""

    action = "reused"
    title = texts.AS_PHOTO_TITLE

    def content(self, parent: Job) -> StoredPicture:
        """What to paint.

        Raises:
            NotKept: the job has no result.
        """
        if parent.painted is None:
            raise NotKept
        return StoredPicture(parent.painted.picture, photo_name(parent), parent.spoiler)

    def recipe(self, parent: Job) -> Recipe:
        """How to paint it: all of it, as it has no unpainted part any more."""
        return super().recipe(parent).model_copy(update={"where": "everything", "spread": 0.0})


async def _found(
    interaction: discord.Interaction[Atelier], chosen: discord.Attachment | str
) -> discord.Attachment | Style:
    if isinstance(chosen, str):
        return await interaction.client.services.styles.find(chosen, reader_of(interaction))
    return chosen
