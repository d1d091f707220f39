"""``/settings``: what the members of a server may do, decided by those who can manage it."""

from bot.client.client import Atelier
from bot.features.guild_settings.command import settings
from bot.features.guild_settings.panel import RuleMenu


def setup(client: Atelier) -> None:
    """Add the command and the menus of its panel."""
    client.tree.add_command(settings)
    client.add_dynamic_items(RuleMenu)
