"""The measures of :mod:`tests.benchmarks.measures`, each compared with a value that is computed in another way."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.images.colour import srgb
from engine.recipe import Recipe
from engine.vgg.vgg19 import VGG19, load_cached
from tests.benchmarks import measures
from tests.benchmarks.measures import (
    STYLE_LAYERS,
    Judge,
    added_weave,
    axes,
    colour_distance,
    flat,
    grain,
    luminance,
    nearest_distances,
    relation_distance,
    relations,
    speckle,
    ssim,
    statistics,
    style_distance,
    weave,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Uniform in [0, 1)."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def plain(*colour: float, height: int = 64, width: int = 80) -> Tensor:
    """One sRGB colour everywhere."""
    return torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, height, width).clone()


def grey(levels: Tensor) -> Tensor:
    """A picture (1, 3, height, width) of the grey levels (height, width)."""
    return levels.expand(1, 3, *levels.shape).contiguous()


# --- Structural similarity ---


def test_ssim_equals_the_result_of_a_loop_over_windows() -> None:
    """Equation 13 of Wang et al. for each window separately, with two-dimensional weights."""
    first, second = noise(1, 3, 17, 14), noise(1, 3, 17, 14, seed=1)
    second = 0.6 * first + 0.4 * second
    x, y = ((0.299 * p[0, 0] + 0.587 * p[0, 1] + 0.114 * p[0, 2]).double().numpy() for p in (first, second))
    row, column = np.mgrid[-5:6, -5:6]
    weights = np.exp(-(row**2 + column**2) / (2 * 1.5**2))
    weights /= weights.sum()
    found = []
    for top in range(17 - 10):
        for left in range(14 - 10):
            a, b = x[top : top + 11, left : left + 11], y[top : top + 11, left : left + 11]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            spread_a, spread_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            together = (weights * (a - mean_a) * (b - mean_b)).sum()
            light = (2 * mean_a * mean_b + 0.0001) / (mean_a**2 + mean_b**2 + 0.0001)
            found.append(light * (2 * together + 0.0009) / (spread_a + spread_b + 0.0009))

    assert ssim(first, second) == pytest.approx(np.mean(found), abs=1e-5)
    assert 0.1 < ssim(first, second) < 0.9


def test_ssim_of_a_picture_with_itself_is_1_and_of_black_with_white_almost_0() -> None:
    picture = noise(1, 3, 40, 40)

    assert ssim(picture, picture) == pytest.approx(1, abs=1e-6)
    assert ssim(plain(0, 0, 0), plain(1, 1, 1)) == pytest.approx(0.0001 / 1.0001, rel=1e-3)


def test_green_has_a_higher_luminance_than_red_and_red_than_blue() -> None:
    red, green, blue = (luminance(plain(*colour)).mean().item() for colour in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))

    assert green > red > blue > 0
    assert red + green + blue == pytest.approx(1)


# --- Colours ---


def test_the_axes_are_31_different_and_evenly_distributed_directions() -> None:
    directions = axes()
    between = (directions @ directions.T).abs() - torch.eye(31)

    assert directions.shape == (31, 3)
    assert between.max() < 0.99
    assert torch.allclose(directions.T @ directions / 31, torch.eye(3, dtype=torch.float64) / 3)


def test_the_distance_of_shifted_colours_is_the_length_of_the_shift() -> None:
    colours = torch.tensor([0.5, 0.0, 0.0]).view(1, 3, 1, 1) + 0.05 * (noise(1, 3, 60, 50) - 0.5)
    shift = torch.tensor([0.10, -0.03, 0.06])

    found = colour_distance(srgb(colours), srgb(colours + shift.view(1, 3, 1, 1)))

    assert found == pytest.approx(math.sqrt(0.10**2 + 0.03**2 + 0.06**2), rel=1e-3)


def test_the_distance_between_black_white_and_half_of_each_is_the_one_computed_by_hand() -> None:
    """Half of the pixels differ by 1, so the mean of the squares is a half."""
    half = torch.cat((plain(0, 0, 0), plain(1, 1, 1)), dim=3)

    assert colour_distance(plain(0, 0, 0), plain(1, 1, 1)) == pytest.approx(1, abs=1e-3)
    assert colour_distance(plain(0, 0, 0), half) == pytest.approx(math.sqrt(0.5), abs=1e-3)


def test_the_colour_distance_does_not_depend_on_positions_or_size() -> None:
    picture = noise(1, 3, 32, 48)
    order = torch.randperm(32 * 48, generator=torch.Generator().manual_seed(1))
    shuffled = picture.flatten(2)[..., order].view_as(picture)

    assert colour_distance(picture, shuffled) == pytest.approx(0, abs=1e-6)
    assert colour_distance(picture, picture.repeat(1, 1, 2, 3)) < 0.002
    assert colour_distance(picture, picture.square()) > 0.05


# --- Features ---


def test_statistics_equal_the_mean_and_the_covariance_of_numpy() -> None:
    features = noise(1, 5, 6, 7)
    rows = features[0].flatten(1).double().numpy()

    mean, covariance = statistics(features)

    np.testing.assert_allclose(mean, rows.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(covariance, np.cov(rows, bias=True), atol=1e-6)


def test_the_style_distance_equals_the_value_computed_by_hand() -> None:
    """Two channels that alternate: means (1, 0) and (1, 2), covariances diag(1, 0) and diag(4, 0)."""
    style = torch.tensor([[[[0.0, 2.0]], [[0.0, 0.0]]]])
    other = torch.tensor([[[[-1.0, 3.0]], [[2.0, 2.0]]]])

    assert style_distance(style, style) == 0
    assert style_distance(other, style) == pytest.approx(math.sqrt((4 / 1 + 9 / 1) / 2))


def test_the_style_distance_does_not_depend_on_positions() -> None:
    features = noise(1, 8, 6, 6)

    assert style_distance(features.rot90(dims=(2, 3)).flip(3), features) == pytest.approx(0, abs=1e-5)


def test_relations_of_four_places_equal_the_values_computed_by_hand() -> None:
    """The places a a b b compared with a b a b: in each column, half of the sum is at another place."""
    a, b = (1.0, 0.0), (0.0, 1.0)
    first, second = (torch.tensor(places).T.reshape(1, 2, 2, 2) for places in ((a, a, b, b), (a, b, a, b)))

    assert relations(first)[:, 0].tolist() == pytest.approx([0, 0, 0.5, 0.5])
    assert relation_distance(relations(first), relations(second)) == pytest.approx(0.5)


def test_relations_stay_the_same_when_the_features_are_rotated_and_scaled() -> None:
    """A rotation mixes the channels, and each place is scaled; the similarities stay the same."""
    features = noise(1, 16, 9, 8)
    rotation, _ = torch.linalg.qr(noise(16, 16, seed=1) - 0.5)
    other = torch.einsum("ij,bjhw->bihw", rotation, features) * (0.5 + noise(1, 1, 9, 8, seed=2))

    assert relation_distance(relations(features), relations(other)) == pytest.approx(0, abs=1e-5)
    assert relation_distance(relations(features), relations(noise(1, 16, 9, 8, seed=3))) > 0.05


def test_nearest_distances_of_four_places_equal_the_values_computed_by_hand() -> None:
    """The style has two opposite places about its mean, and the painting has one of them and one at a right angle."""
    style = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).view(1, 2, 1, 2)
    painting = torch.tensor([[4.0, 2.0], [1.0, 5.0]]).view(1, 2, 1, 2)
    assert nearest_distances(painting, style) == pytest.approx(((0 + 1) / 2, (0 + 1) / 2))
    assert nearest_distances(style, style) == pytest.approx((0, 0))
    half = style[..., :1].expand(-1, -1, -1, 2)
    assert nearest_distances(half, style) == pytest.approx((0, (0 + 2) / 2))


def test_relations_of_a_large_layer_are_those_of_a_regular_grid() -> None:
    features = noise(1, 4, 64, 96)

    assert relations(features).shape == (22 * 32, 22 * 32)
    assert torch.equal(relations(features), relations(features[:, :, ::3, ::3]))


# --- Defects ---


def test_a_flat_patch_is_grey_and_uniform_except_for_fine_noise() -> None:
    grained = plain(0.5, 0.5, 0.5) + 5 / 255 * torch.randn(1, 1, 64, 80, generator=torch.Generator().manual_seed(0))
    hatched = plain(0.5, 0.5, 0.5) + 20 / 255 * (1 - 2 * (torch.arange(80) // 2 % 2))
    beside_red = torch.cat((plain(0.5, 0.5, 0.5), plain(0.8, 0.2, 0.2)), dim=3)

    assert flat(plain(0.5, 0.5, 0.5)) == flat(grained) == 1
    assert flat(plain(0.8, 0.2, 0.2)) == flat(hatched) == 0
    # There are ten columns of patches of each colour; the column at the border contains an edge.
    assert flat(beside_red) == pytest.approx(9 / 20)


def test_the_grain_of_a_checkerboard_is_its_amplitude_and_that_of_smooth_waves_almost_0() -> None:
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(128), indexing="ij")
    board = 0.5 + 3 / 255 * (1 - 2.0 * ((rows + columns) % 2))
    waves = 0.5 + 0.4 * torch.sin(rows / 5) * torch.cos(columns / 7)

    assert grain(grey(board)) == pytest.approx(3, rel=1e-3)
    assert grain(grey(waves)) < 0.01


def test_the_grain_of_white_noise_is_a_quarter_of_its_deviation() -> None:
    """In each direction, a quarter of the frequencies is above three eighths: together, a sixteenth of the energy."""
    levels = 0.5 + 4 / 255 * torch.randn(512, 512, generator=torch.Generator().manual_seed(0))

    assert grain(grey(levels)) == pytest.approx(4 / 4, rel=0.03)


def test_speckle_counts_in_plain_places_unless_the_style_has_it_there_too() -> None:
    grainy = noise(1, 3, 64, 80) / 4
    content, style = plain(0.4, 0.5, 0.6), plain(0.2, 0.3, 0.4)
    content[..., 24:, :] += grainy[..., 24:, :]
    painting = content.clone()
    painting[..., :16, :] += grainy[..., :16, :]
    busier = content.clone()
    busier[..., 40:, :] += grainy[..., 40:, :]

    # A Gaussian of 1 pixel takes about nine tenths of the deviation of white noise away, which is 64 / √12.
    assert 8 < speckle(painting, content, style) < 64 / math.sqrt(12)
    assert speckle(busier, content, style) < 0.1
    assert speckle(painting, content, style + grainy) < 1


def test_stripes_two_pixels_wide_have_the_maximum_weave_and_noise_almost_0() -> None:
    """Every second pair of neighbours has one colour."""
    stripes = 0.5 + 0.1 * (torch.arange(128) // 2 % 2).expand(96, 128)
    noise = torch.rand(256, 256, generator=torch.Generator().manual_seed(0))

    assert weave(grey(stripes)) == pytest.approx(2)
    assert weave(grey(noise)) < 0.02


def test_a_weave_that_the_content_has_is_not_added_by_the_painting() -> None:
    content = grey(torch.rand(64, 64, generator=torch.Generator().manual_seed(0)))
    content[..., 1::2] = content[..., :-1:2].lerp(
        content[..., 1::2], 0.9
    )  # each odd column is a little like the one before
    softer = content.lerp(content.mean(), 0.5)
    other = content.roll(1, dims=-1)

    assert added_weave(content, content) == 0
    assert added_weave(softer, content) == pytest.approx(0, abs=1e-5)
    assert weave(softer) > 0.03
    assert added_weave(other, content) > 0.9 * weave(other)


# --- Judging ---


@pytest.fixture(scope="module")
def network() -> VGG19:
    """The original weights on the CPU, in full precision."""
    return load_cached("embedded", torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def pair() -> tuple[Tensor, Tensor]:
    """A content of smooth waves and a style of squares in other colours, of one size and without defects."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    content = torch.stack((0.1 + rows / 80, 0.5 + 0.4 * torch.sin(columns / 9), 0.3 + 0.2 * torch.cos(rows / 6)))
    squares = noise(3, 8, 12, seed=5).repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    return content[None], 0.1 + 0.8 * squares[None].roll((4, 4), dims=(2, 3))


