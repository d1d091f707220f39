"""``/style``: a member's saved styles and the server's."""

from bot.client.client import Atelier
from bot.features.styles.command import style
from bot.features.styles.pages import PageButton


def setup(client: Atelier) -> None:
    """Add the command and its components."""
    client.tree.add_command(style)
    client.add_dynamic_items(PageButton)
