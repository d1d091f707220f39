"""Commands in the menu of a message with a picture: Stylize, Use as style, Save as style."""

from bot.client.actions import ResultAction
from bot.client.client import Atelier
from bot.features.message_menus import texts
from bot.features.message_menus.commands import save_as_style, save_result, stylize, use_as_style


def setup(client: Atelier) -> None:
    """Add the commands, and an entry of the menu under a result."""
    for command in (stylize, use_as_style, save_as_style):
        client.tree.add_command(command)
    client.result_actions["save-style"] = ResultAction(texts.SAVE_AS_STYLE, save_result, defers=False)
