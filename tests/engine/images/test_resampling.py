"""Resizing, against the discrete cosine transform in matrix form."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.images.resampling import ROLL_OFF, resampled, resized


def rand(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def by_matrix(length: int, points: int) -> NDArray[np.float64]:
    """The inverse transform at `points` places, of the transform of `length` samples. Shape (points, length)."""
    frequencies = np.arange(min(length, points))

    def cosines(count: int) -> NDArray[np.float64]:
        places = (np.arange(count) + 0.5) / count
        return np.cos(np.pi * places[:, None] * frequencies)

    weights = np.where(frequencies, 2 / length, 1 / length)
    if points > length:
        beyond = np.maximum(frequencies / length - ROLL_OFF, 0) / (1 - ROLL_OFF)
        weights = weights * np.cos(np.pi * beyond / 2) ** 2
    found: NDArray[np.float64] = (cosines(points) * weights) @ cosines(length).T
    return found


@pytest.mark.parametrize("size", [(14, 10), (4, 3), (9, 6), (18, 4)])
def test_resampling_truncates_or_pads_the_cosine_transform(size: tuple[int, int]) -> None:
    image = rand(1, 3, 5, 7)
    expected = np.einsum("ph,bchw,qw->bcpq", by_matrix(5, size[1]), image.double().numpy(), by_matrix(7, size[0]))
    np.testing.assert_allclose(resampled(image, size).numpy(), expected, atol=1e-5)


def test_an_enlargement_treats_even_and_odd_pixels_alike() -> None:
    def parity(image: Tensor) -> float:
        """How much the mean difference of neighbours depends on whether the first one's column is even."""
        differences = image.diff(dim=-1).abs()
        even, odd = differences[..., ::2].mean().item(), differences[..., 1::2].mean().item()
        return abs(even - odd) / (even + odd)

    noise = rand(1, 3, 96, 96)
    bicubic = torch.nn.functional.interpolate(noise, (192, 192), mode="bicubic")
    assert parity(resized(noise, (192, 192))) < 0.01 < parity(bicubic)


def test_an_image_of_the_requested_size_is_returned_unchanged() -> None:
    image = rand(1, 3, 6, 9)
    assert resampled(image, (9, 6)) is image
    assert resized(image, (9, 6)).equal(image)


@pytest.mark.parametrize("size", [(18, 12), (5, 4), (9, 7)])
def test_resizing_keeps_pixels_in_range(size: tuple[int, int]) -> None:
    """Sinc interpolation overshoots at hard edges."""
    hard = (rand(1, 3, 6, 9) < 0.5).float()
    found = resized(hard, size)
    assert found.shape == (1, 3, size[1], size[0])
    assert 0 <= found.min() <= found.max() <= 1
    assert found.mean().item() == pytest.approx(hard.mean().item(), abs=0.1)


def test_a_plain_image_stays_plain_at_any_size() -> None:
    torch.testing.assert_close(resized(torch.full((1, 3, 6, 9), 0.3), (17, 13)), torch.full((1, 3, 13, 17), 0.3))
