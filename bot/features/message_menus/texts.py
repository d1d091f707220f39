"""What a member reads in the modals of a message's menu. Discord shows no Markdown there.

The constants are translated where they are shown.
"""

from typing import Final

from bot.locales import N_
from bot.locales import gettext as _

STYLIZE: Final = N_("Stylize")
USE_AS_STYLE: Final = N_("Use as style")
SAVE_AS_STYLE: Final = N_("Save as style")
"""Names of commands, and titles of their modals: up to 32 characters."""

PHOTO: Final = N_("Photo")
PHOTO_CHOICE: Final = N_("Which picture to paint")
PHOTO_UPLOAD: Final = N_("The photo to paint in this style")
STYLE_CHOICE: Final = N_("Which picture has the style")
QUALITY: Final = N_("Quality")
QUALITY_HINT: Final = N_("Size and quality; a better one takes longer")
NAME: Final = N_("Name")
NAME_HINT: Final = N_("You will find the style under this name in /stylize")
LIBRARY: Final = N_("Who can use it")
ONLY_YOU: Final = N_("Only you")
EVERYBODY_HERE: Final = N_("Everybody in this server")


def no_picture() -> str:
    """The message of the menu has no picture."""
    return _("This message has no picture that I can use. Choose one with an attached picture.")
