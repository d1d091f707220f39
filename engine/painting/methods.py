"""The methods of painting, by the names that recipes give them."""

from collections.abc import Callable, Generator, Mapping
from typing import Final

from engine.errors import UnknownMethod
from engine.images.animation import Clip
from engine.images.codec import Picture
from engine.painting import clip, loop
from engine.painting.options import RunOptions
from engine.progress import Progress, Result
from engine.recipe import Inputs, Method, Recipe
from engine.vgg.vgg19 import VGG19

Paint = Callable[[Inputs[Clip | Picture], Recipe, VGG19, RunOptions], Generator[Progress, None, Result]]
"""Paints a recipe of one method: see :func:`engine.painting.loop.paint` for arguments, events and errors."""

METHODS: Final[Mapping[Method, Paint]] = {"gatys": loop.paint, "neighbours": loop.paint, "instant": loop.paint}


def method(recipe: Recipe) -> Paint:
    """The function that paints a recipe: one of :data:`METHODS`, or that for clips.

    Raises:
        UnknownMethod: the recipe's method is none of :data:`METHODS`. A recipe that was validated has a known one.
    """
    if recipe.frames > 1:
        return clip.paint
    try:
        return METHODS[recipe.method]
    except KeyError as error:
        raise UnknownMethod(recipe.method) from error
