"""``/stylize``: paints a photo in the style of one to three pictures."""

from bot.client.client import Atelier
from bot.features.stylize.command import stylize


def setup(client: Atelier) -> None:
    """Add the command."""
    client.tree.add_command(stylize)
