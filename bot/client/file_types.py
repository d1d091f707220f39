"""Which files Discord lets a member pick: pictures, in options of commands and in fields of modals.

discord.py 2.7 has no parameter for ``file_types``, so this module adds the key to what discord.py sends. Where Discord
refuses it, everything works without it: the workers check each picture anyway.

Source: Discord's documentation, pages "Application Commands" and "Component Reference" (August 2026).
"""

from collections.abc import Mapping
from typing import Any, Final
from weakref import WeakSet

import discord
import structlog
from discord import ui

from bot.limits import INVALID_FORM

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

PICTURE_FILES: Final = ("image", ".bmp")
"""A group of Discord's, and an ending that is not in it: all formats that a worker decodes."""
_KEY: Final = "file_types"
_REFUSED: Final[WeakSet[discord.Client]] = WeakSet()
"""The clients whose modals Discord has refused. A process has one client."""


def with_file_types(command: Mapping[str, Any]) -> dict[str, Any]:
    """A command or an option as discord.py describes it, in which each attachment must be a picture."""
    described = dict(command)
    if "options" in described:
        described["options"] = [with_file_types(option) for option in described["options"]]
    if described["type"] == discord.AppCommandOptionType.attachment.value:
        described[_KEY] = list(PICTURE_FILES)
    return described


def is_refused(error: discord.HTTPException) -> bool:
    """Whether ``file_types`` may be why Discord refuses a request."""
    return error.status == 400 and error.code == INVALID_FORM


class PictureUpload(ui.FileUpload[Any]):
    """A field of a modal for pictures. The modal goes out by :func:`send_modal`."""

    filtered = True
    """Whether Discord lets the member pick pictures only."""

    def to_component_dict(self) -> Any:
        """Called by discord.py."""
        described = super().to_component_dict()
        return {**described, _KEY: list(PICTURE_FILES)} if self.filtered else described


async def send_modal(interaction: discord.Interaction[Any], modal: ui.Modal) -> None:
    """Answer an interaction with a modal. If Discord refuses its filter for pictures, the modal has none.

    Raises:
        discord.HTTPException: Discord refuses the modal.
    """
    uploads = [item for item in modal.walk_children() if isinstance(item, PictureUpload)]
    if interaction.client in _REFUSED:
        for upload in uploads:
            upload.filtered = False
    try:
        await interaction.response.send_modal(modal)
    except discord.HTTPException as error:
        if not is_refused(error) or not any(upload.filtered for upload in uploads):
            raise
        for upload in uploads:
            upload.filtered = False
        await interaction.response.send_modal(modal)
        log.warning("Discord refuses file_types in modals, so members can pick any file from now on", reason=error.text)
        _REFUSED.add(interaction.client)
