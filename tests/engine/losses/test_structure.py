"""Edges, self-similarity and total variation against their formulas, written in numpy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.losses.structure import PLACES, POOLS, laplacian, self_similarity, total_variation
from engine.losses.terms import StructureTerm
from engine.recipe import Layer
from tests.engine.losses.formulas import Array, rand


def similarities(columns: list[Array]) -> Array:
    """Equation 4 of STROTSS, pair by pair: cosine distances, each over the sum of its column."""
    distances = np.zeros((len(columns), len(columns)))
    for i, one in enumerate(columns):
        for j, other in enumerate(columns):
            cosine = sum(a * b for a, b in zip(one, other, strict=True)) / np.sqrt((one**2).sum() * (other**2).sum())
            distances[i, j] = 1 - cosine
    for j in range(len(columns)):
        distances[:, j] /= distances[:, j].sum()
    return distances


def places(features: Tensor) -> list[Array]:
    """The vectors of all places, row by row."""
    return [each.double().numpy() for each in features[0].permute(1, 2, 0).flatten(0, 1)]


# --- Self-similarity ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_self_similarity_agrees_with_the_paper(dtype: torch.dtype) -> None:
    features = (rand(1, 7, 4, 5) - 0.3).to(dtype)
    found = self_similarity(features)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), similarities(places(features)), rtol=1e-3, atol=1e-6)


def test_self_similarity_depends_only_on_the_differences_between_places() -> None:
    """A rotation or a scaling of the features does not change it."""
    features = rand(1, 6, 4, 5)
    rotation = torch.linalg.qr(rand(6, 6, seed=3) - 0.5).Q
    turned = 3.7 * torch.einsum("ij,bjhw->bihw", rotation, features)
    assert (turned - features).abs().max() > 0.5
    torch.testing.assert_close(self_similarity(turned), self_similarity(features), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("height", "width", "stride"), [(32, 32, 1), (33, 32, 2), (40, 64, 2), (100, 90, 3)])
def test_large_features_are_sampled_on_a_grid(height: int, width: int, stride: int) -> None:
    features = rand(1, 2, height, width)
    found = self_similarity(features)
    assert found.shape[0] == len(range(0, height, stride)) * len(range(0, width, stride)) <= PLACES
    torch.testing.assert_close(found, self_similarity(features[..., ::stride, ::stride]), rtol=0, atol=0)


def test_equal_features_at_all_places_give_finite_distances_and_gradients() -> None:
    alike = torch.full((1, 4, 3, 3), 0.7).requires_grad_()
    found = self_similarity(alike)
    assert found.isfinite().all()
    (found * rand(9, 9)).sum().backward()
    assert alike.grad is not None
    assert alike.grad.isfinite().all()


def test_a_place_without_features_gives_finite_distances_and_gradients() -> None:
    features = rand(1, 4, 3, 3)
    features[..., 1, 1] = 0
    features.requires_grad_()
    found = self_similarity(features)
    (found * rand(9, 9)).sum().backward()
    assert found.isfinite().all()
    assert features.grad is not None
    assert features.grad.isfinite().all()


# --- Edges ---


def edges(image: Tensor, pool: int) -> Array:
    """The Laplacian of the means of squares, one by one. At the border, a square is its own neighbour."""
    pixels = image[0].double().numpy()
    height, width = (side // pool for side in pixels.shape[1:])
    found = np.zeros((3, height, width))
    for channel in range(3):
        means = np.array(
            [
                [pixels[channel, y * pool : (y + 1) * pool, x * pool : (x + 1) * pool].mean() for x in range(width)]
                for y in range(height)
            ]
        )
        for y in range(height):
            for x in range(width):
                around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                inside = [(min(max(v, 0), height - 1), min(max(u, 0), width - 1)) for v, u in around]
                found[channel, y, x] = sum(means[at] for at in inside) - 4 * means[y, x]
    return found


@pytest.mark.parametrize("pool", [1, 4, 16])
def test_edges_are_the_laplacian_of_the_means_of_squares(pool: int) -> None:
    image = rand(1, 3, 37, 50)
    np.testing.assert_allclose(laplacian(image, pool)[0].numpy(), edges(image, pool), atol=1e-5)


def test_a_flat_picture_has_no_edges_even_at_its_border() -> None:
    assert laplacian(torch.full((1, 3, 20, 30), 0.7), 4).abs().max() < 1e-6


# --- Total variation ---


def test_total_variation_is_the_mean_difference_of_neighbours() -> None:
    image = rand(1, 3, 6, 9)
    pixels = image[0].double().numpy()
    across = np.mean([abs(pixels[c, y, x + 1] - pixels[c, y, x]) for c in range(3) for y in range(6) for x in range(8)])
    down = np.mean([abs(pixels[c, y + 1, x] - pixels[c, y, x]) for c in range(3) for y in range(5) for x in range(9)])
    assert total_variation(image).item() == pytest.approx(across + down, rel=1e-5)


def test_the_total_variation_is_0_for_a_flat_picture_and_2_for_a_chessboard() -> None:
    assert total_variation(torch.full((1, 3, 6, 9), 0.3)).item() == 0
    board = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(3, 4).expand(1, 3, 6, 8)
    assert total_variation(board).item() == 2


# --- Structure ---

LAYER: Layer = "relu4_1"


def structure(features: Tensor, image: Tensor) -> StructureTerm:
    return StructureTerm.of(1.0, {LAYER: features}, image)


def test_the_distance_is_the_mean_of_the_distances_of_edges_and_of_self_similarity() -> None:
    content, painting = rand(1, 5, 4, 6, seed=1), rand(1, 5, 4, 6, seed=2)
    photo, image = rand(1, 3, 32, 48, seed=3), rand(1, 3, 32, 48, seed=4)
    moved = abs(similarities(places(painting)) - similarities(places(content))).sum() / (2 * 24)
    blurred = [
        ((edges(image, pool) - edges(photo, pool)) ** 2).sum() / (edges(photo, pool) ** 2).sum() for pool in POOLS
    ]
    found = structure(content, photo)({LAYER: painting}, image).item()
    assert found == pytest.approx((moved + np.mean(blurred)) / 2, rel=1e-3)


def test_the_distance_of_the_content_itself_is_zero() -> None:
    content, photo = rand(1, 5, 4, 6), rand(1, 3, 32, 48)
    assert structure(content, photo)({LAYER: content}, photo).item() == 0


def test_the_edge_distance_of_a_flat_picture_is_one() -> None:
    content, photo = rand(1, 5, 4, 6), rand(1, 3, 32, 48)
    found = structure(content, photo)({LAYER: content}, torch.full_like(photo, 0.5)).item()
    assert 2 * found == pytest.approx(1, rel=1e-5)


def test_the_self_similarity_distance_is_a_half_if_half_of_the_relations_change() -> None:
    """Of the two places that are unlike a place, one changes."""
    photo = torch.full((1, 3, 32, 32), 0.5)
    one, other = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    one[0, :, 0, :], one[0, :, 1, :] = torch.tensor([[1.0, 1.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    other[0, :, :, 0], other[0, :, :, 1] = (
        torch.tensor([[1.0, 1.0], [0.0, 0.0]]),
        torch.tensor([[0.0, 0.0], [1.0, 1.0]]),
    )
    found = structure(one, photo)({LAYER: other}, photo).item()
    assert 2 * found == pytest.approx(0.5, rel=1e-5)  # one of the two places that were far away still is


def test_noise_over_a_flat_content_hardly_counts_as_edges() -> None:
    """A division by nearly 0 would let this distance dominate all others."""
    flat, features = torch.full((1, 3, 32, 32), 0.5), rand(1, 4, 4, 4)
    grainy = (flat + (rand(1, 3, 32, 32) - 0.5) / 255).requires_grad_()
    found = structure(features, flat)({LAYER: features}, grainy)
    assert found.item() < 0.1
    found.backward()
    assert grainy.grad is not None
    assert grainy.grad.isfinite().all()


@pytest.mark.parametrize(("side", "pools"), [(16, {4, 16}), (64, {4, 16}), (15, {4})])
def test_squares_larger_than_the_picture_are_left_out(side: int, pools: set[int]) -> None:
    image = rand(1, 3, side, 40)
    assert structure(rand(1, 4, 2, 5), image).edges.keys() == pools


def test_structure_needs_one_layer() -> None:
    assert structure(rand(1, 4, 2, 5), rand(1, 3, 16, 40)).layers == {LAYER}
