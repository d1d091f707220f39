"""Carries a painted frame of a clip along to another frame, and paints that one from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.images.optical_flow import optical_flow, visible, warped
from engine.losses.objective import Losses
from engine.losses.terms import Steadiness
from engine.optim.optimisers import optimiser
from engine.painting.pooling_shift import PoolingShift
from engine.painting.pyramid import Scale, learning_rate
from engine.painting.targets import Targets
from engine.recipe import Recipe
from engine.vgg.vgg19 import VGG19

LEARNING_RATE: Final = 0.012
"""The learning rate of the first step of a frame, for pixels in [0, 1]."""
STEADINESS: Final = 300.0
"""The weight of :class:`engine.losses.terms.Steadiness`."""


@dataclass(frozen=True, slots=True)
class FrameStep:
    """A step of :func:`later_frame`."""

    number: int
    """From 1."""
    losses: Losses
    image: Tensor
    """After the step: shape (1, 3, height, width), RGB in [0, 1]."""


@torch.no_grad()
def carried(painted: Tensor, here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """The painting of one frame at the places of another one, and where it applies.

    Args:
        painted: of the frame ``there``, shape (1, 3, height, width), RGB in [0, 1].
        here: the content of the frame to which the painting is carried, of the same shape.
        there: the content of the frame that is painted.

    Returns:
        An image of the same shape, and a mask of shape (1, 1, height, width) from 0 to 1.
    """
    flow, back = optical_flow(here, there)
    seen = visible(here, there, flow, back)
    # Without the border of what is visible, where the flow is least exact; and with a soft edge.
    seen = F.avg_pool2d(-F.max_pool2d(-seen, 3, 1, 1), 3, 1, 1, count_include_pad=False)
    return warped(painted, flow).clamp(0, 1), seen


def later_frame(
    targets: Targets,
    before: tuple[Tensor, Tensor],
    recipe: Recipe,
    network: VGG19,
    steps: int,
    check: Callable[[], None],
) -> Iterator[FrameStep]:
    """Paint a frame from the one before it.

    Args:
        targets: of the frame.
        before: what :func:`carried` returns. Where it does not apply, the frame starts as a picture does.
        recipe: of a frame.
        network: VGG19.
        steps: to take at most.
        check: called between the layers of the network. What it raises ends the painting.
    """
    moved, seen = before
    objective = targets.objective(Scale(recipe.size, steps, 1.0))
    fresh = targets.first_image(recipe.size, objective.learning_rate_factor)
    objective = replace(objective, terms={**objective.terms, "steadiness": Steadiness(STEADINESS, moved, seen)})
    shift = PoolingShift(network.device)

    def losses(image: Tensor) -> Losses:
        shifted = shift(image) if recipe.optimiser == "adam" else image
        return objective(network.features(shifted, objective.layers, check, pooling=recipe.pooling), image)

    image = fresh.lerp(moved, seen)
    painter = optimiser(recipe.optimiser, image)
    painter.begin(image, losses)
    for step in range(steps):
        check()
        shift.begin_step(step)
        rate = objective.learning_rate_factor * learning_rate(step, steps, LEARNING_RATE)
        yield FrameStep(step + 1, painter.step(rate), painter.image.detach())
