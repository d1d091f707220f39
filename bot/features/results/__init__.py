"""The components under a job's reply: what to do with a result, and with a painting that is not finished yet."""

from functools import partial

from bot.client.actions import ResultAction
from bot.client.client import Atelier
from bot.features.results import texts
from bot.features.results.again import ENTRIES, PaintAgainButton, paint_again
from bot.features.results.cancel import CancelButton
from bot.features.results.delete import DeleteButton
from bot.features.results.menu import ResultMenu
from bot.features.results.part import PartButton
from bot.features.results.progress import FinishButton, PingButton
from bot.features.results.style import AnotherStyleButton, AnotherStyleModal, AsPhotoModal, use_as_photo
from bot.features.results.tweak import TweakButton, TweakModal


def setup(client: Atelier) -> None:
    """Add the components, and the first entries of the menu."""
    client.add_dynamic_items(
        PaintAgainButton,
        TweakButton,
        AnotherStyleButton,
        DeleteButton,
        ResultMenu,
        CancelButton,
        FinishButton,
        PingButton,
        PartButton,
    )
    for modal in (TweakModal, AnotherStyleModal, AsPhotoModal):
        client.modals[modal.action] = modal
    for name, (label, change, offered) in ENTRIES.items():
        paint = partial(paint_again, name, change)
        client.result_actions[name] = ResultAction(label, paint, defers=False, offered=offered)
    client.result_actions["photo"] = ResultAction(texts.AS_PHOTO, use_as_photo, defers=False)
