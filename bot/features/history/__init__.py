"""What members look at later: a painting beside its photo, how it was painted, and its recipe."""

from bot.client.actions import ResultAction
from bot.client.client import Atelier
from bot.features.history import texts
from bot.features.history.compare import GifButton, compare, timelapse
from bot.features.history.recipe import recipe, show_of_result
from bot.jobs.model import Job


def setup(client: Atelier) -> None:
    """Add the command, the entries of the menu under a result, and the button under a timelapse."""
    client.tree.add_command(recipe)
    client.add_dynamic_items(GifButton)
    client.result_actions["compare"] = ResultAction(texts.COMPARE, compare, offered=_is_still)
    client.result_actions["timelapse"] = ResultAction(texts.TIMELAPSE, timelapse, offered=_is_still)
    client.result_actions["recipe"] = ResultAction(texts.RECIPE, show_of_result)


def _is_still(job: Job) -> bool:
    return job.painted_recipe.frames == 1
