"""VGG19's convolutions with frozen weights: each with its ReLU, and its gradient by its input."""

import logging
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.recipe import Layer

log = logging.getLogger(__name__)


class Convolution:
    """A convolution of 3 × 3 with its ReLU, by torch's public operators."""

    def __init__(self, name: Layer, rectified: Layer, weight: Tensor, bias: Tensor, padding: int) -> None:
        """``weight`` has the shape (outputs, inputs, 3, 3). ``padding`` is 0 or 1, on each side."""
        self.name = name
        self.rectified = rectified
        """The name of the ReLU's result."""
        self.padding = padding
        self._bias = bias
        self._prepare(weight)

    def _prepare(self, weight: Tensor) -> None:
        self._weight = weight.contiguous(memory_format=torch.channels_last)

    def __call__(self, given: Tensor) -> Tensor:
        """Without the ReLU."""
        return F.conv2d(given, self._weight, self._bias, padding=self.padding)

    def with_relu(self, given: Tensor) -> Tensor:
        """With the ReLU."""
        return F.relu_(self(given))

    def gradient(self, slope: Tensor, given: Tensor) -> Tensor:
        """The gradient by ``given``, of which only the shape is read, for the gradient ``slope`` by the result."""
        both = [self.padding] * 2
        passed: tuple[Tensor, None, None] = torch.ops.aten.convolution_backward(
            slope, given, self._weight, None, [1, 1], both, [1, 1], False, [0, 0], 1, [True, False, False]
        )
        return passed[0]


class PackedConvolution(Convolution):
    """The same by operators of oneDNN: with the ReLU in one pass, and with the weights in oneDNN's own order.

    The public operators bring the weights into that order at each call.
    """

    def _prepare(self, weight: Tensor) -> None:
        self._forward = _packed(weight, self.padding)
        self._backward = _packed(weight.flip(2, 3).transpose(0, 1), 2 - self.padding)

    def __call__(self, given: Tensor) -> Tensor:
        """Without the ReLU."""
        return _convolved(given, self._forward, self._bias, self.padding, "none")

    def with_relu(self, given: Tensor) -> Tensor:
        """With the ReLU."""
        return _convolved(given, self._forward, self._bias, self.padding, "relu")

    def gradient(self, slope: Tensor, given: Tensor) -> Tensor:
        """As in :class:`Convolution`, by a convolution with the flipped weights."""
        return _convolved(slope, self._backward, None, 2 - self.padding, "none")


@lru_cache
def runs_packed() -> bool:
    """Whether :class:`PackedConvolution` computes the same as :class:`Convolution` in bfloat16 on this CPU.

    Its operators, which torch's compiler uses, are not public. So they are tried once on a small picture.
    """
    dtype = torch.bfloat16
    given = torch.linspace(-1, 1, 16 * 64, dtype=dtype).view(1, 8, 8, 16).permute(0, 3, 1, 2)
    weight = torch.linspace(-1, 1, 32 * 16 * 9, dtype=dtype).view(32, 16, 3, 3)
    bias = torch.linspace(-1, 1, 32, dtype=dtype)
    plain = Convolution("conv1_1", "relu1_1", weight, bias, 1)
    try:
        packed = PackedConvolution("conv1_1", "relu1_1", weight, bias, 1)
        return torch.allclose(packed.with_relu(given), plain.with_relu(given), rtol=0.02, atol=0.02)
    except (AttributeError, RuntimeError, TypeError) as error:
        log.info("convolutions run without oneDNN's own operators: %s", error)
        return False


def _packed(weight: Tensor, padding: int) -> Tensor:
    both, inputs = [padding] * 2, [1, weight.shape[1], 64, 64]  # any size: the order does not depend on it
    packed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
        weight.contiguous(memory_format=torch.channels_last), both, [1, 1], [1, 1], 1, inputs
    )
    return packed


def _convolved(
    given: Tensor, packed: Tensor, bias: Tensor | None, padding: int, then: Literal["none", "relu"]
) -> Tensor:
    found: Tensor = torch.ops.mkldnn._convolution_pointwise(
        given, packed, bias, [padding] * 2, [1, 1], [1, 1], 1, then, [], ""
    )
    return found
