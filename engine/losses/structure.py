"""Measures of a picture's structure besides its features: self-similarity, edges and total variation."""

from typing import Final

from torch import Tensor
from torch.nn import functional as F

from engine.recipe import Layer

SELF_SIMILARITY_LAYER: Final[Layer] = "relu4_1"
PLACES: Final = 1024
"""The most positions on the grid of :func:`self_similarity`, whose cost grows with their square."""
POOLS: Final = (4, 16)
"""Sides, in pixels, of the squares that are averaged before the Laplacian (Li et al., ACM MM 2017)."""
_EPSILON: Final = 1e-8


def self_similarity(features: Tensor) -> Tensor:
    """Cosine distances between positions, each column divided by its sum: Kolkin et al., "STROTSS" (CVPR 2019), eq. 4.

    The matrix says which positions resemble each other, and does not change with any rotation or gain of the features.

    Args:
        features: shape (1, channels, height, width).

    Returns:
        Shape (places, places), float32, for at most :data:`PLACES` positions on a grid. The grid depends on the shape
        only.
    """
    height, width = features.shape[-2:]
    stride = 1
    while -(-height // stride) * -(-width // stride) > PLACES:
        stride += 1
    columns = features[0, :, ::stride, ::stride].flatten(1).float()
    unit = columns / columns.norm(dim=0).clamp(min=_EPSILON)
    distances: Tensor = (1 - unit.T @ unit).clamp(min=0)
    return distances / distances.sum(dim=0, keepdim=True).clamp(min=_EPSILON)


def laplacian(image: Tensor, pool: int) -> Tensor:
    """Edges: the Laplacian of each channel after averaging squares of ``pool`` pixels (Li et al., ACM MM 2017).

    Args:
        image: shape (1, 3, height, width), in [0, 1].
        pool: side of the squares, at most the picture's shorter side.

    Returns:
        Shape (1, 3, height / pool, width / pool). The border is padded by replication, so a flat picture gives zeros.
    """
    pooled = F.pad(F.avg_pool2d(image, pool), (1, 1, 1, 1), mode="replicate")
    middle = pooled[..., 1:-1, 1:-1]
    around = pooled[..., :-2, 1:-1] + pooled[..., 2:, 1:-1] + pooled[..., 1:-1, :-2] + pooled[..., 1:-1, 2:]
    return around - 4 * middle


def total_variation(image: Tensor) -> Tensor:
    """The mean absolute difference between horizontal neighbours, plus the same of vertical ones.

    Args:
        image: shape (1, 3, height, width).

    Returns:
        A scalar.
    """
    across = (image[..., :, 1:] - image[..., :, :-1]).abs().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).abs().mean()
    return across + down
