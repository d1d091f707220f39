"""Optical flow between two frames of a clip: where each pixel of one frame is in the other.

A variational method, coarse to fine: the flow makes the frames alike and is smooth except at edges (Brox et al., "High
Accuracy Optical Flow Estimation Based on a Theory for Warping", ECCV 2004). A median filter follows each warp (Sun,
Roth and Black, "Secrets of Optical Flow Estimation and Their Principles", CVPR 2010).
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST: Final = 8
"""Pixels of the shorter side from which on the pyramid is not halved again."""
SMOOTHNESS: Final = 0.1
"""The weight of the smoothness, for pixels in [0, 1]."""
WARPS: Final = 2
"""Linearisations at each level."""
ITERATIONS: Final = 50
"""Iterations of Jacobi's method for each linearisation."""
MEDIAN: Final = 5
"""Pixels of a side of the median filter."""
_SOFTNESS: Final = (0.01, 0.2)
"""Of the penalties sqrt(x² + softness²): of a difference of pixels, and of a difference of flow in pixels."""
LARGEST_MISMATCH: Final = (0.01, 0.5)
"""Of a pixel that is in both frames: |forward + backward|² is at most the first number times the sum of |forward|² and
|backward|², plus the second. Sundaram, Brox and Keutzer, "Dense Point Trajectories by GPU-accelerated Large
Displacement Optical Flow" (ECCV 2010).
"""
LARGEST_DIFFERENCE: Final = 0.15
"""The largest difference of colour of a pixel that is in both frames, for blurred pixels in [0, 1]."""


