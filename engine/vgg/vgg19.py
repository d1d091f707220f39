"""VGG19 as a bank of features: Simonyan and Zisserman, "Very Deep Convolutional Networks" (ICLR 2015)."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as recomputed
from torchvision.models import vgg19

from engine.recipe import Layer, Pooling
from engine.vgg import weights


def _nothing() -> None:
    """The default of ``check`` in :meth:`VGG19.features`."""


def _in_two_parts(values: Tensor) -> tuple[Tensor, Tensor]:
    """``values`` as the sum of two tensors in bfloat16, which have 16 bits together; the gradient is the first one's.

    The product of two such sums, less that of both second parts, is a convolution in bfloat16 with three times the
    channels: for an image of three channels it takes half of the time of one in float32, and a quarter of its memory.
    """
    high = values.to(torch.bfloat16)
    return high, (values - high).detach().to(torch.bfloat16)


@dataclass(frozen=True, slots=True)
class _Convolution:
    """A convolution and the rectification after it."""

    name: Layer
    rectified: Layer
    block: int
    weight: Tensor
    bias: Tensor


class VGG19:
    """The convolutions of VGG19 on one device, frozen, with the activations in one precision.

    The first convolution pads by replication, so that no dark frame grows from the border, and sees the image in its
    full precision: bfloat16 has 8 bits, which would show as grain. See :func:`_in_two_parts`.
    """

    def __init__(self, parameters: weights.Parameters, device: torch.device, dtype: torch.dtype) -> None:
        with torch.device("meta"):
            network = vgg19(weights=None).features
        network.load_state_dict(parameters, assign=True)
        network.eval().requires_grad_(requires_grad=False).to(device, memory_format=torch.channels_last)
        self.device = device
        self.dtype = dtype
        self._convolutions: list[_Convolution] = []
        block, number = 1, 1
        for module in network.children():
            if isinstance(module, nn.Conv2d):
                assert module.bias is not None  # noqa: S101 - tells the type checker what VGG19's convolutions have
                place = f"{block}_{number}"
                weight = module.weight
                if dtype == torch.bfloat16 and not self._convolutions:
                    high, low = _in_two_parts(weight)
                    weight = torch.cat((high, high, low), dim=1)
                self._convolutions.append(
                    _Convolution(
                        cast(Layer, f"conv{place}"),
                        cast(Layer, f"relu{place}"),
                        block,
                        weight.to(dtype, memory_format=torch.channels_last),
                        module.bias.to(dtype),
                    )
                )
                number += 1
            elif isinstance(module, nn.MaxPool2d):
                block, number = block + 1, 1

    def features(
        self,
        image: Tensor,
        layers: Collection[Layer],
        check: Callable[[], None] = _nothing,
        *,
        pooling: Pooling = "max",
        recompute: bool = False,
    ) -> dict[Layer, Tensor]:
        """Compute the activations of ``layers``, and no layer beyond the last of them.

        Args:
            image: shape (1, 3, height, width), float32, RGB in [0, 1]; sides of at least 16 pixels.
            layers: which activations to return, each of shape (1, channels, height / 2^(block-1), width / 2^(block-1)).
            check: called before each convolution but the first, forwards and backwards. What it raises ends the
                computation, so that a step of many seconds can be cancelled within a fraction of one.
            pooling: between the blocks.
            recompute: keep nothing within a block for the gradient, and compute the block again when its turn comes
                (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016): a third more work forwards for
                about half of the memory.
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
        """The wanted activations of one block in their order, and after them its last."""
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
    """Load VGG19 once in each process and keep it: see :func:`engine.vgg.weights.load` for ``source`` and errors."""
    return VGG19(weights.load(source), device, dtype)
