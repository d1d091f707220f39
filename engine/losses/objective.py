"""The objective of Gatys, Ecker and Bethge (CVPR 2016), each layer normalised by its own energy.

Without the normalisation a layer's weight means something else for each picture: the energies of VGG19's layers differ
by orders of magnitude. With it a loss of 1 means "as far from the target as black is", at every layer and size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.losses.structure import Structure, total_variation
from engine.recipe import Balance, Layer

_SILENT = 0.1
"""The least energy of a target, relative to the energy of the same layer in the other picture."""
_TINY = 1e-8
_ALIKE = 0.05
"""The distance from content to style, see :func:`style_normalisation`, under which the two count as alike."""
_PLAIN = (4 / 255) ** 2
"""The variance of colour along an axis from which a style counts as coloured along it: four grey levels, squared."""
_PARTS = 16
_LEAST = 256
"""Positions in each part of a Gram matrix."""


class _GramMatrix(torch.autograd.Function):
    """Keeps the features in their own precision for the gradient, where autograd would keep a float32 copy."""

    @staticmethod
    def forward(context: Any, features: Tensor) -> Tensor:
        context.save_for_backward(features)
        rows = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
        matrix: Tensor = _products(rows) / rows.shape[0]
        return matrix

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (features,) = context.saved_tensors
        rows = features.permute(0, 2, 3, 1)
        slope = (gradient + gradient.T) / (rows.shape[1] * rows.shape[2])
        passed: Tensor = (rows @ slope.to(features.dtype)).permute(0, 3, 1, 2)
        return passed


def _products(rows: Tensor) -> Tensor:
    """Rᵀ R in float32 for ``rows`` R, shape (positions, channels).

    In a shorter precision each product is summed in float32, but its sum is rounded. So the positions are parted, and
    the sums of the parts added in float32: on a CPU eight times as fast as a float32 copy, and within 0.05 %.
    """
    if rows.dtype == torch.float32:
        return rows.T @ rows
    parts = max(1, min(_PARTS, rows.shape[0] // _LEAST))
    of_each, rest = divmod(rows.shape[0], parts)
    split = rows[: of_each * parts].view(parts, of_each, -1)
    products = torch.bmm(split.transpose(1, 2), split).float().sum(dim=0)
    return products + (rows[-rest:].T @ rows[-rest:]).float() if rest else products


def gram_matrix(features: Tensor) -> Tensor:
    """Correlations of the channels, averaged over the positions: F Fᵀ / (height · width), always in float32.

    Args:
        features: shape (1, channels, height, width).

    Returns:
        Shape (channels, channels). Dividing by the positions makes pictures of different sizes comparable.
    """
    matrix: Tensor = _GramMatrix.apply(features)
    return matrix


def blended(statistics: Sequence[Mapping[Layer, Tensor]], shares: Sequence[float]) -> dict[Layer, Tensor]:
    """Average the statistics of several styles, layer by layer; ``shares`` need not sum to 1."""
    total = sum(shares)
    layers = statistics[0].keys()
    return {
        layer: sum((each[layer] * (share / total) for each, share in zip(statistics, shares, strict=True)),
                   start=torch.zeros_like(statistics[0][layer]))
        for layer in layers
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Losses:
    """Scalar tensors on the device; ``total`` is what the optimiser goes down."""

    total: Tensor
    content: Tensor
    style: Tensor


@dataclass(frozen=True, slots=True)
class Target:
    """The value that a layer should take. Squared distances from it are divided by ``energy``."""

    value: Tensor
    energy: Tensor

    def distance(self, value: Tensor) -> Tensor:
        """Of ``value``: squared, and relative to the energy."""
        return (value - self.value).square().sum() / self.energy


def target(value: Tensor, other: Tensor, grain: Tensor | float = 0.0) -> Target:
    """A target at ``value``, with the energy max(‖value‖², n · max(0.1 · other, grain)) for n elements.

    The floor is for plain pictures. They leave deep layers silent, and a distance divided by next to nothing would
    drown every other layer in noise.

    Args:
        value: the activations of the content, or a Gram matrix of the style.
        other: the mean square of the same in the other picture: of the style's activations, or of the content's Gram
            matrix.
        grain: the mean square of the same in a grey picture with grain that hardly shows, see
            :data:`engine.painting.targets.GRAIN`.
    """
    floor = (_SILENT * other).clamp(min=grain) * value.numel()
    return Target(value, torch.maximum(value.square().sum(), floor).clamp(min=_TINY))


@dataclass(frozen=True, slots=True)
class Plainness:
    """A loss for colours that the style lacks: all but one in a plain style, every hue in a grey one.

    The colours c of the style have the mean m and the covariance V diag(v) Vᵀ. The loss of an image is the mean over
    its pixels of Σₖ wₖ · (Vₖ · (c - m))², where wₖ = 1 - vₖ / (4 grey levels)², clamped to [0, 1]. It is divided by
    the same of the content, so that a loss of 1 is as far from the style's colours as the content is.

    Gram matrices do not suffice. Near a plain style, a Gram matrix changes with the square of a small deviation in
    colour, and the style loss with the fourth power: it hardly pulls at the rest of the content's colours.
    """

    mean: Tensor
    """m, shape (3,)."""
    lacking: Tensor
    """diag(√w) Vᵀ, shape (3, 3)."""
    energy: Tensor
    """What the loss is divided by, a scalar."""

    @classmethod
    def of(cls, styles: Sequence[Tensor], shares: Sequence[float], content: Tensor) -> "Plainness | None":
        """The loss for pictures of shape (1, 3, height, width) in [0, 1]; None for styles that lack no colour.

        m and V are those of the mixture of the styles' pixels by ``shares``.
        """
        parts = [share / sum(shares) for share in shares]
        means = [style[0].flatten(1).mean(dim=1) for style in styles]
        mean = torch.stack([part * each for part, each in zip(parts, means, strict=True)]).sum(dim=0)
        moments = [
            part * (torch.cov(style[0].flatten(1), correction=0) + torch.outer(each - mean, each - mean))
            for part, each, style in zip(parts, means, styles, strict=True)
        ]
        values, vectors = torch.linalg.eigh(torch.stack(moments).sum(dim=0))
        lacks = (1 - values / _PLAIN).clamp(0, 1)
        if not lacks.any():
            return None
        lacking = torch.diag(lacks.sqrt()) @ vectors.T
        plain = cls(mean, lacking, torch.ones_like(mean[0]))
        return cls(mean, lacking, plain(content).clamp(min=_PLAIN))

    def __call__(self, image: Tensor) -> Tensor:
        """The loss of ``image``, shape (1, 3, height, width), a scalar."""
        colours = image[0].flatten(1) - self.mean[:, None]
        return (self.lacking @ colours).square().sum(dim=0).mean() / self.energy


@dataclass(frozen=True, slots=True)
class Objective:
    """How far a picture's features are from the content's and its Gram matrices from the style's."""

    content: Mapping[Layer, Target]
    style: Mapping[Layer, Target]
    content_layers: Mapping[Layer, float]
    style_layers: Mapping[Layer, float]
    content_weight: float
    style_weight: float
    balance: Balance = "fixed"
    structure: Structure | None = None
    detail_weight: float = 0.0
    variation_weight: float = 0.0
    plainness: Plainness | None = None
    plain_weight: float = 0.0
    learning_rate_factor: float = 1.0
    """Of the learning rate, from 0 to 1: below 1 for similar pictures. See :func:`style_normalisation`."""

    @property
    def layers(self) -> frozenset[Layer]:
        """Which activations :meth:`__call__` needs."""
        return frozenset(self.content) | frozenset(self.style) | (self.structure.layers if self.structure else set())

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Losses:
        """Evaluate at an ``image``, shape (1, 3, height, width), and its ``features``.

        See :meth:`engine.vgg.vgg19.VGG19.features`.
        """
        content = _weighted(
            {layer: target.distance(features[layer].float()) for layer, target in self.content.items()},
            self.content_layers,
        )
        distances = {layer: target.distance(gram_matrix(features[layer])) for layer, target in self.style.items()}
        style = _weighted(distances, self.style_layers)
        goal = _balanced(distances, self.style_layers) if self.balance == "dynamic" else style
        total = self.content_weight * content + self.style_weight * goal
        if self.structure:
            total = total + self.detail_weight * self.structure(features, image)
        if self.plainness:
            total = total + self.plain_weight * self.plainness(image)
        if self.variation_weight:
            total = total + self.variation_weight * total_variation(image)
        return Losses(total, content, style)


