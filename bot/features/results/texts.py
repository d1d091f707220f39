"""The texts of the components under replies. The constants are translated where they are shown."""

from typing import Final

from bot.locales import N_
from bot.locales import gettext as _

# --- Under a painting that is not finished ----------------------------------------------------------------------------

CANCEL: Final = N_("Cancel")
GOOD_ENOUGH: Final = N_("Good enough")
PING: Final = N_("Ping me when done")


def finishing(*, clip: bool) -> str:
    """After *Good enough*."""
    if clip:
        return _("I'll paint the frames that are left with fewer steps.")
    return _("I'll finish it with the picture as it is now.")


def pings(pings: bool) -> str:
    """After *Ping me when done*."""
    return _("I'll mention you when it is done.") if pings else _("I won't mention you.")


SWAP: Final = N_("Swap the parts")
WIDER: Final = N_("Wider")
TIGHTER: Final = N_("Tighter")


def begins_again() -> str:
    """After a change of the part that is painted."""
    return _("I'll paint it again with the new part.")


# --- Under a result ---------------------------------------------------------------------------------------------------

FINISH_IT: Final = N_("Finish it")
MORE_STYLE: Final = N_("More style")
LESS_STYLE: Final = N_("Less style")
AGAIN: Final = N_("Again")
BIGGER: Final = N_("Bigger")
TWEAK: Final = N_("Tweak …")
ANOTHER_STYLE: Final = N_("Another style …")
DELETE: Final = N_("Delete")
MORE: Final = N_("More …")
FINER: Final = N_("Finer strokes")
BROADER: Final = N_("Broader strokes")
KEEP_COLOURS: Final = N_("Keep the photo's colours")
AS_PHOTO: Final = N_("Use as photo …")


def deleted() -> str:
    """After *Delete*."""
    return _("Deleted.")


def message_stays() -> str:
    """After *Delete*, where Discord keeps the message."""
    return _("I deleted my files of this picture, but Discord didn't let me remove the message.")


def posted_stays() -> str:
    """After *Delete* in an answer of ``/jobs``, where the bot can't remove the message that shows the picture."""
    return _("I deleted my files of this picture. I can't remove its message from here: press *Delete* there.")


def unknown_entry() -> str:
    """For an entry of the menu that this version of the bot doesn't have."""
    return _("I can't do that any more.")


# --- Modals -----------------------------------------------------------------------------------------------------------

ANOTHER_STYLE_TITLE: Final = N_("Paint this photo in another style")
AS_PHOTO_TITLE: Final = N_("Paint this picture in another style")
TWEAK_TITLE: Final = N_("Paint it again with other options")
STRENGTH: Final = N_("Strength")
STRENGTH_HINT: Final = N_("How much style, from 0 (the photo stays as it is) to 100 (nearly all style)")
DETAIL: Final = N_("Detail")
DETAIL_HINT: Final = N_("How closely edges and shapes follow the photo, from 0 to 100")
STROKE: Final = N_("Size of the strokes")
COLOURS: Final = N_("Colours")
QUALITY: Final = N_("Quality")
SAME_QUALITY: Final = N_("as it is")
