"""The texts of the components under replies."""

from typing import Final

from engine.recipe import Recipe

MORE: Final = "More …"
RECIPE: Final = "Show the recipe"


def recipe(recipe: Recipe) -> str:
    """A recipe, as JSON that ``atelier stylize --recipe`` reads."""
    return f"Recipe `{recipe.id}`\n```json\n{recipe.model_dump_json(indent=1, exclude_defaults=True)}\n```"


def unknown_entry() -> str:
    """For an entry of the menu that this version of the bot doesn't have."""
    return "I can't do that any more."
