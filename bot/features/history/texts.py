"""The texts of comparisons, timelapses and recipes."""

from typing import Final

from bot import texts
from bot.jobs.model import Job
from engine.recipe import Recipe

COMPARE: Final = "Compare with the photo"
RECIPE: Final = "Show the recipe"
TIMELAPSE: Final = "Show a timelapse"
AS_GIF: Final = "It doesn't move? Show it as a GIF"


def compared(job: Job) -> str:
    """Above a comparison."""
    return f"{texts.titled(job.description)}: before and after"


def comparison_alt(job: Job) -> str:
    """The alt text of a comparison."""
    return f"The photo and the painting side by side: {job.description}"


def replayed(job: Job) -> str:
    """Above a timelapse."""
    return f"{texts.titled(job.description)}: how it was painted"


def timelapse_alt(job: Job) -> str:
    """The alt text of a timelapse."""
    return f"A timelapse of the painting: {job.description}"


def recipe(recipe: Recipe, description: str | None) -> str:
    """A recipe in readable lines. The description is None for another member's picture."""
    strokes = {value: name for name, value in texts.STROKES.items()}
    lines = [
        f"**Recipe `{recipe.id}`**"
        if description is None
        else f"**Recipe `{recipe.id}`** · {texts.titled(description)}",
        f"Size: {recipe.size:,} px on the longer side, {recipe.steps:,} steps",
        f"Strength: {recipe.strength:g}",
        f"Colours: {texts.COLOURS[recipe.colours]}",
        f"Strokes: {strokes.get(recipe.stroke, f'× {recipe.stroke:g}')}",
        f"Detail: {recipe.detail:g}",
    ]
    if recipe.style_shares:
        lines.append(f"Mix: {' : '.join(f'{share:g}' for share in recipe.style_shares)}")
    lines.append(f"Seed: {recipe.seed}")
    if recipe.continues:
        lines.append("This picture continued an earlier one. From the start, the recipe gives a similar picture.")
    return "\n".join(lines)


def suggestion(job: Job) -> str:
    """A job in the suggestions of ``/recipe``."""
    return f"{job.painted_recipe.id} · {job.description}"
