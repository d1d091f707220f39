"""Optical flow between two frames of a clip: where each pixel of one frame is in the other.

A variational method, coarse to fine: the flow makes the frames alike and is smooth except at edges (Brox et al., "High
Accuracy Optical Flow Estimation Based on a Theory for Warping", ECCV 2004). A median filter follows each warp (Sun,
Roth and Black, "Secrets of Optical Flow Estimation and Their Principles", CVPR 2010). Plain places, such as a sky,
show no motion. They move as what is near to them, and far from anything as the camera does.
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
PLAIN: Final = 0.03
"""The sum of squares of slopes, divided by the first softness, at which a place is plain by half."""
NEAR: Final = 0.03
"""How far the motion of other places extends into a plain one, as a share of the longer side."""
_CAMERA: Final = 0.01
"""The weight of the camera's motion in a plain place, against 1 for textured surroundings."""
_BAND: Final = 0.125
"""The width of the frame's border that shows the camera's motion, as a share of the shorter side."""
_EVIDENCE: Final = (0.15, 0.6)
"""The least share of this border that moves as the camera does, and of its texture."""
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
    flow = _with_plain(frames, flow)
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


def _with_plain(frames: Tensor, flow: Tensor) -> Tensor:
    """The flows between two frames, filled in where the frames are plain, if both show how the camera moves."""
    across, down = _slope(frames, -1), _slope(frames, -2)
    xx, xy, yy = (
        _averaged((one * other).sum(1, keepdim=True), 2) / _SOFTNESS[0]
        for one, other in ((across, across), (across, down), (down, down))
    )
    trace = xx + yy
    texture = trace.square() / (trace.square() + PLAIN**2)
    corners = (xx * yy - xy.square()).clamp(min=0) / (trace + 1e-9)  # between half the smaller eigenvalue and all of it
    sure = corners.square() / (corners.square() + PLAIN**2) * _inside(flow)
    cameras = [_camera(flow[at : at + 1], sure[at : at + 1]) for at in range(len(flow))]
    found = [each for each in cameras if each is not None]
    if len(found) < len(flow):
        return flow
    radius = max(1, round(NEAR * max(flow.shape[-2:])))
    weight, sums = sure, sure * flow
    for _ in range(3):  # nearly a Gaussian
        weight, sums = _averaged(weight, radius), _averaged(sums, radius)
    filled = (sums + _CAMERA * torch.cat(found)) / (weight + _CAMERA)
    return torch.lerp(filled, flow, texture)


def _camera(flow: Tensor, sure: Tensor) -> Tensor | None:
    """The camera's motion: a shift, a turn and a zoom that the flow at the frame's border follows.

    Args:
        flow: shape (1, 2, height, width).
        sure: how far each pixel's flow is known, shape (1, 1, height, width), from 0 to 1.

    Returns:
        The flow of all pixels, or None if the border does not show it.
    """
    height, width = flow.shape[-2:]
    band = max(2, round(_BAND * min(height, width)))
    border = torch.ones((height, width), dtype=torch.bool, device=flow.device)
    border[band:-band, band:-band] = False
    known = sure[0, 0][border].double()
    ends = flow[0][:, border].double()
    terms = _similarities(height, width, flow.device)
    there = terms[:, border]
    weight, motion = known, terms.new_zeros(4)
    for _ in range(10):  # least squares, with weights against what moves otherwise
        weighted = there * weight[:, None]
        normal = torch.einsum("cpi,cpj->ij", weighted, there) + 1e-6 * torch.eye(4, device=flow.device)
        motion = torch.linalg.solve(normal, torch.einsum("cpi,cp->i", weighted, ends))
        distance = (ends - there @ motion).square().sum(0)
        weight = known / (1 + 4 * distance)
    following = known[distance < 1].sum()
    least, least_of_texture = _EVIDENCE
    if following < least * len(known) or following < least_of_texture * known.sum():
        return None
    return (terms @ motion)[None].to(flow.dtype)


def _similarities(height: int, width: int, device: torch.device) -> Tensor:
    """Four flows that add up to any shift, turn and zoom, shape (2, height, width, 4)."""
    x = ((torch.arange(width, device=device).double() - width / 2) / width).expand(height, width)
    y = ((torch.arange(height, device=device).double() - height / 2) / width)[:, None].expand(height, width)
    none, one = torch.zeros_like(x), torch.ones_like(x)
    return torch.stack((torch.stack((one, none, x, -y), -1), torch.stack((none, one, y, x), -1)))


def _averaged(image: Tensor, radius: int) -> Tensor:
    """The mean over a square around each pixel."""
    side = 2 * radius + 1
    rows = F.avg_pool2d(image, (1, side), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(rows, (side, 1), 1, (radius, 0), count_include_pad=False)


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
