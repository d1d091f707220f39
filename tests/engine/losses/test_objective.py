"""The objective against the paper's formula, written down anew in numpy and float64."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.losses.objective import (
    Losses,
    Objective,
    Plainness,
    Target,
    blended,
    gram_matrix,
    style_normalisation,
    target,
)
from engine.losses.structure import Structure
from engine.recipe import Balance, Layer
from engine.vgg.vgg19 import VGG19

Array = NDArray[np.float64]


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def gram(features: Array) -> Array:
    """Position by position."""
    _, channels, height, width = features.shape
    total: Array = np.zeros((channels, channels))
    for y in range(height):
        for x in range(width):
            total += np.outer(features[0, :, y, x], features[0, :, y, x])
    total /= height * width
    return total


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


def test_the_gram_matrix_of_short_floats_neither_overflows_nor_loses_precision() -> None:
    features = rand(1, 4, 32, 32).mul(60_000).bfloat16()
    found = gram_matrix(features)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), gram(features.double().numpy()), rtol=2e-3)


@pytest.mark.parametrize("positions", [(1, 1), (15, 17), (16, 16), (31, 33), (61, 67), (64, 64)])
def test_the_gram_matrix_of_short_floats_leaves_no_position_out(positions: tuple[int, int]) -> None:
    """It is summed in parts, which do not always come out even. Each position has a channel pair of its own, at whose
    place in the matrix there is nothing else: one that is left out, or taken twice, can't hide in a tolerance.
    """
    count = positions[0] * positions[1]
    channels = math.isqrt(count - 1) + 1
    features = torch.zeros(1, 2 * channels, count, dtype=torch.bfloat16)
    places = torch.arange(count)
    features[0, places // channels, places] = 1
    features[0, channels + places % channels, places] = 2
    found = gram_matrix(features.view(1, 2 * channels, *positions))[:channels, channels:].flatten()[:count]
    np.testing.assert_allclose(found.numpy(), np.full(count, 2 / count), rtol=1e-6)


def plain_gram(features: Tensor) -> Tensor:
    """The formula, differentiated by autograd itself."""
    return torch.einsum("bchw,bdhw->cd", features, features) / features[0, 0].numel()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gram_matrix_has_the_gradient_of_the_plain_formula(layout: torch.memory_format) -> None:
    """For any slope, also one that is not symmetric."""
    slope = rand(5, 5, seed=9) - 0.5
    ours = rand(1, 5, 6, 7).contiguous(memory_format=layout).requires_grad_()
    theirs = rand(1, 5, 6, 7).double().requires_grad_()
    gram_matrix(ours).backward(slope)
    plain_gram(theirs).backward(slope.double())
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-5, atol=1e-7)


def test_the_gradient_of_short_floats_is_the_plain_one_to_their_precision() -> None:
    slope = rand(16, 16, seed=9) - 0.5
    ours = rand(1, 16, 24, 20).bfloat16().requires_grad_()
    theirs = ours.detach().double().requires_grad_()
    gram_matrix(ours).backward(slope)
    plain_gram(theirs).backward(slope.double())
    assert ours.grad is not None
    assert theirs.grad is not None
    assert ours.grad.dtype == torch.bfloat16
    assert (ours.grad.double() - theirs.grad).norm() < 2**-7 * theirs.grad.norm()


def test_no_copy_of_short_floats_is_kept_for_the_gradient() -> None:
    """Autograd would keep the features in float32, too: twice as much again, at the largest layers."""
    features = rand(1, 16, 24, 20).bfloat16().requires_grad_()
    kept: list[Tensor] = []

    def pack(each: Tensor) -> Tensor:
        kept.append(each)
        return each

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda each: each):
        matrix = gram_matrix(features)
    assert matrix.dtype == torch.float32
    assert [each.data_ptr() for each in kept] == [features.data_ptr()]


# --- Several styles ---


@pytest.mark.parametrize(
    ("shares", "parts"),
    [((1, 1), (0.5, 0.5)), ((1, 3), (0.25, 0.75)), ((10, 30), (0.25, 0.75)), ((1, 0), (1, 0)), ((0, 2), (0, 1))],
)
def test_styles_are_averaged_by_their_shares(shares: tuple[float, float], parts: tuple[float, float]) -> None:
    one, other = rand(5, 5, seed=1), rand(5, 5, seed=2)
    found = blended([{"relu1_1": one}, {"relu1_1": other}], shares)["relu1_1"]
    np.testing.assert_allclose(found.numpy(), parts[0] * one.numpy() + parts[1] * other.numpy(), rtol=1e-6)


def test_a_share_for_each_style_is_needed() -> None:
    statistics: list[dict[Layer, Tensor]] = [{"relu1_1": rand(2, 2)}] * 2
    with pytest.raises(ValueError, match="is shorter than"):
        blended(statistics, [1.0])


# --- The objective ---

CONTENT_LAYERS: dict[Layer, float] = {"relu2_1": 1.0, "relu3_1": 3.0}
STYLE_LAYERS: dict[Layer, float] = {"relu1_1": 2.0, "relu3_1": 0.5}


class Example:
    """Random features of a content, a style and a painting between them."""

    def __init__(self, **more: Any) -> None:
        shapes: dict[Layer, tuple[int, int, int]] = {
            "relu1_1": (3, 6, 8),
            "relu2_1": (4, 3, 4),
            "relu3_1": (6, 2, 2),
        }
        self.content = {layer: rand(1, *shape, seed=1) for layer, shape in shapes.items()}
        self.style = {layer: rand(1, *shape, seed=2) * 2 for layer, shape in shapes.items()}
        self.painting = {layer: rand(1, *shape, seed=3).requires_grad_() for layer, shape in shapes.items()}
        self.objective = Objective(
            content={layer: target(self.content[layer], mean_square(self.style[layer])) for layer in CONTENT_LAYERS},
            style={
                layer: target(gram_matrix(self.style[layer]), mean_square(gram_matrix(self.content[layer])))
                for layer in STYLE_LAYERS
            },
            content_layers=CONTENT_LAYERS,
            style_layers=STYLE_LAYERS,
            content_weight=0.7,
            style_weight=11.0,
            **more,
        )

    def style_distances(self, painting: dict[Layer, Array]) -> dict[Layer, float]:
        return {
            layer: relative(gram(painting[layer]), gram(self.style[layer].double().numpy())) for layer in STYLE_LAYERS
        }

    def expected(
        self, painting: dict[Layer, Array], balance: dict[Layer, float] | None = None
    ) -> tuple[float, float, float]:
        """Total, content and style loss; the energies are ‖target‖², for no layer is nearly silent here.

        ``balance`` are the style layers' weights within the total where they are not the given ones; they sum to 1.
        """
        content = sum(
            weight / 4 * relative(painting[layer], self.content[layer].double().numpy())
            for layer, weight in CONTENT_LAYERS.items()
        )
        distances = self.style_distances(painting)
        style = sum(weight / 2.5 * distances[layer] for layer, weight in STYLE_LAYERS.items())
        goal = sum(balance[layer] * distances[layer] for layer in STYLE_LAYERS) if balance else style
        return 0.7 * content + 11 * goal, content, style


def relative(value: Array, goal: Array) -> float:
    return float(((value - goal) ** 2).sum() / (goal**2).sum())


def mean_square(value: Tensor) -> Tensor:
    return value.square().mean()


IMAGE = rand(1, 3, 6, 8, seed=4)
"""What an objective without a term on the pixels doesn't look at."""


