"""``/mydata``: a member's copy of everything that is stored about them, and its removal."""

from bot.client.client import Atelier
from bot.features.my_data.command import my_data
from bot.features.my_data.delete import DeleteEverythingButton


def setup(client: Atelier) -> None:
    """Add the commands and the button."""
    client.tree.add_command(my_data)
    client.add_dynamic_items(DeleteEverythingButton)
