"""The objective of Gatys, Ecker and Bethge (CVPR 2016) as a weighted sum of terms.

Each distance of a layer is divided by an energy, see :func:`engine.losses.terms.target`. The activations of VGG19's
layers differ by orders of magnitude, and by picture. After the division a layer weight means the same at every layer,
for every picture and size: a loss of 1 is the distance of black from the target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor

from engine.losses.terms import ContentTerm, StyleTerm, Term
from engine.recipe import Layer

Key = TypeVar("Key", bound=str)


@dataclass(frozen=True, slots=True)
class Losses:
    """The losses of an image: scalar tensors on its device."""

    total: Tensor
    """The weighted sum, which the optimiser minimises."""
    terms: Mapping[str, Tensor]
    """The loss of each term without its weight, by the term's name."""
    layers: Mapping[str, Mapping[Layer, Tensor]] = field(default_factory=dict)
    """The loss of each layer without its weight, for the terms that are means over layers."""

    def detached(self) -> "Losses":
        """The same values without their graph."""
        layers = {name: _detached(losses) for name, losses in self.layers.items()}
        return Losses(self.total.detach(), _detached(self.terms), layers)

    def layer_values(self) -> dict[str, dict[Layer, float]]:
        """:attr:`layers` as numbers. On a GPU this waits for the computation."""
        return {name: {layer: loss.item() for layer, loss in each.items()} for name, each in self.layers.items()}


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
        losses: dict[str, Tensor] = {}
        layers: dict[str, dict[Layer, Tensor]] = {}
        for name, term in self.terms.items():
            if isinstance(term, ContentTerm | StyleTerm):
                layers[name] = term.distances(features)
                losses[name] = term.mean(layers[name])
            else:
                losses[name] = term(features, image)
        first, *others = (term.weight * losses[name] for name, term in self.terms.items())
        return Losses(sum(others, start=first), losses, layers)


def _detached(losses: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
    return {key: loss.detach() for key, loss in losses.items()}