def values(losses: Losses) -> list[float]:
    return [losses.total.item(), losses.content.item(), losses.style.item()]


def test_the_losses_are_those_of_the_formula() -> None:
    example = Example()
    painting = {layer: each.detach().double().numpy() for layer, each in example.painting.items()}
    assert values(example.objective(example.painting, IMAGE)) == pytest.approx(example.expected(painting), rel=1e-5)


def arrays(painting: dict[Layer, Tensor]) -> dict[Layer, Array]:
    return {layer: each.detach().double().numpy().copy() for layer, each in painting.items()}


def finite_differences(example: Example, balance: dict[Layer, float] | None = None) -> dict[Layer, Array]:
    """The slope of the expected total along each feature."""
    step = 1e-5
    found: dict[Layer, Array] = {}
    for layer, features in example.painting.items():
        found[layer] = np.zeros(features.shape)
        for at in np.ndindex(features.shape):
            sides = []
            for sign in (step, -step):
                painting = arrays(example.painting)
                painting[layer][at] += sign
                sides.append(example.expected(painting, balance)[0])
            found[layer][at] = (sides[0] - sides[1]) / (2 * step)
    return found


def gradients(example: Example) -> dict[Layer, Array]:
    example.objective(example.painting, IMAGE).total.backward()
    return {
        layer: features.grad.double().numpy()
        for layer, features in example.painting.items()
        if features.grad is not None
    }


