"""The texts of ``/settings``."""

from typing import Final

TITLE: Final = "### Settings of this server\nEach choice applies at once. Only you see this panel."
CHANNELS: Final = "**Channels** in which members can order pictures, with their threads"
ALL_CHANNELS: Final = "All channels"
ROLES: Final = "**Roles** whose members can order pictures"
ALL_ROLES: Final = "All members"
MAX_OPEN: Final = "**Pictures at a time** of one member"
MAX_PER_DAY: Final = "**Pictures in 24 hours** of one member"
MAX_SIZE: Final = "**Largest size** of the longer side"
QUALITY: Final = "**Quality** for members who choose none"
STRENGTH: Final = "**Strength of the style** for members who choose none"
STYLE: Final = "**Style** for members who give none"
STYLE_OF_MANY: Final = f"{STYLE}. To choose one that is not in this menu, use `/settings style`"
NO_STYLE: Final = "No style: members have to give one"
SPOILER: Final = "**Spoilers**"
ANY_SIZE: Final = "As large as the quality says"
NO_LIMIT: Final = "No limit"
SOME_SPOILERS: Final = "Only paintings of spoilers are spoilers"
ALL_SPOILERS: Final = "All paintings are spoilers"


def the_bots_limit(limit: int) -> str:
    """The choice that sets no limit of the server's own."""
    return f"The bot's limit: {limit}"


def the_bots_default(value: object) -> str:
    """The choice that sets no default of the server's own."""
    return f"The bot's default: {value}"


def pixels(size: int) -> str:
    """A size."""
    return f"{size:,} px"
