"""VGG19 as a feature extractor: Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015)."""

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import cast, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.recipe import Layer, Pooling
from engine.vgg import weights
from engine.vgg.block import Block
from engine.vgg.convolution import Convolution, PackedConvolution, runs_packed
from engine.vgg.winograd import LEAST_OUTPUTS, WinogradConvolution


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


class VGG19:
    """The convolutions of VGG19 on one device, with frozen weights and activations in one precision.

    The first convolution pads by replication, as zeros would cause a dark frame. It reads the image with 16 bits also
    where the activations are bfloat16, whose 8 bits would show as grain. See :func:`_in_two_parts`.
    """

    def __init__(self, parameters: weights.Parameters, device: torch.device, dtype: torch.dtype) -> None:
        self.device = device
        self.dtype = dtype
        self._blocks: list[list[Convolution]] = []
        for (block, number), index in weights.CONVOLUTIONS.items():
            weight = parameters[f"{index}.weight"].to(device)
            if dtype == torch.bfloat16 and not self._blocks:
                high, low = _in_two_parts(weight)
                weight = torch.cat((high, high, low), dim=1)
            if number == 1:
                self._blocks.append([])
            self._blocks[-1].append(
                fastest(device, dtype, weight)(
                    cast(Layer, f"conv{block}_{number}"),
                    cast(Layer, f"relu{block}_{number}"),
                    weight.to(dtype),
                    parameters[f"{index}.bias"].to(device, dtype),
                    padding=0 if index == 0 else 1,
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
                (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). Takes a third more time and
                less memory.

        Returns:
            By layer, shape (1, channels, height / 2^(block-1), width / 2^(block-1)), in the network's precision.

        Raises:
            ValueError: VGG19 has no such layer.
        """
        wanted = frozenset(layers)
        if unknown := wanted - set(get_args(Layer)):
            raise ValueError(f"VGG19 has no layer {set(unknown)}")
        found: dict[Layer, Tensor] = {}
        activation = self._padded(image)
        for convolutions in self._blocks:
            ending = _ending(convolutions, wanted - found.keys())
            block = Block(convolutions[:ending], wanted, None if ending else pooling, check, recompute)
            outcome = block(activation)
            found |= zip(block.names, outcome, strict=False)
            if ending:
                break
            activation = outcome[-1]
        return found

    def _padded(self, image: Tensor) -> Tensor:
        """The image as the first convolution reads it."""
        padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
        if self.dtype == torch.bfloat16:
            high, low = _in_two_parts(padded)
            padded = torch.cat((high, low, high), dim=1)
        return padded.contiguous(memory_format=torch.channels_last)


def fastest(device: torch.device, dtype: torch.dtype, weight: Tensor) -> type[Convolution]:
    """The class for a convolution with that ``weight``, which has the shape (outputs, inputs, 3, 3)."""
    if device.type == "cpu" and dtype == torch.bfloat16 and runs_packed():
        return PackedConvolution
    if device.type == "cpu" and dtype == torch.float32 and len(weight) >= LEAST_OUTPUTS:
        return WinogradConvolution
    return Convolution


def _ending(convolutions: Sequence[Convolution], wanted: frozenset[Layer]) -> int | None:
    """How many of a block's convolutions are needed for all ``wanted`` layers; None where other blocks have some."""
    for number, each in enumerate(convolutions, 1):
        wanted -= {each.name, each.rectified}
        if not wanted:
            return number
    return None


@lru_cache(maxsize=2)
def load_cached(source: str, device: torch.device, dtype: torch.dtype) -> VGG19:
    """Load VGG19 once in each process. See :func:`engine.vgg.weights.load` for ``source`` and errors."""
    return VGG19(weights.load(source), device, dtype)
