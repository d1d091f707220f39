"""The components under a job's reply: what to do with a result, and with a painting that is not finished yet."""

from bot.client.actions import ResultAction
from bot.client.client import Atelier
from bot.features.results import texts
from bot.features.results.menu import ResultMenu
from bot.features.results.recipe import show_recipe


def setup(client: Atelier) -> None:
    """Add the components, and the first entries of the menu."""
    client.add_dynamic_items(ResultMenu)
    client.result_actions["recipe"] = ResultAction(texts.RECIPE, show_recipe)
