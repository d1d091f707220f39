"""The texts of ``/settings``. The constants are translated where they are shown."""

from collections.abc import Mapping
from typing import Final

from bot.locales import N_
from bot.locales import gettext as _

TITLE: Final = N_("### Settings of this server\nEach choice applies at once. Only you see this panel.")
CHANNELS: Final = N_("**Channels** in which members can order pictures, with their threads")
ALL_CHANNELS: Final = N_("All channels")
ROLES: Final = N_("**Roles** whose members can order pictures")
ALL_ROLES: Final = N_("All members")
MAX_OPEN: Final = N_("**Pictures at a time** of one member")
MAX_PER_DAY: Final = N_("**Pictures in 24 hours** of one member")
MAX_SIZE: Final = N_("**Largest size** of the longer side")
QUALITY: Final = N_("**Quality** for members who choose none")
STRENGTH: Final = N_("**Strength of the style** for members who choose none")
STYLE: Final = N_("**Style** for members who give none")
STYLE_OF_MANY: Final = N_(
    "**Style** for members who give none. To choose one that is not in this menu, use `/settings style`"
)
NO_STYLE: Final = N_("No style: members have to give one")
LOCALE: Final = N_("**Language** of pictures in progress and finished pictures")
EACH_LOCALE: Final = N_("That of the member who asks")
SPOILER: Final = N_("**Spoilers**")
ANY_SIZE: Final = N_("As large as the quality says")
NO_LIMIT: Final = N_("No limit")
SOME_SPOILERS: Final = N_("Only paintings made from spoilers")
ALL_SPOILERS: Final = N_("All paintings")

LOCALES: Final[Mapping[str, str]] = {
    "en-US": "English",
    "de": "Deutsch",
    "fr": "Français",
    "es-ES": "Español (España)",
    "es-419": "Español (Latinoamérica)",
    "pt-BR": "Português do Brasil",
    "ja": "日本語",
    "ar": "العربية",
}
"""The names of languages, each in that language."""


def the_bots_limit(limit: int) -> str:
    """The choice that sets no limit of the server's own."""
    return _("The bot's limit: {limit}", limit=limit)


def the_bots_default(value: str | int) -> str:
    """The choice that sets no default of the server's own."""
    return _("The bot's default: {value}", value=value)


def pixels(size: int) -> str:
    """A size."""
    return _("{size} px", size=size)
