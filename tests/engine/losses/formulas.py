"""Random features, and the formulas of losses, written in numpy."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def gram(features: Array) -> Array:
    """The Gram matrix, position by position, for one picture: shape (1, channels, channels)."""
    _, channels, height, width = features.shape
    total: Array = np.zeros((1, channels, channels))
    for y in range(height):
        for x in range(width):
            total[0] += np.outer(features[0, :, y, x], features[0, :, y, x])
    total /= height * width
    return total
