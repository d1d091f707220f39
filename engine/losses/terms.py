"""The terms of an objective: losses of an image, each with its weight in the sum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import torch
from torch import Tensor

from engine.losses.curvature import Curvature
from engine.losses.gram import gram_matrix
from engine.losses.structure import POOLS, SELF_SIMILARITY_LAYER, laplacian, self_similarity, total_variation
from engine.recipe import Balance, Layer

_MIN_ENERGY_RATIO: Final = 0.1
"""The least energy of a target, relative to the energy of the same layer in the other picture."""
_FLAT_EDGES: Final = (2 / 255) ** 2
"""The least mean square by which a distance between edges is divided: two grey levels, squared."""
_FULL_VARIANCE: Final = (4 / 255) ** 2
"""The variance of colour along an axis from which a style has colours along it: four grey levels, squared."""
_EPSILON: Final = 1e-8


class Term(Protocol):
    """One loss of an :class:`engine.losses.objective.Objective`."""

    @property
    def weight(self) -> float:
        """The factor of this loss in the sum, at least 0."""

    @property
    def layers(self) -> frozenset[Layer]:
        """The layers whose activations the loss reads; none for a loss on the pixels."""

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """The loss without its weight, a scalar, differentiable by ``image``.

        Args:
            features: at least the activations of :attr:`layers`, see :meth:`engine.vgg.vgg19.VGG19.features`.
            image: shape (1, 3, height, width), RGB in [0, 1].
        """


@dataclass(frozen=True, slots=True)
class Target:
    """The value that a layer should take, and the energy by which squared distances from it are divided."""

    value: Tensor
    energy: Tensor
    """A scalar above 0."""
    curvature: Curvature | None = None
    """What the gradient of the distance allows for; None for the plain gradient."""

    def distance(self, value: Tensor) -> Tensor:
        """‖value - target‖² / energy, a scalar."""
        difference = value - self.value
        square = difference.square().sum() if self.curvature is None else self.curvature.square(difference)
        return square / self.energy


def target(value: Tensor, other: Tensor, grain: Tensor | float = 0.0) -> Target:
    """A target at ``value``, with the energy max(‖value‖², n · max(0.1 · other, grain)) for n elements.

    The lower bound is for plain pictures. Their activations in deep layers are near 0. A division by their energy would
    let the noise of those layers dominate all other layers.

    Args:
        value: the activations of the content, or a Gram matrix of the style.
        other: the mean square of the same in the other picture: of the style's activations, or of the content's Gram
            matrix.
        grain: the mean square of the same in a grey picture with faint grain, see
            :data:`engine.painting.targets.GRAIN`.
    """
    floor = (_MIN_ENERGY_RATIO * other).clamp(min=grain) * value.numel()
    return Target(value, torch.maximum(value.square().sum(), floor).clamp(min=_EPSILON))


def weighted_mean(distances: Mapping[Layer, Tensor], weights: Mapping[Layer, float]) -> Tensor:
    """Σ wₗ dₗ / Σ wₗ over the layers l, for scalars d and weights w."""
    shares = _shares(weights)
    return torch.stack([distance * shares[layer] for layer, distance in distances.items()]).sum()


@dataclass(frozen=True, slots=True)
class ContentTerm:
    """The weighted mean over the layers l of ‖Fₗ - Fₗ(content)‖² / Eₗ, for activations F and energies E.

    Gatys, Ecker and Bethge (CVPR 2016), equation 1, divided by the energy.
    """

    weight: float
    targets: Mapping[Layer, Target]
    """Activations, shape (1, channels, height, width)."""
    layer_weights: Mapping[Layer, float]

    @property
    def layers(self) -> frozenset[Layer]:
        """The layers of the targets."""
        return frozenset(self.targets)

    def distances(self, features: Mapping[Layer, Tensor]) -> dict[Layer, Tensor]:
        """The loss of each layer without its weight: 0 at the content's activations, about 1 for black."""
        return {layer: target.distance(features[layer].float()) for layer, target in self.targets.items()}

    def mean(self, distances: Mapping[Layer, Tensor]) -> Tensor:
        """The loss, for the losses of the layers."""
        return weighted_mean(distances, self.layer_weights)

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """0 at the content's activations, about 1 for black."""
        return self.mean(self.distances(features))


