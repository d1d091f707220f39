"""What members can do: one package for each feature, whose ``setup`` adds its commands and components to the client."""

from types import ModuleType
from typing import Final

from bot.client.client import Atelier
from bot.features import admin, guild_settings, history, message_menus, my_data, my_jobs, results, styles, stylize

FEATURES: Final[tuple[ModuleType, ...]] = (
    stylize,
    results,
    history,
    my_jobs,
    styles,
    my_data,
    message_menus,
    guild_settings,
    admin,
)


def load(client: Atelier) -> None:
    """Add every feature to a client."""
    for feature in FEATURES:
        feature.setup(client)
