"""Carries a painted frame of a clip along to another frame, and paints that one from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.images.codec import fitted
from engine.images.optical_flow import optical_flow, visible, warped
from engine.images.resampling import enlarged, resized
from engine.losses.objective import Losses, Objective
from engine.losses.terms import Steadiness
from engine.optim.optimisers import Optimiser, optimiser
from engine.painting.masks import Mask
from engine.painting.pooling_shift import PoolingShift
from engine.painting.pyramid import SCHEDULES, Scale, learning_rate
from engine.painting.strength import first_learning_rate
from engine.painting.targets import Targets
from engine.recipe import Recipe
from engine.vgg.vgg19 import VGG19

LEARNING_RATE: Final = 0.012
"""The learning rate of the first step of a frame, for pixels in [0, 1]."""
STEADINESS: Final = 300.0
"""The weight of :class:`engine.losses.terms.Steadiness`."""
LEAST_NEW: Final = 0.003
"""The share of a frame from which on what comes into view is painted coarse to fine."""
NEW_STEPS: Final = 10
"""Its steps at each scale but the last one."""
NEW_PACE: Final = 4.0
"""Its learning rate at the full size, relative to that of the rest."""
AROUND: Final = 0.025
"""How far the statistics of the style extend around it, as a share of the longer side."""


@dataclass(frozen=True, slots=True)
class FrameStep:
    """A step of :meth:`LaterFrame.paint`."""

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


class LaterFrame:
    """Paints a frame of a clip from the one before it."""

    def __init__(
        self,
        targets: Callable[[Mask | None], Targets],
        recipe: Recipe,
        network: VGG19,
        check: Callable[[], None],
    ) -> None:
        """Nothing is computed yet.

        Args:
            targets: makes the targets of the frame, for a part or for all of it.
            recipe: of a frame.
            network: VGG19.
            check: called between the layers of the network. What it raises ends the painting.
        """
        self._targets = targets
        self._recipe = recipe
        self._network = network
        self._check = check
        self._shift = PoolingShift(network.device)

    def paint(self, moved: Tensor, seen: Tensor, steps: int) -> Iterator[FrameStep]:
        """Paint all of the frame, in so many steps at the full size.

        Args:
            moved: the frame before and where it applies, as :func:`carried` returns them.
            seen: likewise. What is new in the frame is painted coarse to fine first, as a picture is.
            steps: to take at most.
        """
        recipe, new = self._recipe, 1 - seen
        targets = self._targets(None)
        objective = targets.objective(Scale(recipe.size, steps, 1.0))
        if new.mean().item() >= LEAST_NEW:
            image = self._with_new(moved, new)
        else:
            image = moved.lerp(targets.first_image(recipe.size, objective.learning_rate_factor), new)
        objective = replace(objective, terms={**objective.terms, "steadiness": Steadiness(STEADINESS, moved, seen)})
        painter = self._begun(objective, image, lambda image: image, seen + NEW_PACE * new)
        for step in range(steps):
            rate = objective.learning_rate_factor * learning_rate(step, steps, LEARNING_RATE)
            losses = self._step(painter, targets, step, rate)
            yield FrameStep(step + 1, losses, painter.image.detach())

    def _with_new(self, moved: Tensor, new: Tensor) -> Tensor:
        """The frame before with what is ``new`` in this one, painted at all scales but the last one."""
        recipe, schedule = self._recipe, SCHEDULES[self._recipe.method]
        around = max(1, round(AROUND * recipe.size))
        targets = self._targets(Mask(F.max_pool2d(new, 2 * around + 1, 1, around).cpu()))
        full = moved.shape[-1], moved.shape[-2]
        rate = schedule.learning_rate_factor * first_learning_rate(recipe.strength)
        start = moved.lerp(targets.start_at(recipe.size), new)
        image: Tensor | None = None
        for number, scale in enumerate(schedule.scales(recipe.size, recipe.steps, 0, recipe.strength)[:-1]):
            objective = targets.objective(scale)
            if image is None:
                image = targets.first_image(scale.size, objective.learning_rate_factor)
            size = fitted(full, scale.size)
            part = Mask(Mask(new).at(size[1], size[0]))  # once, and not at each step
            shown = partial(part.blended, resized(moved, size))
            painter = self._begun(objective, enlarged(image, start, size, schedule.bands[0]), shown)
            first = objective.learning_rate_factor * rate
            for step in range(NEW_STEPS):
                self._step(painter, targets, step, learning_rate(step, NEW_STEPS, first), number * NEW_STEPS)
            image = shown(painter.image.detach())
        return start if image is None else moved.lerp(enlarged(image, start, full, schedule.bands[0]), new)

    def _begun(
        self, objective: Objective, image: Tensor, shown: Callable[[Tensor], Tensor], pace: Tensor | None = None
    ) -> Optimiser:
        recipe = self._recipe

        def losses(image: Tensor) -> Losses:
            image = shown(image)
            shifted = self._shift(image) if recipe.optimiser != "lbfgs" else image
            features = self._network.features(shifted, objective.layers, self._check, pooling=recipe.pooling)
            return objective(features, image)

        painter = optimiser(recipe.optimiser, image)
        painter.begin(image, losses, pace)
        return painter

    def _step(self, painter: Optimiser, targets: Targets, step: int, rate: float, before: int = 0) -> Losses:
        """Take a ``step`` of a scale, after so many at the scales ``before``."""
        self._check()
        self._shift.begin_step(step)
        if self._recipe.optimiser != "lbfgs":  # the history of L-BFGS needs the same objective at each step
            targets.places.begin_step(before + step)
        return painter.step(rate)