@dataclass(frozen=True, slots=True)
class StyleTerm:
    """The weighted mean over the layers l of ‖Gₗ - Gₗ(style)‖² / Eₗ, for Gram matrices G and energies E.

    Gatys, Ecker and Bethge (CVPR 2016), equations 4 and 5, divided by the energy.
    """

    weight: float
    targets: Mapping[Layer, Target]
    """Gram matrices, shape (1, channels, channels)."""
    layer_weights: Mapping[Layer, float]
    balance: Balance = "fixed"
    """``dynamic`` multiplies each layer's weight by √dₗ, where dₗ is the layer's distance at this step. The weights are
    constants for the gradient. So layers near their target lose weight to those that are farther from it.
    """
    guides: Mapping[Layer, Tensor] = field(default_factory=dict)
    """Of the part of the picture whose Gram matrices these are, see :func:`guide`; none for the whole picture."""

    @property
    def layers(self) -> frozenset[Layer]:
        """The layers of the targets."""
        return frozenset(self.targets)

    def distances(self, features: Mapping[Layer, Tensor]) -> dict[Layer, Tensor]:
        """The loss of each layer without its weight: 0 at the style's Gram matrix, about 1 for black."""
        return {
            layer: target.distance(gram_matrix(guided(features[layer], self.guides.get(layer))))
            for layer, target in self.targets.items()
        }

    def mean(self, distances: Mapping[Layer, Tensor]) -> Tensor:
        """The loss, for the losses of the layers."""
        if self.balance == "fixed":
            return weighted_mean(distances, self.layer_weights)
        shares = _shares(self.layer_weights)
        weights = torch.stack(
            [shares[layer] * each.detach().clamp(min=_EPSILON).sqrt() for layer, each in distances.items()]
        )
        return (torch.stack(list(distances.values())) * (weights / weights.sum())).sum()

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """0 at the style's Gram matrices, about 1 for black."""
        return self.mean(self.distances(features))


@dataclass(frozen=True, slots=True)
class StructureTerm:
    """The mean of two distances from the content: of its self-similarity and of its edges.

    The first is the share of each column of the self-similarity matrix that lies elsewhere. The second is the mean over
    the pools of ‖L - L(content)‖² / ‖L(content)‖² for Laplacians L. A flat picture is at a distance of about 1.
    See :mod:`engine.losses.structure`.
    """

    weight: float
    similarity: Tensor
    """Shape (places, places)."""
    edges: Mapping[int, Tensor]
    """The Laplacian for each side of :data:`engine.losses.structure.POOLS` that the content is large enough for."""

    @classmethod
    def of(cls, weight: float, features: Mapping[Layer, Tensor], image: Tensor) -> "StructureTerm":
        """The term for a content's ``image``, shape (1, 3, height, width), and its ``features``."""
        pools = [pool for pool in POOLS if pool <= min(image.shape[-2:])]
        return cls(
            weight, self_similarity(features[SELF_SIMILARITY_LAYER]), {pool: laplacian(image, pool) for pool in pools}
        )

    @property
    def layers(self) -> frozenset[Layer]:
        """The layer of the self-similarity."""
        return frozenset({SELF_SIMILARITY_LAYER})

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """0 at the content, about 1 for a flat picture."""
        places = self.similarity.shape[0]
        # Each column sums to 1. Two of them differ by at most 2, which is twice the share that lies elsewhere.
        moved = (self_similarity(features[SELF_SIMILARITY_LAYER]) - self.similarity).abs().sum() / (2 * places)
        blurred = [
            (laplacian(image, pool) - edges).square().sum()
            / edges.square().sum().clamp(min=_FLAT_EDGES * edges.numel())
            for pool, edges in self.edges.items()
        ]
        return (moved + torch.stack(blurred).mean()) / 2