@torch.no_grad()
def optical_flow(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The flow between two frames, both ways.

    Args:
        first: shape (1, 3, height, width), RGB in [0, 1].
        second: likewise.

    Returns:
        Two tensors of shape (1, 2, height, width). The first one has, for each pixel of ``first``, how many pixels to
        the right and down it is in ``second``. The other one goes from ``second`` to ``first``.
    """
    frames = _blurred(torch.cat((first, second)).float())
    levels = [frames]
    while min(levels[-1].shape[-2:]) // 2 >= SMALLEST:
        levels.append(F.avg_pool2d(_blurred(levels[-1]), 2, ceil_mode=True, count_include_pad=False))
    flow = torch.zeros_like(levels[-1][:, :2])
    for level in reversed(levels):
        flow = _resized(flow, level)
        for _ in range(WARPS):
            flow = _median(_refined(level, level.flip(0), flow))
    return flow[:1], flow[1:]


@torch.no_grad()
def warped(image: Tensor, flow: Tensor, mode: str = "bicubic") -> Tensor:
    """The image as it is at the ends of a flow.

    With ``optical_flow(first, second)[0]``, an image of the second frame becomes one of the first. Beyond its borders,
    its last pixels repeat.

    Args:
        image: shape (1, channels, height, width).
        flow: shape (1, 2, height, width), in pixels to the right and down.
        mode: of the interpolation: ``bicubic``, which keeps detail, ``bilinear`` or ``nearest``.
    """
    height, width = image.shape[-2:]
    across = torch.arange(width, device=image.device) + flow[:, 0]
    down = torch.arange(height, device=image.device)[:, None] + flow[:, 1]
    grid = torch.stack(((2 * across + 1) / width - 1, (2 * down + 1) / height - 1), dim=-1)
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


@torch.no_grad()
def visible(first: Tensor, second: Tensor, flow: Tensor, back: Tensor) -> Tensor:
    """Which pixels of the first frame are in the second, too: shape (1, 1, height, width), 0 or 1.

    They are where the flow leads inside of the frame, where the flow back from there leads to the same pixel, and where
    the colours are alike.

    Args:
        first: shape (1, 3, height, width), RGB in [0, 1].
        second: likewise.
        flow: from the first frame to the second.
        back: from the second frame to the first.
    """
    there = warped(back, flow, "bilinear")
    lengths = flow.square().sum(1, keepdim=True) + there.square().sum(1, keepdim=True)
    share, rest = LARGEST_MISMATCH
    same_place = (flow + there).square().sum(1, keepdim=True) <= share * lengths + rest
    difference = (_blurred(first) - warped(_blurred(second), flow, "bilinear")).abs().amax(1, keepdim=True)
    return (same_place & (difference <= LARGEST_DIFFERENCE) & _inside(flow)).float()


def _inside(flow: Tensor) -> Tensor:
    """Whether the flow leads to a pixel inside of the frame, shape (batch, 1, height, width)."""
    height, width = flow.shape[-2:]
    across = torch.arange(width, device=flow.device) + flow[:, 0]
    down = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    return ((across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1))[:, None]


def _refined(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """Linearise the frames around a flow, and solve for the flow.

    The pixels of both frames at the flow's ends differ by ρ = It + Ix (u - u0) + Iy (v - v0). The flow (u, v) minimises
    Σ sqrt(ρ² + ε²) + smoothness · Σ sqrt(|∇u|² + |∇v|² + δ²), with the square roots linearised as weights.
    """
    there = torch.cat([warped(second[at : at + 1], flow[at : at + 1]) for at in range(len(flow))])
    across, down = (0.5 * (_slope(first, dim) + _slope(there, dim)) for dim in (-1, -2))
    change = there - first
    softness, flow_softness = _SOFTNESS
    weight = (change.square().sum(1, keepdim=True) + softness**2).rsqrt() * _inside(flow)
    xx, xy, yy = (
        weight * (one * other).sum(1, keepdim=True) for one, other in ((across, across), (across, down), (down, down))
    )
    rest = change - across * flow[:, :1] - down * flow[:, 1:]
    x, y = (-weight * (one * rest).sum(1, keepdim=True) for one in (across, down))
    # The weights of the smoothness, between a pixel and its neighbours to the right and below.
    right, below = (flow.diff(dim=dim) for dim in (-1, -2))
    steep = F.pad(right.square().sum(1, keepdim=True), (0, 1)) + F.pad(
        below.square().sum(1, keepdim=True), (0, 0, 0, 1)
    )
    smooth = SMOOTHNESS * (steep + flow_softness**2).rsqrt()
    to_right = F.pad(0.5 * (smooth[..., 1:] + smooth[..., :-1]), (1, 1))
    to_below = F.pad(0.5 * (smooth[..., 1:, :] + smooth[..., :-1, :]), (0, 0, 1, 1))
    total = to_right[..., 1:] + to_right[..., :-1] + to_below[..., 1:, :] + to_below[..., :-1, :]
    a, d = xx + total, yy + total
    scale = 1 / (a * d - xy.square())
    for _ in range(ITERATIONS):
        wide = F.pad(flow, (1, 1, 1, 1), mode="replicate")
        around = (
            to_right[..., 1:] * wide[..., 1:-1, 2:]
            + to_right[..., :-1] * wide[..., 1:-1, :-2]
            + to_below[..., 1:, :] * wide[..., 2:, 1:-1]
            + to_below[..., :-1, :] * wide[..., :-2, 1:-1]
        )
        one, other = x + around[:, :1], y + around[:, 1:]
        flow = torch.cat(((d * one - xy * other) * scale, (a * other - xy * one) * scale), dim=1)
    return flow


def _slope(image: Tensor, dim: int) -> Tensor:
    """Central differences along a dimension."""
    padding = (1, 1, 0, 0) if dim == -1 else (0, 0, 1, 1)
    wide = F.pad(image, padding, mode="replicate")
    size = image.shape[dim]
    return 0.5 * (wide.narrow(dim, 2, size) - wide.narrow(dim, 0, size))


def _blurred(image: Tensor) -> Tensor:
    """Binomial blur over three pixels, against dithering and aliasing."""
    wide = F.pad(image, (1, 1, 1, 1), mode="replicate")
    rows = 0.25 * wide[..., :-2, :] + 0.5 * wide[..., 1:-1, :] + 0.25 * wide[..., 2:, :]
    return 0.25 * rows[..., :-2] + 0.5 * rows[..., 1:-1] + 0.25 * rows[..., 2:]


def _median(flow: Tensor) -> Tensor:
    batch, channels, height, width = flow.shape
    around = F.unfold(F.pad(flow, (MEDIAN // 2,) * 4, mode="replicate"), MEDIAN)
    return around.view(batch, channels, MEDIAN**2, -1).median(dim=2).values.view(batch, channels, height, width)


def _resized(flow: Tensor, like: Tensor) -> Tensor:
    """The flow of a coarser level, for a finer one."""
    if flow.shape[-2:] == like.shape[-2:]:
        return flow
    sizes = torch.tensor([like.shape[-1] / flow.shape[-1], like.shape[-2] / flow.shape[-2]], device=flow.device)
    larger = F.interpolate(flow, size=like.shape[-2:], mode="bilinear", align_corners=False)
    return larger * sizes.view(1, 2, 1, 1)
