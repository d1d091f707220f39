"""U²-Netp, which finds the subject of a photograph: Qin et al., "U²-Net: Going Deeper with Nested U-Structure for
Salient Object Detection" (Pattern Recognition 2020), the small version.

The batch normalisation of the published network is part of the weights of its convolutions.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.runtime.devices import computes_bfloat16
from engine.segmentation.weights import load

SIDE: Final = 320
"""The sides, in pixels, of the square to which the network was trained to see each photograph."""
_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
_MIDDLE: Final = 16
"""Channels within a block."""
_OUT: Final = 64
"""Channels between blocks."""


def _convolution(before: int, after: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation), nn.ReLU())


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def _halved(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, ceil_mode=True)


class _Block(nn.Module):
    """A residual U-block: a small U-Net within the large one.

    Args:
        channels: of its input.
        dilations: of the convolutions on the way down. All but the first follow a halving of the size, unless the
            block is ``flat``.
        flat: keep the size.
    """

    def __init__(self, channels: int, dilations: tuple[int, ...], *, flat: bool = False) -> None:
        super().__init__()
        self.flat = flat
        self.first = _convolution(channels, _OUT)
        down = (_OUT, *(_MIDDLE for _ in dilations))
        self.down = nn.ModuleList(
            _convolution(before, after, each) for (before, after), each in zip(pairwise(down), dilations, strict=True)
        )
        ups = dilations[-2::-1]
        self.up = nn.ModuleList(
            _convolution(2 * _MIDDLE, _OUT if index == len(ups) - 1 else _MIDDLE, each)
            for index, each in enumerate(ups)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Shape (1, channels, height, width) to (1, 64, height, width)."""
        first = self.first(x)
        kept: list[Tensor] = []
        x = first
        for index, layer in enumerate(self.down):
            # The last layer sees more by its dilation, and not by another halving.
            halves = not self.flat and 0 < index < len(self.down) - 1
            x = layer(_halved(x) if halves else x)
            kept.append(x)
        x = kept.pop()
        for layer in self.up:
            beside = kept.pop()
            x = layer(torch.cat((_enlarged(x, beside), beside), dim=1))
        result: Tensor = x + first
        return result


def _deep(channels: int, depth: int) -> _Block:
    return _Block(channels, (*(1 for _ in range(depth - 1)), 2))


def _flat(channels: int) -> _Block:
    return _Block(channels, (1, 2, 4, 8), flat=True)


class U2Netp(nn.Module):
    """Six blocks down, five up, and one picture of the subject from each level, which the last layer combines."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            (_deep(3, 7), _deep(_OUT, 6), _deep(_OUT, 5), _deep(_OUT, 4), _flat(_OUT), _flat(_OUT))
        )
        self.up = nn.ModuleList((_flat(2 * _OUT), *(_deep(2 * _OUT, depth) for depth in (4, 5, 6, 7))))
        self.sides = nn.ModuleList(nn.Conv2d(_OUT, 1, 3, padding=1) for _ in range(6))
        self.combine = nn.Conv2d(6, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB, shape (1, 3, height, width), to the saliency in [0, 1], shape (1, 1, height, width)."""
        kept: list[Tensor] = []
        for index, block in enumerate(self.down):
            x = block(_halved(x) if index else x)
            kept.append(x)
        levels = [kept.pop()]
        for block in self.up:
            beside = kept.pop()
            levels.append(block(torch.cat((_enlarged(levels[-1], beside), beside), dim=1)))
        sides = [side(level) for side, level in zip(self.sides, reversed(levels), strict=True)]
        combined: Tensor = self.combine(torch.cat([_enlarged(each, sides[0]) for each in sides], dim=1))
        return combined.sigmoid()


@lru_cache(maxsize=1)
def _network(dtype: torch.dtype) -> U2Netp:
    network = U2Netp().to(dtype=dtype).eval().requires_grad_(False)
    network.load_state_dict(load("u2netp"))
    for parameter in network.parameters():
        if parameter.ndim == 4:  # a convolution's, which runs faster so
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


@torch.no_grad()
def saliency(image: Tensor) -> Tensor:
    """How much each place of a photograph belongs to its subject. Runs on the CPU.

    Args:
        image: shape (1, 3, height, width), RGB in [0, 1], of any size.

    Returns:
        Shape (1, 1, :data:`SIDE`, :data:`SIDE`), from 0 to 1.
    """
    square = F.interpolate(image.cpu().float(), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    # The network was trained on pictures whose brightest value is 1.
    square = square / square.max().clamp(min=1 / 255)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (_MEAN, _STD))
    dtype = torch.bfloat16 if computes_bfloat16(torch.device("cpu")) else torch.float32
    found: Tensor = _network(dtype)(((square - mean) / std).to(dtype, memory_format=torch.channels_last))
    return found.float()