def test_the_gradient_is_that_of_finite_differences() -> None:
    example = Example()
    found = gradients(example)
    for layer, slopes in finite_differences(example).items():
        np.testing.assert_allclose(found[layer], slopes, rtol=1e-3, atol=1e-5)


# --- Dynamic balance ---


def pulls(example: Example) -> dict[Layer, float]:
    """Each layer's weight by the root of how far it is, made to sum to 1."""
    distances = example.style_distances(arrays(example.painting))
    pulled = {layer: weight * distances[layer] ** 0.5 for layer, weight in STYLE_LAYERS.items()}
    return {layer: each / sum(pulled.values()) for layer, each in pulled.items()}


def test_a_dynamic_balance_shifts_weight_to_the_layer_that_lags() -> None:
    example = Example(balance="dynamic")
    shares, distances = pulls(example), example.style_distances(arrays(example.painting))
    lagging = max(STYLE_LAYERS, key=lambda layer: distances[layer])
    assert shares[lagging] > STYLE_LAYERS[lagging] / sum(STYLE_LAYERS.values())
    losses = example.objective(example.painting, IMAGE)
    assert values(losses) == pytest.approx(example.expected(arrays(example.painting), shares), rel=1e-5)


def test_the_weights_of_a_dynamic_balance_stand_still_for_the_gradient() -> None:
    example = Example(balance="dynamic")
    found = gradients(example)
    for layer, slopes in finite_differences(example, pulls(example)).items():
        np.testing.assert_allclose(found[layer], slopes, rtol=1e-3, atol=1e-5)


def test_a_dynamic_balance_of_layers_that_are_there_is_finite() -> None:
    example = Example(balance="dynamic")
    style = {layer: each.clone().requires_grad_() for layer, each in example.style.items()}
    losses = example.objective(style, IMAGE)
    losses.total.backward()
    assert losses.style.item() == 0
    for layer in STYLE_LAYERS:
        gradient = style[layer].grad
        assert gradient is not None
        assert gradient.isfinite().all()


def test_a_layer_without_weight_stays_without_in_a_dynamic_balance() -> None:
    example = Example(balance="dynamic")
    layers: dict[Layer, float] = {"relu1_1": 0.0, "relu3_1": 1.0}
    objective = replace(example.objective, style_layers=layers, content_weight=0)
    objective(example.painting, IMAGE).total.backward()
    gradient = example.painting["relu1_1"].grad
    assert gradient is not None
    assert not gradient.any()


# --- Terms on the pixels ---


def test_total_variation_adds_to_the_total_by_its_weight() -> None:
    plain, smoothed = Example(), Example(variation_weight=2.5)
    pixels = IMAGE[0].double().numpy()
    variation = abs(np.diff(pixels, axis=2)).mean() + abs(np.diff(pixels, axis=1)).mean()
    without, content, style = values(plain.objective(plain.painting, IMAGE))
    expected = (without + 2.5 * variation, content, style)
    assert values(smoothed.objective(smoothed.painting, IMAGE)) == pytest.approx(expected, rel=1e-5)