def test_the_distance_between_content_and_style_is_1_in_both_directions(
    network: VGG19, pair: tuple[Tensor, Tensor]
) -> None:
    content, style = pair
    judge = Judge(network, content, style)

    of_content, of_style = judge(content), judge(style)

    assert of_content.style == pytest.approx(1)
    assert (of_content.relations, of_content.ssim) == pytest.approx((0, 1))
    assert (of_style.style, of_style.colours) == pytest.approx((0, 0), abs=1e-5)
    assert of_style.relations == pytest.approx(1)
    assert of_content.colours > 0.05
    for each in (of_content, of_style):
        assert each.flat == 0
        assert each.grain <= 1


def test_a_blend_is_nearer_to_the_picture_that_it_has_more_of(network: VGG19, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    judge = Judge(network, content, style)

    little, much = (judge(content.lerp(style, share)) for share in (0.2, 0.8))

    assert 0 < much.style < little.style < 1
    assert 0 < little.relations < much.relations < 1
    assert 1 > little.ssim > much.ssim
    assert little.colours > much.colours


def test_only_more_flat_patches_than_the_style_has_are_counted(network: VGG19, pair: tuple[Tensor, Tensor]) -> None:
    content, style = pair
    painting, plain_style = content.clone(), style.clone()
    painting[..., :16, :] = plain_style[..., :24, :] = 0.5
    painting[..., 16:24, :] = 0

    # Of the two rows of patches, one is uniform; the other contains an edge.
    assert Judge(network, content, style)(painting).flat == pytest.approx(1 / 8)
    assert Judge(network, content, plain_style)(painting).flat == 0


def test_a_painting_of_another_size_is_refused(network: VGG19, pair: tuple[Tensor, Tensor]) -> None:
    judge = Judge(network, *pair)

    with pytest.raises(ValueError, match="a painting of"):
        judge(noise(1, 3, 64, 64))


def test_no_layer_of_a_default_recipe_is_used_to_judge_style() -> None:
    used = {layer.replace("conv", "relu") for layer in (*Recipe().style_layers, *Recipe().content_layers)}

    assert not used & {*STYLE_LAYERS, *measures.RELATION_LAYERS}
