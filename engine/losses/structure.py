"""What holds a painting to its content beyond the features themselves: edges, and how places relate to each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.recipe import Layer

SELF_SIMILARITY_LAYER: Final[Layer] = "relu4_1"
PLACES: Final = 1024
"""Positions at most that are compared with each other: a grid over the picture. All of them would cost the square."""
POOLS: Final = (4, 16)
"""Sides of the squares of pixels that are averaged before the Laplacian, as Li et al. have it."""
_TINY: Final = 1e-8
_FLAT: Final = (2 / 255) ** 2
"""Mean square of edges under which a picture has none: two grey levels."""


def self_similarity(features: Tensor) -> Tensor:
    """Cosine distances between places, each column divided by its sum: Kolkin et al., "STROTSS" (CVPR 2019), eq. 4.

    What a place looks like may change altogether; which places look alike, and how far from others, stays.

    Args:
        features: shape (1, channels, height, width).

    Returns:
        Shape (places, places), float32, for at most :data:`PLACES` places on a grid. The same grid for the same shape.
    """
    height, width = features.shape[-2:]
    stride = 1
    while -(-height // stride) * -(-width // stride) > PLACES:
        stride += 1
    columns = features[0, :, ::stride, ::stride].flatten(1).float()
    unit = columns / columns.norm(dim=0).clamp(min=_TINY)
    distances: Tensor = (1 - unit.T @ unit).clamp(min=0)
    return distances / distances.sum(dim=0, keepdim=True).clamp(min=_TINY)


def laplacian(image: Tensor, pool: int) -> Tensor:
    """Edges: the Laplacian of each channel after averaging squares of ``pool`` pixels (Li et al., ACM MM 2017).

    Args:
        image: shape (1, 3, height, width), in [0, 1].
        pool: side of the squares, at most the picture's shorter side.

    Returns:
        Shape (1, 3, height / pool, width / pool); zero at the frame of a flat picture too.
    """
    pooled = F.pad(F.avg_pool2d(image, pool), (1, 1, 1, 1), mode="replicate")
    middle = pooled[..., 1:-1, 1:-1]
    around = pooled[..., :-2, 1:-1] + pooled[..., 2:, 1:-1] + pooled[..., 1:-1, :-2] + pooled[..., 1:-1, 2:]
    return around - 4 * middle


def total_variation(image: Tensor) -> Tensor:
    """The mean absolute difference between neighbours, across and down, of an image of shape (1, 3, height, width)."""
    across = (image[..., :, 1:] - image[..., :, :-1]).abs().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().mean()
    return across + down


@dataclass(frozen=True, slots=True)
class Structure:
    """Edges and self-similarity of a content: a loss of 1 is as far from them as a flat picture is."""

    similarity: Tensor
    edges: Mapping[int, Tensor]

    @classmethod
    def of(cls, features: Mapping[Layer, Tensor], image: Tensor) -> "Structure":
        """Of a content's ``image``, shape (1, 3, height, width), and its ``features``."""
        pools = [pool for pool in POOLS if pool <= min(image.shape[-2:])]
        return cls(self_similarity(features[SELF_SIMILARITY_LAYER]), {pool: laplacian(image, pool) for pool in pools})

    @property
    def layers(self) -> frozenset[Layer]:
        """Which activations :meth:`__call__` needs."""
        return frozenset({SELF_SIMILARITY_LAYER})

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """How far ``image``, with its ``features``, is from the content: the mean of both kinds of distance."""
        places = self.similarity.shape[0]
        # Columns sum to 1, so two of them differ by at most 2; half of that is the share that lies elsewhere.
        moved = (self_similarity(features[SELF_SIMILARITY_LAYER]) - self.similarity).abs().sum() / (2 * places)
        blurred = [
            (laplacian(image, pool) - edges).square().sum() / edges.square().sum().clamp(min=_FLAT * edges.numel())
            for pool, edges in self.edges.items()
        ]
        return (moved + torch.stack(blurred).mean()) / 2
