"""Gram matrices against the formula, written in numpy, and their gradients against autograd's in float64."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.losses.gram import blended, gram_matrix
from engine.recipe import Layer
from tests.engine.losses.formulas import Array, gram, rand

# --- Gram matrix ---


def test_the_gram_matrix_is_the_mean_of_outer_products() -> None:
    features = rand(1, 5, 6, 7)
    np.testing.assert_allclose(gram_matrix(features).numpy(), gram(features.double().numpy()), rtol=1e-5)


def test_the_gram_matrix_of_reordered_memory_is_the_same() -> None:
    features = rand(1, 5, 6, 7)
    strided = features.to(memory_format=torch.channels_last)
    torch.testing.assert_close(gram_matrix(strided), gram_matrix(features))


def test_a_tiled_picture_has_the_statistics_of_its_tile() -> None:
    tile = rand(1, 5, 6, 7)
    torch.testing.assert_close(gram_matrix(tile.repeat(1, 1, 3, 4)), gram_matrix(tile))


def test_the_gram_matrix_of_bfloat16_neither_overflows_nor_loses_precision() -> None:
    features = rand(1, 4, 32, 32).mul(60_000).bfloat16()
    found = gram_matrix(features)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), gram(features.double().numpy()), rtol=2e-3)


@pytest.mark.parametrize("positions", [(1, 1), (15, 17), (16, 16), (31, 33), (61, 67), (64, 64)])
def test_the_gram_matrix_of_bfloat16_includes_every_position(positions: tuple[int, int]) -> None:
    """It is summed in parts of unequal sizes. Each position has its own pair of channels, and so its own element of the
    matrix, which shows whether the position is left out or counted twice.
    """
    count = positions[0] * positions[1]
    channels = math.isqrt(count - 1) + 1
    features = torch.zeros(1, 2 * channels, count, dtype=torch.bfloat16)
    places = torch.arange(count)
    features[0, places // channels, places] = 1
    features[0, channels + places % channels, places] = 2
    found = gram_matrix(features.view(1, 2 * channels, *positions))[0, :channels, channels:].flatten()[:count]
    np.testing.assert_allclose(found.numpy(), np.full(count, 2 / count), rtol=1e-6)


def plain_gram(features: Tensor) -> Tensor:
    """The formula, differentiated by autograd itself."""
    return torch.einsum("bchw,bdhw->bcd", features, features) / features[0, 0].numel()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gram_matrix_has_the_gradient_of_the_plain_formula(layout: torch.memory_format) -> None:
    """For any slope, also one that is not symmetric."""
    slope = rand(1, 5, 5, seed=9) - 0.5
    ours = rand(1, 5, 6, 7).contiguous(memory_format=layout).requires_grad_()
    theirs = rand(1, 5, 6, 7).double().requires_grad_()
    gram_matrix(ours).backward(slope)
    plain_gram(theirs).backward(slope.double())
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_bfloat16_agrees_to_its_precision() -> None:
    slope = rand(1, 16, 16, seed=9) - 0.5
    ours = rand(1, 16, 24, 20).bfloat16().requires_grad_()
    theirs = ours.detach().double().requires_grad_()
    gram_matrix(ours).backward(slope)
    plain_gram(theirs).backward(slope.double())
    assert ours.grad is not None
    assert theirs.grad is not None
    assert ours.grad.dtype == torch.bfloat16
    assert (ours.grad.double() - theirs.grad).norm() < 2**-7 * theirs.grad.norm()


def test_no_copy_of_bfloat16_features_is_kept_for_the_gradient() -> None:
    """Autograd would also keep the features in float32, which takes twice as much memory again."""
    features = rand(1, 16, 24, 20).bfloat16().requires_grad_()
    kept: list[Tensor] = []

    def pack(each: Tensor) -> Tensor:
        kept.append(each)
        return each

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda each: each):
        matrix = gram_matrix(features)
    assert matrix.dtype == torch.float32
    assert [each.data_ptr() for each in kept] == [features.data_ptr()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(6, 7), (31, 33)])
def test_each_picture_of_a_batch_has_its_own_gram_matrix_and_gradient(
    size: tuple[int, int], layout: torch.memory_format, dtype: torch.dtype
) -> None:
    features = (rand(3, 5, *size) * torch.tensor([1.0, 2.0, 3.0])[:, None, None, None]).to(dtype)
    slope = rand(3, 5, 5, seed=9) - 0.5
    batch = features.clone(memory_format=layout).requires_grad_()
    found = gram_matrix(batch)
    found.backward(slope)
    assert found.shape == (3, 5, 5)
    assert batch.grad is not None
    for index in range(3):
        one = features[index : index + 1].clone(memory_format=layout).requires_grad_()
        expected = gram_matrix(one)
        expected.backward(slope[index : index + 1])
        assert one.grad is not None
        torch.testing.assert_close(found[index], expected[0])
        torch.testing.assert_close(batch.grad[index], one.grad[0])


def test_the_gradient_of_a_batch_agrees_with_finite_differences() -> None:
    """The loss is quadratic in each feature, so a central difference is exact."""
    features, slope, step = rand(3, 4, 3, 5), rand(3, 4, 4, seed=9) - 0.5, 2**-6
    ours = features.clone().requires_grad_()
    (gram_matrix(ours) * slope).sum().backward()
    assert ours.grad is not None

    def loss(values: Array) -> float:
        matrices = np.einsum("bchw,bdhw->bcd", values, values) / 15
        return float((matrices * slope.double().numpy()).sum())

    for at in np.ndindex(features.shape):
        above, below = features.double().numpy(), features.double().numpy()
        above[at] += step
        below[at] -= step
        assert ours.grad[at].item() == pytest.approx((loss(above) - loss(below)) / (2 * step), rel=1e-3, abs=1e-6)


# --- Several styles ---


@pytest.mark.parametrize(
    ("shares", "parts"),
    [((1, 1), (0.5, 0.5)), ((1, 3), (0.25, 0.75)), ((10, 30), (0.25, 0.75)), ((1, 0), (1, 0)), ((0, 2), (0, 1))],
)
def test_styles_are_averaged_by_their_shares(shares: tuple[float, float], parts: tuple[float, float]) -> None:
    one, other = rand(5, 5, seed=1), rand(5, 5, seed=2)
    found = blended([{"relu1_1": one}, {"relu1_1": other}], shares)["relu1_1"]
    np.testing.assert_allclose(found.numpy(), parts[0] * one.numpy() + parts[1] * other.numpy(), rtol=1e-6)


def test_each_style_needs_a_share() -> None:
    statistics: list[dict[Layer, Tensor]] = [{"relu1_1": rand(2, 2)}] * 2
    with pytest.raises(ValueError, match="is shorter than"):
        blended(statistics, [1.0])
