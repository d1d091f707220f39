"""The optical flow of frames whose motion is known."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.images.optical_flow import optical_flow, visible, warped

HEIGHT, WIDTH = 80, 120
WORLD = F.interpolate(
    torch.rand((1, 3, 28, 36), generator=torch.Generator().manual_seed(3)), (140, 180), mode="bicubic"
).clamp(0, 1)


def places(right: float, down: float, turned: float = 0.0) -> Tensor:
    """Where in the world each pixel of a view is, shape (2, height, width)."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) - HEIGHT / 2, torch.arange(WIDTH) - WIDTH / 2, indexing="ij")
    cos, sin = torch.cos(torch.tensor(turned)), torch.sin(torch.tensor(turned))
    return torch.stack((x * cos - y * sin + 90 + right, x * sin + y * cos + 70 + down))


def view(*at: float) -> Tensor:
    x, y = places(*at)
    grid = torch.stack(((2 * x + 1) / 180 - 1, (2 * y + 1) / 140 - 1), dim=-1)[None]
    return F.grid_sample(WORLD, grid, mode="bicubic", align_corners=False).clamp(0, 1)


def true_flow(right: float, down: float, turned: float = 0.0) -> Tensor:
    """From the first view to the one that is moved, by the inverse of its places."""
    x, y = places(0, 0)
    cos, sin = torch.cos(torch.tensor(turned)), torch.sin(torch.tensor(turned))
    x, y = x - 90 - right, y - 70 - down
    at = torch.stack((x * cos + y * sin + WIDTH / 2, -x * sin + y * cos + HEIGHT / 2))
    across, down_ = torch.arange(WIDTH).expand(HEIGHT, WIDTH), torch.arange(HEIGHT)[:, None].expand(HEIGHT, WIDTH)
    return at - torch.stack((across, down_))


@pytest.mark.parametrize("motion", [(1.3, -0.7, 0.0), (7.0, 4.0, 0.0), (1.0, 0.0, 0.05)])
def test_the_flow_is_the_motion_of_the_camera(motion: tuple[float, float, float]) -> None:
    first, second = view(0, 0), view(*motion)
    flow, back = optical_flow(first, second)
    inside = (slice(None), slice(12, -12), slice(12, -12))
    error = (flow[0] - true_flow(*motion))[inside].norm(dim=0)
    assert error.median() < 0.1
    assert error.mean() < 0.4
    assert (warped(second, flow) - first)[0][inside].abs().mean() < 1 / 255
    assert visible(first, second, flow, back)[0][inside].mean() > 0.97


def test_what_an_object_hides_and_what_leaves_the_frame_is_not_visible() -> None:
    first, second = view(0, 0), view(6, 0)
    second[..., 30:50, 40:70] = torch.tensor((1.0, 0.0, 1.0)).view(1, 3, 1, 1)
    flow, back = optical_flow(first, second)
    seen = visible(first, second, flow, back)[0, 0]
    assert seen[33:47, 50:72].mean() < 0.3
    assert seen[:, :4].mean() == 0
    assert seen[55:70, 20:100].mean() > 0.95


def test_equal_frames_have_no_flow() -> None:
    flow, back = optical_flow(view(0, 0), view(0, 0))
    assert max(flow.abs().max(), back.abs().max()) < 1e-3


def test_a_plain_sky_moves_as_the_camera_does_and_not_as_what_flies_in_it() -> None:
    first, second = view(0, 0), view(5, -3)
    for frame, top, left in ((first, 34, 70), (second, 37, 60)):
        frame[..., : top + 10, :] = 0.6
        frame[..., 12:22, left : left + 10] = torch.rand((3, 10, 10), generator=torch.Generator().manual_seed(5))
    flow, _ = optical_flow(first, second)
    error = (flow[0] - true_flow(5, -3)).norm(dim=0)
    assert error[3:40, 6:40].max() < 0.5
    assert error[3:40, 100:114].max() < 0.5
    assert error[50:70, 12:-12].mean() < 0.4