def test_structure_adds_to_the_total_by_its_weight_and_asks_for_its_layer() -> None:
    """Its own value is tested in test_structure."""
    features: dict[Layer, Tensor] = {"relu4_1": rand(1, 4, 5, 6, seed=7)}
    structure = Structure.of({"relu4_1": rand(1, 4, 5, 6, seed=8)}, rand(1, 3, 40, 48, seed=8))
    plain, held = Example(), Example(structure=structure, detail_weight=3.0)
    assert held.objective.layers == plain.objective.layers | {"relu4_1"}
    image = rand(1, 3, 40, 48, seed=7)
    without, content, style = values(plain.objective(plain.painting, image))
    expected = (without + 3 * structure(features, image).item(), content, style)
    assert expected[0] > without
    found = held.objective({**held.painting, **features}, image)
    assert values(found) == pytest.approx(expected, rel=1e-5)


def test_the_objective_asks_for_the_layers_of_both_losses() -> None:
    assert Example().objective.layers == {"relu1_1", "relu2_1", "relu3_1"}


def test_at_the_target_there_is_no_loss() -> None:
    example = Example()
    assert example.objective(example.content, IMAGE).content.item() == 0
    assert example.objective(example.style, IMAGE).style.item() == 0


def test_black_is_a_loss_of_one() -> None:
    """That is the unit, at each layer: so weights mean the same for each picture."""
    example = Example()
    black = {layer: torch.zeros_like(each) for layer, each in example.painting.items()}
    assert values(example.objective(black, IMAGE)) == pytest.approx([0.7 + 11, 1, 1])


# --- Silent layers ---


def test_a_nearly_silent_target_is_measured_against_the_other_picture() -> None:
    silent, loud = torch.full((4, 4), 1e-6), torch.full((4, 4), 3.0)
    assert target(silent, mean_square(loud)).energy.item() == pytest.approx(0.1 * 16 * 9)
    assert target(loud, mean_square(silent)).energy.item() == pytest.approx(16 * 9)


def test_no_target_is_measured_by_less_than_grain() -> None:
    silent, loud = torch.full((4, 4), 1e-6), torch.full((4, 4), 3.0)
    assert target(silent, mean_square(silent), torch.tensor(0.5)).energy.item() == pytest.approx(16 * 0.5)
    assert target(silent, mean_square(loud), torch.tensor(0.5)).energy.item() == pytest.approx(0.1 * 16 * 9)
    assert target(loud, mean_square(silent), torch.tensor(0.5)).energy.item() == pytest.approx(16 * 9)


def test_the_other_picture_may_be_of_another_size() -> None:
    content, style = torch.zeros(1, 2, 3, 4), torch.full((1, 2, 5, 9), 2.0)
    assert target(content, mean_square(style)).energy.item() == pytest.approx(0.1 * 24 * 4)