@dataclass(frozen=True, slots=True)
class Plainness:
    """A loss for colours that the style lacks: all but one in a plain style, every hue in a grey one.

    The colours c of the style have the mean m and the covariance V diag(v) Vᵀ. The loss of an image is the mean over
    its pixels of Σₖ wₖ · (Vₖ · (c - m))², where wₖ = 1 - vₖ / (4 grey levels)², clamped to [0, 1]. It is divided by
    the same of the content, so that the content has a loss of 1.

    Gram matrices do not suffice. Near a plain style, a Gram matrix changes with the square of a small deviation in
    colour, and the style loss with the fourth power. Its gradient there is too small to remove the content's colours.
    """

    weight: float
    mean: Tensor
    """m, shape (3,)."""
    lacking: Tensor
    """diag(√w) Vᵀ, shape (3, 3)."""
    energy: Tensor
    """The divisor of the loss, a scalar."""
    part: Tensor | None = None
    """Weights of the pixels, shape (1, 1, height, width), with a mean of 1; None for equal ones."""
    layers: frozenset[Layer] = frozenset()

    @classmethod
    def of(
        cls,
        weight: float,
        styles: Sequence[Tensor],
        shares: Sequence[float],
        content: Tensor,
        part: Tensor | None = None,
    ) -> "Plainness | None":
        """The term for pictures of shape (1, 3, height, width) in [0, 1]; None for styles that lack no colour.

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
        weights = (1 - values / _FULL_VARIANCE).clamp(0, 1)
        if not weights.any():
            return None
        lacking = torch.diag(weights.sqrt()) @ vectors.T
        undivided = cls(weight, mean, lacking, torch.ones_like(mean[0]), part)
        return cls(weight, mean, lacking, undivided({}, content).clamp(min=_FULL_VARIANCE), part)

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """0 for an image in the style's colours, 1 for the content."""
        colours = image[0].flatten(1) - self.mean[:, None]
        losses = (self.lacking @ colours).square().sum(dim=0)
        return (losses if self.part is None else losses * self.part.flatten()).mean() / self.energy


@dataclass(frozen=True, slots=True)
class TotalVariation:
    """See :func:`engine.losses.structure.total_variation`."""

    weight: float
    layers: frozenset[Layer] = frozenset()

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """0 for a flat picture, at most 2."""
        return total_variation(image)


def part_of(cover: Tensor) -> Tensor:
    """A mask as weights of places with a mean of 1, for a ``cover`` of any shape that is not 0 everywhere."""
    return cover / cover.mean().clamp(min=_EPSILON)


def guide(cover: Tensor) -> Tensor:
    """The factor that makes a Gram matrix that of a part of the picture: √w, where the mean of w is 1.

    A guidance channel of Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer" (CVPR 2017), eq. 4.

    Args:
        cover: the part, from 0 to 1, shape (1, 1, height, width) as the layer's activations.
    """
    return part_of(cover).sqrt()


def guided(features: Tensor, guide: Tensor | None) -> Tensor:
    """Activations of shape (1, channels, height, width) with a guide applied, if there is one."""
    return features if guide is None else features * guide.to(features.dtype)


def _shares(weights: Mapping[Layer, float]) -> dict[Layer, float]:
    total = sum(weights.values())
    return {layer: weight / total for layer, weight in weights.items()}


@dataclass(frozen=True, slots=True)
class Steadiness:
    """The mean of m · (x - p)² over the pixels, for the image x, the painted frame p before it, and a mask m.

    Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos" (GCPR 2016), equation 7.
    """

    weight: float
    before: Tensor
    """Shape (1, 3, height, width), RGB in [0, 1]."""
    seen: Tensor
    """Where this frame shows what the one before shows: shape (1, 1, height, width), from 0 to 1."""

    @property
    def layers(self) -> frozenset[Layer]:
        """None: a loss on the pixels."""
        return frozenset()

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """0 where nothing changes."""
        return (self.seen * (image - self.before).square()).mean()
