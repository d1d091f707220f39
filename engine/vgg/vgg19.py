"""VGG19 as a feature extractor: Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as recomputed

from engine.recipe import Layer, Pooling
from engine.vgg import weights


def _nothing() -> None:
    """The default of ``check`` in :meth:`VGG19.features`."""


def _in_two_parts(values: Tensor) -> tuple[Tensor, Tensor]:
    """Split ``values`` into a sum of two bfloat16 tensors with 16 significant bits together.

    The gradient is that of the first one. The product (a + b)(c + d) ≈ ac + bc + ad of two such sums is one bfloat16
    convolution with three times the channels. For an image with three channels it takes half of the time of a float32
    convolution, and a quarter of its memory.
    """
    high = values.to(torch.bfloat16)
    return high, (values - high).detach().to(torch.bfloat16)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution with its ReLU, and their names."""

    name: Layer
    rectified: Layer
    block: int
    weight: Tensor
    bias: Tensor


class VGG19:
    """The convolutions of VGG19 on one device, with frozen weights and activations in one precision.

    The first convolution pads by replication, as zeros would cause a dark frame. It reads the image with 16 bits also
    where the activations are bfloat16, whose 8 bits would show as grain. See :func:`_in_two_parts`.
    """

    def __init__(self, parameters: weights.Parameters, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._convolutions: list[_Convolution] = []
        for (block, number), index in weights.CONVOLUTIONS.items():
            weight = parameters[f"{index}.weight"].to(device)
            if dtype == torch.bfloat16 and not self._convolutions:
                high, low = _in_two_parts(weight)
                weight = torch.cat((high, high, low), dim=1)
            self._convolutions.append(
                _Convolution(
                    cast(Layer, f"conv{block}_{number}"),
                    cast(Layer, f"relu{block}_{number}"),
                    block,
                    weight.to(dtype, memory_format=torch.channels_last),
                    parameters[f"{index}.bias"].to(device, dtype),
                )
            )

    def features(
        self,
        image: Tensor,
        layers: Collection[Layer],
        check: Callable[[], None] = _nothing,
        *,
        pooling: Pooling = "max",
        recompute: bool = False,
    ) -> dict[Layer, Tensor]:
        """Compute the activations of ``layers``. Stops after the last of them.

        Args:
            image: shape (1, 3, height, width), float32, RGB in [0, 1]; sides of at least 16 pixels.
            layers: at least one.
            check: called before each convolution except the first, in the forward and in the backward pass. What it
                raises ends the computation. So a step of many seconds can be cancelled within a fraction of a second.
            pooling: between the blocks.
            recompute: save no activations within a block for the gradient, and recompute the block in the backward pass
                (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). Takes a third more time, and about
                half of the memory.

        Returns:
            By layer, shape (1, channels, height / 2^(block-1), width / 2^(block-1)), in the network's precision.

        Raises:
            ValueError: VGG19 has no such layer.
        """
        wanted = frozenset(layers)
        found: dict[Layer, Tensor] = {}
        activation = image
        for block, convolutions in groupby(self._convolutions, lambda each: each.block):
            ahead = tuple(convolutions)
            names = [name for each in ahead for name in (each.name, each.rectified) if name in wanted]
            last = len(found) + len(names) == len(wanted)

            def forward(
                given: Tensor, block: int = block, ahead: Sequence[_Convolution] = ahead, last: bool = last
            ) -> tuple[Tensor, ...]:
                return self._block(given, block, ahead, wanted, check, pooling, last)

            kept = recompute and activation.requires_grad
            outcome: tuple[Tensor, ...] = (
                recomputed(forward, activation, use_reentrant=False, preserve_rng_state=False)
                if kept
                else forward(activation)
            )
            *of_block, activation = outcome
            found |= dict(zip(names, of_block, strict=True))
            if last:
                return found
        raise ValueError(f"VGG19 has no layer {set(wanted) - set(found)}")

    def _block(
        self,
        activation: Tensor,
        block: int,
        convolutions: Sequence[_Convolution],
        wanted: frozenset[Layer],
        check: Callable[[], None],
        pooling: Pooling,
        last: bool,
    ) -> tuple[Tensor, ...]:
        """The wanted activations of one block in their order, then its last activation."""
        found: list[Tensor] = []
        if block > 1:
            activation = (F.max_pool2d if pooling == "max" else F.avg_pool2d)(activation, 2)
        left = sum(name in wanted for each in convolutions for name in (each.name, each.rectified))
        for each in convolutions:
            if each.name == "conv1_1":
                padded = F.pad(activation, (1, 1, 1, 1), mode="replicate")
                if self.dtype == torch.bfloat16:
                    high, low = _in_two_parts(padded)
                    padded = torch.cat((high, low, high), dim=1)
                activation = F.conv2d(padded.contiguous(memory_format=torch.channels_last), each.weight, each.bias)
            else:
                check()
                activation = F.conv2d(activation, each.weight, each.bias, padding=1)
            if each.name in wanted:
                found.append(activation)
                activation = F.relu(activation)
            else:
                activation = F.relu_(activation)
            if activation.requires_grad:
                activation.register_hook(lambda _: check())
            if each.rectified in wanted:
                found.append(activation)
            if last and len(found) == left:
                break
        return (*found, activation)


@lru_cache(maxsize=2)
def load_cached(source: str, device: torch.device, dtype: torch.dtype) -> VGG19:
    """Load VGG19 once in each process. See :func:`engine.vgg.weights.load` for ``source`` and errors."""
    return VGG19(weights.load(source), device, dtype)
