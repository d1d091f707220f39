"""One block of VGG19 with its gradient by hand: it takes fewer passes over the activations than autograd's.

- A ReLU is part of its convolution, where oneDNN computes it: see :mod:`engine.vgg.convolution`.
- Pooling keeps the positive maxima only, so the ReLU before it is differentiated on a quarter of the positions.
- Pooling sees each pair of rows as a picture of its own, since torch shares its gradient among threads by pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from engine.recipe import Layer, Pooling
from engine.vgg.convolution import Convolution


@dataclass(frozen=True, slots=True)
class Block:
    """What to compute of a block."""

    convolutions: Sequence[Convolution]
    """At least one."""
    wanted: frozenset[Layer]
    """The layers to return."""
    pooling: Pooling | None
    """After the last convolution; None for none."""
    check: Callable[[], None]
    """Called before each convolution, except one without padding in the forward pass. It may raise."""
    recompute: bool
    """Whether to recompute the activations for the gradient instead of keeping them."""

    @property
    def names(self) -> list[Layer]:
        """The wanted layers in their order."""
        return [name for each in self.convolutions for name in (each.name, each.rectified) if name in self.wanted]

    def __call__(self, given: Tensor) -> tuple[Tensor, ...]:
        """The activations of :attr:`names`, then the pooled one if there is :attr:`pooling`. Differentiable."""
        found: tuple[Tensor, ...] = _Differentiable.apply(given, self)
        return found

    def forward(self, given: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The result of :meth:`__call__`, and what :meth:`backward` needs."""
        found, kept = [], [given]
        for each in self.convolutions:
            if each.padding:
                self.check()
            if each.name in self.wanted:
                found.append(each(kept[-1]))
                kept.append(F.relu(found[-1]))
            else:
                kept.append(each.with_relu(kept[-1]))
            if each.rectified in self.wanted:
                found.append(kept[-1])
        if self.pooling == "max":
            pooled, indices = F.max_pool2d(_as_pictures(kept[-1], 2), 2, return_indices=True)
            if self.convolutions[-1].rectified not in self.wanted:
                kept[-1] = kept[-1].new_empty(()).expand(kept[-1].shape)  # only its shape is read again
            found.append(_one_picture(pooled))
            kept += found[-1], indices
        elif self.pooling == "average":
            found.append(_one_picture(F.avg_pool2d(_as_pictures(kept[-1], 2), 2)))
        return found, kept

    def backward(self, slopes: Sequence[Tensor | None], kept: list[Tensor]) -> Tensor | None:
        """The gradient by the given activation, for the gradients ``slopes`` by the results; None for zero.

        Empties ``kept``, to free each activation after its use.
        """
        by_name = dict(zip(self.names, slopes, strict=False))
        slope, rectified = None, False
        if self.pooling == "max":
            indices, pooled = kept.pop(), kept.pop()
            if slopes[-1] is not None:
                rectified = by_name.get(self.convolutions[-1].rectified) is None
                slope = _through_relu(slopes[-1], pooled, owned=False) if rectified else slopes[-1]
                slope = _pooling_gradient(slope, kept[-1], indices)
            del indices, pooled
        elif self.pooling and slopes[-1] is not None:
            slope = _pooling_gradient(slopes[-1], kept[-1], None)
        for each in reversed(self.convolutions):
            owned = slope is not None  # the gradients that autograd gives may be read by others, too
            slope = _sum(slope, by_name.get(each.rectified))
            activation = kept.pop()
            if slope is not None and not rectified:
                slope = _through_relu(slope, activation, owned=owned)
            del activation
            rectified = False
            slope = _sum(slope, by_name.get(each.name))
            if slope is not None:
                self.check()
                slope = each.gradient(slope, kept[-1])
        return slope


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, given: Tensor, block: Block) -> tuple[Tensor, ...]:
        context.set_materialize_grads(False)
        context.block = block
        found, kept = block.forward(given)
        context.save_for_backward(*(kept[:1] if block.recompute else kept))
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(context: Any, *slopes: Tensor | None) -> tuple[Tensor | None, None]:
        block: Block = context.block
        kept = [*context.saved_tensors]
        return block.backward(slopes, block.forward(*kept)[1] if block.recompute else kept), None


def _pooling_gradient(slope: Tensor, activation: Tensor, indices: Tensor | None) -> Tensor:
    """The gradient by ``activation``, of which only the shape is read. ``indices`` are of maxima; None for averages."""
    activation = torch.empty_like(activation, memory_format=torch.channels_last)
    slopes, pairs, two = _as_pictures(slope, 1), _as_pictures(activation, 2), [2, 2]
    if indices is None:
        passed = torch.ops.aten.avg_pool2d_backward(slopes, pairs, two, two, [0, 0], False, True, None)
    else:
        passed = torch.ops.aten.max_pool2d_with_indices_backward(
            slopes, pairs, two, two, [0, 0], [1, 1], False, indices
        )
    passed = _one_picture(passed)
    left = activation.shape[2] - passed.shape[2]
    return F.pad(passed, (0, 0, 0, left)) if left else passed


def _through_relu(slope: Tensor, activation: Tensor, *, owned: bool) -> Tensor:
    """The gradient by the argument of a ReLU, in place of the gradient by its result if that is ``owned``."""
    if owned:
        torch.ops.aten.threshold_backward.grad_input(slope, activation, 0, grad_input=slope)
        return slope
    passed: Tensor = torch.ops.aten.threshold_backward(slope, activation, 0)
    return passed


def _sum(owned: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The sum of both, in place of the first."""
    if owned is None or other is None:
        return other if owned is None else owned
    return owned.add_(other)


def _as_pictures(picture: Tensor, rows: int) -> Tensor:
    """On a CPU, a view of (1, channels, height, width) as pictures of so many rows, without the rows that are left."""
    if picture.device.type != "cpu":
        return picture
    _, channels, height, width = picture.shape
    whole = picture.permute(0, 2, 3, 1)[:, : height // rows * rows]
    return whole.reshape(-1, rows, width, channels).permute(0, 3, 1, 2)


def _one_picture(pictures: Tensor) -> Tensor:
    """The reverse of :func:`_as_pictures`."""
    _, channels, _, width = pictures.shape
    return pictures.permute(0, 2, 3, 1).reshape(1, -1, width, channels).permute(0, 3, 1, 2)
