"""What a member reads in the modals of a message's menu. Discord shows no Markdown there."""

from typing import Final

STYLIZE: Final = "Stylize"
USE_AS_STYLE: Final = "Use as style"
SAVE_AS_STYLE: Final = "Save as style"
"""Names of commands, and titles of their modals: up to 32 characters."""

PHOTO: Final = "Photo"
PHOTO_CHOICE: Final = "Which picture to paint"
PHOTO_UPLOAD: Final = "The photo to paint in this style"
STYLE_CHOICE: Final = "Which picture has the style"
QUALITY: Final = "Quality"
QUALITY_HINT: Final = "Size and quality; a better one takes longer"
NAME: Final = "Name"
NAME_HINT: Final = "You will find the style under this name in /stylize"
LIBRARY: Final = "Who can use it"
ONLY_YOU: Final = "Only you"
EVERYBODY_HERE: Final = "Everybody in this server"


def no_picture() -> str:
    """The message of the menu has no picture."""
    return "This message has no picture that I can use. Choose one with an attached picture."
