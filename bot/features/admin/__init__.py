"""``/admin``: what the bot's operators see and decide, for all bot processes."""

from bot.client.client import Atelier
from bot.features.admin.command import admin


def setup(client: Atelier) -> None:
    """Add the commands, if the bot has operators."""
    if client.operators:
        client.tree.add_command(admin)