def style_normalisation(
    grams: Mapping[Layer, Tensor], style: Mapping[Layer, Target], weights: Mapping[Layer, float]
) -> tuple[float, float]:
    """The divisor of the style loss and the factor of the learning rate, for a content with Gram matrices ``grams``.

    With d, the style loss of the content as it is, they are max(d, 0.05) and min(1, d / 0.05).

    After the division a strength asks for the same share of the distance, whether style and content are alike or not.
    The floor keeps the division from magnifying noise where d is near 0, as it is for a picture in its own style.
    There, the steps become shorter instead: they would only add grain.
    """
    distances = {layer: target.distance(grams[layer]) for layer, target in style.items()}
    distance = _weighted(distances, weights).item()
    return max(distance, _ALIKE), min(1.0, distance / _ALIKE)


def _shares(weights: Mapping[Layer, float]) -> dict[Layer, float]:
    total = sum(weights.values())
    return {layer: weight / total for layer, weight in weights.items()}


def _weighted(terms: Mapping[Layer, Tensor], weights: Mapping[Layer, float]) -> Tensor:
    """The mean of ``terms`` by ``weights``."""
    shares = _shares(weights)
    return torch.stack([term * shares[layer] for layer, term in terms.items()]).sum()


def _balanced(terms: Mapping[Layer, Tensor], weights: Mapping[Layer, float]) -> Tensor:
    """The mean by weights that are shifted towards the layers which are farther from their target than the others.

    A layer's weight is multiplied by the root of its distance as it is at this step (held constant for the gradient):
    what is nearly reached stops pulling, so that no layer is left behind for another's last percent.
    """
    shares = _shares(weights)
    pulls = torch.stack([shares[layer] * term.detach().clamp(min=_TINY).sqrt() for layer, term in terms.items()])
    return (torch.stack(list(terms.values())) * (pulls / pulls.sum())).sum()
