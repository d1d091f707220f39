"""The objective of Gatys, Ecker and Bethge (CVPR 2016) as a weighted sum of terms.

Each distance of a layer is divided by an energy, see :func:`engine.losses.terms.target`. The activations of VGG19's
layers differ by orders of magnitude, and by picture. After the division a layer weight means the same at every layer,
for every picture and size: a loss of 1 is the distance of black from the target.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from engine.losses.terms import Term
from engine.recipe import Layer


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of an image: scalar tensors on its device."""

    total: Tensor
    """The weighted sum, which the optimiser minimises."""
    terms: Mapping[str, Tensor]
    """The loss of each term without its weight, by the term's name."""

    def detached(self) -> "Losses":
        """The same values without their graph."""
        return Losses(self.total.detach(), {name: loss.detach() for name, loss in self.terms.items()})


@dataclass(frozen=True, slots=True)
class Objective:
    """Σₜ weightₜ · lossₜ over the terms t."""

    terms: Mapping[str, Term]
    """At least one; those of a painting include ``content`` and ``style``."""
    learning_rate_factor: float = 1.0
    """From 0 to 1: below 1 where content and style are similar. See :func:`engine.painting.strength.normalisation`."""

    @property
    def layers(self) -> frozenset[Layer]:
        """The layers whose activations :meth:`__call__` needs."""
        return frozenset[Layer]().union(*(term.layers for term in self.terms.values()))

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Losses:
        """Evaluate all terms at ``image``, shape (1, 3, height, width), and its ``features``.

        See :meth:`engine.vgg.vgg19.VGG19.features`.
        """
        losses = {name: term(features, image) for name, term in self.terms.items()}
        first, *others = (term.weight * losses[name] for name, term in self.terms.items())
        return Losses(sum(others, start=first), losses)
