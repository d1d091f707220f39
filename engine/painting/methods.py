"""The methods of painting, by the names that recipes give them."""

from collections.abc import Generator, Mapping, Sequence
from typing import Final, Protocol

from engine.errors import UnknownMethod
from engine.images.codec import Picture
from engine.painting import loop
from engine.painting.loop import Save
from engine.painting.reporter import Pace
from engine.progress import Progress, Result, StopToken
from engine.recipe import Method, Recipe
from engine.vgg.vgg19 import VGG19


class Paint(Protocol):
    """Paints a recipe of one method: see :func:`engine.painting.loop.paint` for arguments, events and errors."""

    def __call__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        recipe: Recipe,
        network: VGG19,
        stop: StopToken | None = None,
        *,
        pace: Pace = Pace(),
        resume: bytes | None = None,
        save: Save | None = None,
        max_bytes: int | None = None,
    ) -> Generator[Progress, None, Result]:
        """Yield progress until the painting ends, and return its result."""


METHODS: Final[Mapping[Method, Paint]] = {"gatys": loop.paint}


def method(recipe: Recipe) -> Paint:
    """The function that paints a recipe.

    Raises:
        UnknownMethod: the recipe's method is none of :data:`METHODS`. A recipe that was validated has a known one.
    """
    try:
        return METHODS[recipe.method]
    except KeyError as error:
        raise UnknownMethod(recipe.method) from error
