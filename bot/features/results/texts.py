"""The texts of the components under replies."""

from collections.abc import Mapping
from typing import Final

from bot.texts import Stroke

# --- Under a painting that is not finished ----------------------------------------------------------------------------

CANCEL: Final = "Cancel"
GOOD_ENOUGH: Final = "Good enough"
PING: Final = "Ping me when done"


def finishing() -> str:
    """After *Good enough*."""
    return "I'll finish it with the picture as it is now."


def pings(pings: bool) -> str:
    """After *Ping me when done*."""
    return "I'll mention you when it is done." if pings else "I won't mention you."


# --- Under a result ---------------------------------------------------------------------------------------------------

FINISH_IT: Final = "Finish it"
MORE_STYLE: Final = "More style"
LESS_STYLE: Final = "Less style"
AGAIN: Final = "Again"
BIGGER: Final = "Bigger"
TWEAK: Final = "Tweak …"
ANOTHER_STYLE: Final = "Another style …"
DELETE: Final = "Delete"
MORE: Final = "More …"
FINER: Final = "Finer strokes"
BROADER: Final = "Broader strokes"
KEEP_COLOURS: Final = "Keep the photo's colours"
AS_PHOTO: Final = "Use as photo …"


def deleted() -> str:
    """After *Delete*."""
    return "Deleted."


def message_stays() -> str:
    """After *Delete*, where Discord keeps the message."""
    return "I deleted my files of this picture, but Discord didn't let me remove the message."


def posted_stays() -> str:
    """After *Delete* in an answer of ``/jobs``, where the bot can't remove the message that shows the picture."""
    return "I deleted my files of this picture. I can't remove its message from here: press *Delete* there."


def unknown_entry() -> str:
    """For an entry of the menu that this version of the bot doesn't have."""
    return "I can't do that any more."


# --- Modals -----------------------------------------------------------------------------------------------------------

ANOTHER_STYLE_TITLE: Final = "Paint this photo in another style"
AS_PHOTO_TITLE: Final = "Paint this picture in another style"
TWEAK_TITLE: Final = "Paint it again with other options"
STRENGTH: Final = "Strength"
STRENGTH_HINT: Final = "How much style, from 0 (the photo stays as it is) to 100 (nearly all style)"
DETAIL: Final = "Detail"
DETAIL_HINT: Final = "How closely edges and shapes follow the photo, from 0 to 100"
STROKE: Final = "Size of the strokes"
COLOURS: Final = "Colours"
QUALITY: Final = "Quality"
STROKE_NAMES: Final[Mapping[Stroke, str]] = {"fine": "fine", "medium": "medium", "broad": "broad"}
QUALITIES: Final[Mapping[str, str]] = {
    "same": "as it is",
    "instant": "instant",
    "quick": "quick",
    "standard": "standard",
    "fine": "fine",
}
