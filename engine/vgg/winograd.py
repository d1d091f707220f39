"""Convolutions of 3 × 3 with fewer products, by Winograd's method.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016). A tile of 4 × 4 results needs 36
products for each pair of channels instead of 144: those of its 6 × 6 inputs and of the weights, both transformed. The
products are those of 36 pairs of matrices, in which a processor is near its peak. In float32 this rounds like the
direct convolution. In bfloat16 it would round far worse.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.vgg.convolution import Convolution

TILE: Final = 4
"""Results of a tile along each side."""
LEAST_OUTPUTS: Final = 128
"""Channels of the result from which on this is faster than the direct convolution."""
_INPUTS: Final = TILE + 2
_AT_ONCE: Final = 128
"""Tiles that are transformed together, so that they stay in the processor's caches."""
_POINTS: Final = (0.0, 1.0, -1.0, 2.0, -0.5)
"""Where the polynomials of the method are evaluated, beside infinity. These round least, and x ↦ -1/x permutes them."""
_INVERSES: Final = (5, 2, 1, 4, 3, 0)
"""The index of -1/x, for each point x; 5 is infinity."""


@dataclass(frozen=True, slots=True)
class _Transforms:
    """Of a tile, as matrices on its flattened elements."""

    inputs: Tensor
    """Shape (36, 36)."""
    results: Tensor
    """Shape (16, 36)."""


def _of_weights() -> Tensor:
    """The transform of three weights in a row, shape (6, 3)."""
    rows = [
        [point**power / prod(point - other for other in _POINTS if other != point) for power in range(3)]
        for point in _POINTS
    ]
    return torch.tensor([*rows, [0.0, 0.0, 1.0]], dtype=torch.float64)


def _forward() -> tuple[Tensor, Tensor]:
    """The transforms of six inputs in a row, shape (6, 6), and of four results, shape (4, 6)."""
    inputs = torch.zeros(_INPUTS, _INPUTS, dtype=torch.float64)
    for row in range(_INPUTS):
        polynomial = torch.ones(1, dtype=torch.float64)
        for index, point in enumerate(_POINTS):
            if index != row:
                polynomial = F.pad(polynomial, (1, 0)) - point * F.pad(polynomial, (0, 1))
        inputs[row, : len(polynomial)] = polynomial
    results = [[point**power for point in _POINTS] + [float(power == TILE - 1)] for power in range(TILE)]
    return inputs, torch.tensor(results, dtype=torch.float64)


def _backward() -> tuple[Tensor, Tensor]:
    """The same for weights in reverse order, from the transformed weights that :func:`_forward` reads.

    With every other sign changed, the polynomial of the reversed weights is x² w(-1/x): at each point a multiple of the
    weights' at another one.
    """
    inputs, results = _forward()
    weights, order = _of_weights(), list(_INVERSES)
    signs = (-1.0) ** torch.arange(_INPUTS, dtype=torch.float64)
    weights_there = weights[order]
    scales = (weights.flip(1) * signs[:3] * weights_there).sum(dim=1) / weights_there.square().sum(dim=1)
    return (inputs * signs)[order], ((signs[:TILE, None] * results) * scales)[:, order]


def _both(inputs: Tensor, results: Tensor) -> _Transforms:
    """The transforms in both directions of a tile, of those in one direction."""
    return _Transforms(torch.kron(inputs, inputs).float(), torch.kron(results, results).float())


_FORWARD: Final = _both(*_forward())
_BACKWARD: Final = _both(*_backward())


class WinogradConvolution(Convolution):
    """The same in float32 on a CPU."""

    def _prepare(self, weight: Tensor) -> None:
        self._weight = weight

    @cached_property
    def _transformed(self) -> Tensor:
        """The weights, shape (36, inputs, outputs). They take four times the memory, so only where they are used."""
        outputs, inputs = self._weight.shape[:2]
        both = torch.kron(_of_weights(), _of_weights()).float()
        return (both @ self._weight.permute(2, 3, 1, 0).reshape(9, -1)).view(-1, inputs, outputs)

    def __call__(self, given: Tensor) -> Tensor:
        """Without the ReLU."""
        return _convolved(given, self._transformed, self._bias, self.padding, _FORWARD)

    def gradient(self, slope: Tensor, given: Tensor) -> Tensor:
        """As in :class:`Convolution`, by a convolution with the reversed weights."""
        return _convolved(slope, self._transformed.mT, None, 2 - self.padding, _BACKWARD)


def _convolved(given: Tensor, weights: Tensor, bias: Tensor | None, padding: int, transforms: _Transforms) -> Tensor:
    """Convolve an image of shape (1, inputs, height, width) with ``weights`` of shape (36, inputs, outputs)."""
    _, inputs, height, width = given.shape
    height, width = height + 2 * padding - 2, width + 2 * padding - 2
    down, across, outputs = -(-height // TILE), -(-width // TILE), weights.shape[-1]
    padded = given.new_zeros(down * TILE + 2, across * TILE + 2, inputs)
    padded[padding : padding + given.shape[2], padding : padding + given.shape[3]] = given[0].permute(1, 2, 0)
    found = given.new_empty(down * TILE, across * TILE, outputs)
    row, column, _ = padded.stride()
    rows = max(1, _AT_ONCE // across)
    for first in range(0, down, rows):
        some = min(rows, down - first)
        tiles = padded.as_strided(
            (_INPUTS, _INPUTS, some, across, inputs), (row, column, TILE * row, TILE * column, 1), first * TILE * row
        )
        transformed = transforms.inputs @ tiles.reshape(_INPUTS**2, -1)
        products = torch.bmm(transformed.view(_INPUTS**2, -1, inputs), weights)
        results = (transforms.results @ products.view(_INPUTS**2, -1)).view(TILE, TILE, some, across, outputs)
        target = found[first * TILE : (first + some) * TILE].view(some, TILE, across, TILE, outputs)
        results = results.permute(2, 0, 3, 1, 4)
        if bias is None:
            target.copy_(results)
        else:
            torch.add(results, bias, out=target)
    return found[:height, :width].permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
