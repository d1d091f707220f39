"""BlazeFace, which finds faces: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"
(CVPR Workshop 2019). The short-range model of MediaPipe.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.segmentation.weights import load

SIDE: Final = 128
"""The sides, in pixels, of the square that the network sees."""
LEAST_SCORE: Final = 0.75
"""From 0 to 1: what scores less is no face."""
_CHANNELS: Final = (24, 24, 28, 32, 36, 42, 48, 56, 64, 72, 80, 88, 96, 96, 96, 96, 96)
"""Before and after each block."""
_HALVING: Final = frozenset({2, 5, 11})
"""The blocks that halve the size."""
_FINE: Final = 10
"""The block whose output, at 16 × 16 places, finds small faces. The last one's, at 8 × 8, finds larger ones."""
_ANCHORS: Final = ((16, 2), (8, 6))
"""For each of the two: places along a side, and anchors at each place."""
_OVERLAP: Final = 0.3
"""Two boxes that share more than this part of the smaller one are one face."""


@dataclass(frozen=True, slots=True)
class Face:
    """A box around a face, in shares of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float
    score: float


class _Block(nn.Module):
    """A depthwise and a pointwise convolution beside a short cut, which gets further channels of zeros."""

    def __init__(self, before: int, after: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.added = after - before
        self.depthwise = nn.Conv2d(before, before, 3, 2 if halves else 1, 0 if halves else 1, groups=before)
        self.pointwise = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, before, height, width) to (batch, after, …), of half the size if the block halves it."""
        short = F.max_pool2d(x, 2) if self.halves else x
        # TensorFlow pads below and to the right where an even size is halved.
        seen = F.pad(x, (0, 1, 0, 1)) if self.halves else x
        return F.relu(self.pointwise(self.depthwise(seen)) + F.pad(short, (0, 0, 0, 0, 0, self.added)))


class BlazeFace(nn.Module):
    """The network without the choice among its overlapping boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, _CHANNELS[0], 5, 2)
        self.blocks = nn.ModuleList(
            _Block(before, after, halves=index in _HALVING) for index, (before, after) in enumerate(pairwise(_CHANNELS))
        )
        ends = (_CHANNELS[_FINE + 1], _CHANNELS[-1])
        self.scores = nn.ModuleList(nn.Conv2d(end, each, 1) for end, (_, each) in zip(ends, _ANCHORS, strict=True))
        self.boxes = nn.ModuleList(nn.Conv2d(end, 16 * each, 1) for end, (_, each) in zip(ends, _ANCHORS, strict=True))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """RGB in [-1, 1], shape (batch, 3, 128, 128), to boxes (batch, 896, 16) and logits of scores (batch, 896).

        The first four values of a box are the offset of its middle from its anchor, and its size, in pixels.
        """
        x = F.relu(self.first(F.pad(x, (1, 2, 1, 2))))
        ends: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in {_FINE, len(self.blocks) - 1}:
                ends.append(x)
        boxes = [
            head(end).permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 16))
            for head, end in zip(self.boxes, ends, strict=True)
        ]
        scores = [head(end).permute(0, 2, 3, 1).flatten(1) for head, end in zip(self.scores, ends, strict=True)]
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


@lru_cache(maxsize=1)
def _network() -> BlazeFace:
    network = BlazeFace().eval().requires_grad_(False)
    network.load_state_dict(load("blazeface"))
    return network


@torch.no_grad()
def faces(image: Tensor) -> list[Face]:
    """Find the faces in a photograph, those with the highest scores first. Runs on the CPU.

    The network looks at the whole photograph, and at overlapping parts of it: it misses faces that are small in what
    it sees.

    Args:
        image: shape (1, 3, height, width), RGB in [0, 1], of any size.
    """
    image = image.cpu().float()
    height, width = image.shape[-2:]
    windows = list(_windows(width, height))
    seen = torch.cat([_square(image, *each) for each in windows])
    boxes, logits = _network()(seen * 2 - 1)
    scores = logits.clamp(-100, 100).sigmoid()
    middles = boxes[..., :2] / SIDE + _anchors()
    halves = boxes[..., 2:4] / SIDE / 2
    corners = torch.cat((middles - halves, middles + halves), dim=-1)
    found: list[Face] = []
    for (left, top, side), box, score in zip(windows, corners, scores, strict=True):
        for index in (score >= LEAST_SCORE).nonzero()[:, 0].tolist():
            x0, y0, x1, y1 = (box[index] * side).tolist()
            place = ((left + x0) / width, (top + y0) / height, (left + x1) / width, (top + y1) / height)
            found.append(Face(*place, score[index].item()))
    return _distinct(sorted(found, key=lambda face: -face.score))


def _windows(width: int, height: int) -> Iterator[tuple[int, int, int]]:
    """Squares, by left, top and side: the whole picture with its borders, and overlapping parts of two sizes."""
    longer, shorter = max(width, height), min(width, height)
    yield (width - longer) // 2, (height - longer) // 2, longer
    for side in (shorter, round(shorter / 1.8)):
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield left, top, side


def _starts(length: int, side: int) -> list[int]:
    """Where windows begin that cover a length and overlap by a third or more."""
    count = 1 if side >= length else 1 + -(-(length - side) * 3 // (2 * side))
    return [0] if count == 1 else [round(index * (length - side) / (count - 1)) for index in range(count)]


def _square(image: Tensor, left: int, top: int, side: int) -> Tensor:
    """A window of a picture, black beyond its borders, at the size that the network sees."""
    height, width = image.shape[-2:]
    part = image[..., max(top, 0) : top + side, max(left, 0) : left + side]
    beyond = (max(-left, 0), max(left + side - width, 0), max(-top, 0), max(top + side - height, 0))
    return F.interpolate(F.pad(part, beyond), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)


@lru_cache(maxsize=1)
def _anchors() -> Tensor:
    """The middles of the anchors, shape (896, 2), from 0 to 1."""
    middles = []
    for places, each in _ANCHORS:
        line = (torch.arange(places) + 0.5) / places
        y, x = torch.meshgrid(line, line, indexing="ij")
        middles.append(torch.stack((x, y), dim=-1).flatten(0, 1).repeat_interleave(each, dim=0))
    return torch.cat(middles)


def _distinct(faces: Sequence[Face]) -> list[Face]:
    """Those that do not overlap with one before them."""
    kept: list[Face] = []
    for face in faces:
        if all(_overlap(face, other) < _OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(one: Face, other: Face) -> float:
    """The area that two boxes share, divided by that of the smaller one, from 0 to 1."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    areas = ((each.right - each.left) * (each.bottom - each.top) for each in (one, other))
    return max(0.0, width) * max(0.0, height) / min(areas)
