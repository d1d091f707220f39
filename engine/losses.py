"""The objective of Gatys, Ecker and Bethge (CVPR 2016), each layer normalised by its own energy.

Without the normalisation a layer's weight means something else for each picture: the energies of VGG19's layers differ
by orders of magnitude. With it a loss of 1 means "as far from the target as black is", at every layer and size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.recipe import Layer

_SILENT = 0.1
_TINY = 1e-8


def gram_matrix(features: Tensor) -> Tensor:
    """Correlations of the channels, averaged over the positions: F Fᵀ / (height · width), always in float32.

    Args:
        features: shape (1, channels, height, width).

    Returns:
        Shape (channels, channels). Dividing by the positions makes pictures of different sizes comparable.
    """
    rows = features.float().permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    return (rows.T @ rows) / rows.shape[0]


def blended(statistics: Sequence[Mapping[Layer, Tensor]], shares: Sequence[float]) -> dict[Layer, Tensor]:
    """Average the Gram matrices of several styles; ``shares`` need not sum to 1."""
    total = sum(shares)
    layers = statistics[0].keys()
    return {
        layer: sum((each[layer] * (share / total) for each, share in zip(statistics, shares, strict=True)),
                   start=torch.zeros_like(statistics[0][layer]))
        for layer in layers
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Losses:
    """Scalar tensors on the device; ``total`` is what Adam goes down."""

    total: Tensor
    content: Tensor
    style: Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """What a layer should become, and what a squared distance from it is divided by."""

    value: Tensor
    energy: Tensor


def target(value: Tensor, other: Tensor) -> Target:
    """Aim at ``value``; ``other`` is the same statistic of the picture on the other side, style or content.

    The energy is that of ``value``, but not under a tenth of ``other``'s: a plain grey picture leaves deep layers
    silent, and a distance divided by next to nothing would drown every other layer in noise.
    """
    floor = _SILENT * other.square().mean() * value.numel()
    return Target(value, torch.maximum(value.square().sum(), floor).clamp(min=_TINY))


@dataclass(frozen=True, slots=True)
class Objective:
    """How far a picture's features are from the content's and its Gram matrices from the style's."""

    content: Mapping[Layer, Target]
    style: Mapping[Layer, Target]
    content_layers: Mapping[Layer, float]
    style_layers: Mapping[Layer, float]
    content_weight: float
    style_weight: float

    @property
    def layers(self) -> frozenset[Layer]:
        """Which activations :meth:`__call__` needs."""
        return frozenset(self.content) | frozenset(self.style)

    def __call__(self, features: Mapping[Layer, Tensor]) -> Losses:
        """Evaluate at a picture's ``features`` (see :meth:`engine.vgg19.VGG19.features`)."""
        content = _weighted(
            {layer: _distance(features[layer].float(), target) for layer, target in self.content.items()},
            self.content_layers,
        )
        style = _weighted(
            {layer: _distance(gram_matrix(features[layer]), target) for layer, target in self.style.items()},
            self.style_layers,
        )
        return Losses(self.content_weight * content + self.style_weight * style, content, style)


def _distance(value: Tensor, target: Target) -> Tensor:
    return (value - target.value).square().sum() / target.energy


def _weighted(terms: Mapping[Layer, Tensor], weights: Mapping[Layer, float]) -> Tensor:
    """The mean of ``terms`` by ``weights``."""
    total = sum(weights.values())
    return torch.stack([term * (weights[layer] / total) for layer, term in terms.items()]).sum()
