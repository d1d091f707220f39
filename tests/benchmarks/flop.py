"""How many floating-point operations a step needs, counted from VGG19's layers; multiplying and adding are two.

What a step *needs*: a forward pass that is computed again to save memory does not count twice.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn
from torchvision.models import vgg19


@dataclass(frozen=True, slots=True)
class Convolution:
    """A 3×3 convolution of stride 1 that keeps the size; all of VGG19's are such."""

    name: str
    """Such as ``conv3_1``."""
    inputs: int
    outputs: int
    """Channels."""
    width: int
    height: int

    @property
    def flop(self) -> int:
        """Of the forward pass, the bias left out. The gradient of the input takes as many."""
        return 2 * 9 * self.inputs * self.outputs * self.width * self.height


@dataclass(frozen=True, slots=True)
class StepFlop:
    """What one step needs."""

    forward: int
    """Of all convolutions."""
    backward: int
    """Of the gradients of their inputs, the image's included. Weights are frozen: theirs cost nothing."""
    gram: int
    """Of Gram matrices F Fᵀ and of their gradient 2 F dG, as full matrices."""

    @property
    def convolutions(self) -> int:
        """Forward and backward."""
        return self.forward + self.backward


def convolutions(width: int, height: int, last: str) -> list[Convolution]:
    """VGG19's convolutions for a picture of ``width`` × ``height``, up to the layer ``last`` (``relu5_1`` or such)."""
    with torch.device("meta"):
        modules = vgg19(weights=None).features
    found: list[Convolution] = []
    block, number = 1, 1
    for module in modules:
        if isinstance(module, nn.Conv2d):
            name = f"conv{block}_{number}"
            found.append(Convolution(name, module.in_channels, module.out_channels, width, height))
            if last.removeprefix("relu").removeprefix("conv") == f"{block}_{number}":
                return found
            number += 1
        elif isinstance(module, nn.MaxPool2d):
            width, height = width // 2, height // 2
            block, number = block + 1, 1
    raise ValueError(f"VGG19 has no layer {last}")


def of_step(width: int, height: int, content_layers: Collection[str], style_layers: Collection[str]) -> StepFlop:
    """Count a step whose loss looks at these layers."""
    deepest = max((*content_layers, *style_layers), key=lambda layer: layer[-3:])
    passed = convolutions(width, height, deepest)
    forward = sum(each.flop for each in passed)
    shapes = {each.name[-3:]: each for each in passed}
    gram = sum(2 * shapes[layer[-3:]].outputs ** 2 * shapes[layer[-3:]].width * shapes[layer[-3:]].height
               for layer in style_layers)  # fmt: skip
    return StepFlop(forward=forward, backward=forward, gram=2 * gram)