@pytest.mark.parametrize("balance", ["fixed", "dynamic"])
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_two_plain_pictures_give_finite_losses_and_gradients(grey: float, balance: Balance, network: VGG19) -> None:
    layers: tuple[Layer, ...] = ("relu1_1", "relu3_1", "relu4_1", "relu5_1")
    plain_image = torch.full((1, 3, 32, 32), grey)
    with torch.no_grad():
        plain = network.features(plain_image, layers)
    grams = {layer: gram_matrix(each) for layer, each in plain.items()}
    objective = Objective(
        content={"relu3_1": target(plain["relu3_1"], mean_square(plain["relu3_1"]))},
        style={layer: target(grams[layer], mean_square(grams[layer])) for layer in layers},
        content_layers={"relu3_1": 1.0},
        style_layers=dict.fromkeys(layers, 1.0),
        content_weight=1.0,
        style_weight=15.0,
        balance=balance,
        structure=Structure.of(plain, plain_image),
        detail_weight=1.0,
        variation_weight=1.0,
    )
    image = plain_image.add(0.03 * rand(1, 3, 32, 32)).requires_grad_()
    losses = objective(network.features(image, objective.layers), image)
    losses.total.backward()
    assert all(np.isfinite(value) and value >= 0 for value in values(losses))
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_silence_on_both_sides_gives_finite_losses() -> None:
    silent = torch.zeros(1, 3, 4, 4)
    objective = Objective(
        content={"relu1_1": target(silent, mean_square(silent))},
        style={"relu1_1": target(gram_matrix(silent), mean_square(gram_matrix(silent)))},
        content_layers={"relu1_1": 1.0},
        style_layers={"relu1_1": 1.0},
        content_weight=1.0,
        style_weight=1.0,
    )
    assert values(objective({"relu1_1": silent}, IMAGE)) == [0, 0, 0]
    assert all(np.isfinite(value) for value in values(objective({"relu1_1": silent + 1}, IMAGE)))


@pytest.mark.parametrize(
    ("painting", "distance", "rate_factor"), [(1.0, 0.05, 0.0), (1.1, 0.05, 0.882), (1.2, 0.1936, 1.0), (0.0, 1.0, 1.0)]
)
def test_a_style_loss_is_divided_by_a_twentieth_at_least_and_steps_are_as_much_shorter(
    painting: float, distance: float, rate_factor: float
) -> None:
    """The distance of p² from 1, squared: 0.0441 for 1.1."""
    goal = torch.ones(3, 3)
    style: dict[Layer, Target] = {"relu1_1": target(goal, mean_square(goal))}
    found = style_normalisation({"relu1_1": painting**2 * goal}, style, {"relu1_1": 2.0})
    assert found == pytest.approx((distance, rate_factor), abs=1e-4)


# --- Plain styles ---


def shown_in(*colours: tuple[float, float, float]) -> Tensor:
    """A picture of so many columns, each of one colour."""
    return torch.tensor(colours).T[None, :, None, :].expand(1, 3, 4, len(colours))


GREY, LIGHTER, PINK = (0.4, 0.4, 0.4), (0.6, 0.6, 0.6), (0.6, 0.4, 0.4)


def test_a_plain_style_has_one_colour_alone() -> None:
    plainness = Plainness.of([shown_in(GREY)], [1.0], shown_in(LIGHTER))
    assert plainness is not None
    assert plainness(shown_in(GREY)).item() == pytest.approx(0, abs=1e-9)
    assert plainness(shown_in(LIGHTER)).item() == pytest.approx(1)
    assert plainness(shown_in(GREY, LIGHTER)).item() == pytest.approx(0.5)
    assert plainness(shown_in(PINK)).item() == pytest.approx(1 / 3)


def test_a_grey_style_has_every_grey_and_no_hue() -> None:
    plainness = Plainness.of([shown_in((0.1,) * 3, (0.9,) * 3)], [1.0], shown_in(PINK))
    assert plainness is not None
    assert plainness(shown_in(GREY, LIGHTER)).item() == pytest.approx(0, abs=1e-9)
    assert plainness(shown_in(PINK, GREY)).item() == pytest.approx(0.5)


def test_plain_styles_together_have_what_lies_between_them() -> None:
    plainness = Plainness.of([shown_in(GREY), shown_in(LIGHTER)], [1.0, 3.0], shown_in(PINK))
    assert plainness is not None
    assert plainness.mean.tolist() == pytest.approx([0.55] * 3)
    assert plainness(shown_in(LIGHTER, GREY)).item() == pytest.approx(0, abs=1e-9)
    assert plainness(shown_in(PINK)).item() == pytest.approx(1)


def test_a_style_of_all_colours_lacks_none() -> None:
    assert Plainness.of([rand(1, 3, 8, 8)], [1.0], shown_in(GREY)) is None
