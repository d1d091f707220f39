"""The gradient of a distance between Gram matrices that allows for its curvature."""

import pytest
import torch
from torch import Tensor

from engine.losses import curvature
from engine.losses.curvature import Curvature


def gram(seed: int, channels: int = 12) -> Tensor:
    rows = torch.rand(300, channels, generator=torch.Generator().manual_seed(seed)) * torch.logspace(0, -1, channels)
    return (rows.T @ rows / 300)[None]


def gradient(difference: Tensor, found: Curvature) -> Tensor:
    leaf = difference.clone().requires_grad_()
    (3 * found.square(leaf)).backward()
    assert leaf.grad is not None
    return leaf.grad / 3


def test_the_value_is_the_squared_norm() -> None:
    difference = gram(1) - gram(0)
    found = Curvature.of(gram(0), difference, torch.float32)
    torch.testing.assert_close(found.square(difference), difference.square().sum())


def test_with_much_damping_the_gradient_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curvature, "DAMPING", 1e6)
    difference = gram(1) - gram(0)
    found = gradient(difference, Curvature.of(gram(0), difference, torch.float32))
    torch.testing.assert_close(found, 2 * difference, rtol=1e-4, atol=1e-6)


def test_a_step_changes_the_gram_matrix_along_the_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """To first order, a change of the features along X F changes their Gram matrix G by X G + G X."""
    monkeypatch.setattr(curvature, "DAMPING", 0.0)
    aim, difference = gram(0).double(), (gram(1) - gram(0)).double()
    along = Curvature.of(aim, difference, torch.float64).allowed_for(difference).double()
    change = along @ aim + aim @ along
    plain = difference @ aim + aim @ difference

    def alike(one: Tensor, other: Tensor) -> float:
        return torch.cosine_similarity(one.flatten(), other.flatten(), dim=0).item()

    assert alike(change, difference) > 0.9999
    assert alike(plain, difference) < 0.99


def test_the_slope_along_the_first_difference_is_the_plain_one() -> None:
    difference = gram(1) - gram(0)
    found = gradient(difference, Curvature.of(gram(0), difference, torch.float32))
    torch.testing.assert_close((found * difference).sum(), 2 * difference.square().sum(), rtol=1e-4, atol=0)


def test_bfloat16_is_close_to_float32() -> None:
    difference = gram(1) - gram(0)
    short, full = (Curvature.of(gram(0), difference, dtype) for dtype in (torch.bfloat16, torch.float32))
    one, other = gradient(difference, short), gradient(difference, full)
    assert (one - other).norm() < 0.03 * other.norm()


def test_a_style_without_features_and_equal_pictures_have_finite_gradients() -> None:
    nothing = torch.zeros(1, 12, 12)
    for aim, difference in ((nothing, gram(0)), (gram(0), nothing), (nothing, nothing)):
        assert gradient(difference, Curvature.of(aim, difference, torch.float32)).isfinite().all()
