"""The texts of comparisons, timelapses and recipes."""

from typing import Final

from bot import texts
from bot.jobs.model import Job
from bot.locales import N_, pgettext
from bot.locales import gettext as _
from engine.recipe import Recipe

COMPARE: Final = N_("Compare with the photo")
RECIPE: Final = N_("Show the recipe")
TIMELAPSE: Final = N_("Show a timelapse")
AS_GIF: Final = N_("It doesn't move? Show it as a GIF")


def compared(job: Job) -> str:
    """Above a comparison."""
    return _("{picture}: before and after", picture=texts.titled(texts.described(job.description)))


def comparison_alt(job: Job) -> str:
    """The alt text of a comparison."""
    return _("The photo and the painting side by side: {picture}", picture=texts.described(job.description))


def replayed(job: Job) -> str:
    """Above a timelapse."""
    return _("{picture}: how it was painted", picture=texts.titled(texts.described(job.description)))


def timelapse_alt(job: Job) -> str:
    """The alt text of a timelapse."""
    return _("A timelapse of the painting: {picture}", picture=texts.described(job.description))


def recipe(recipe: Recipe, description: str | None) -> str:
    """A recipe in readable lines. The description is None for another member's picture."""
    strokes = {value: pgettext("stroke", name) for name, value in texts.STROKES.items()}
    title = _("Recipe `{id}`", id=recipe.id)
    lines = [
        f"**{title}**" if description is None else f"**{title}** · {texts.titled(texts.described(description))}",
        _("Size: {size} px on the longer side, {steps} steps", size=recipe.size, steps=recipe.steps),
        _("Strength: {value}", value=recipe.strength),
        _("Colours: {value}", value=texts.colours(recipe.colours)),
        _("Strokes: {value}", value=strokes.get(recipe.stroke, f"× {recipe.stroke:g}")),
        _("Detail: {value}", value=recipe.detail),
    ]
    if name := texts.TECHNIQUES.get(recipe.method):
        lines.append(_("Technique: {value}", value=pgettext("technique", name)))
    if recipe.where != "everything":
        lines.append(_("Painted: {part}", part=texts.part(recipe)))
    if recipe.style_shares:
        lines.append(_("Mix: {shares}", shares=texts.ratio(recipe.style_shares)))
    lines.append(_("Seed: {seed}", seed=str(recipe.seed)))
    if recipe.continues:
        lines.append(_("This picture continued an earlier one. From the start, the recipe gives a similar picture."))
    return "\n".join(lines)


def suggestion(job: Job) -> str:
    """A job in the suggestions of ``/recipe``."""
    return f"{job.painted_recipe.id} · {texts.described(job.description)}"
