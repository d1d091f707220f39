"""The objective against the paper's formula, written down anew in numpy and float64."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.losses import Losses, Objective, blended, gram_matrix, target
from engine.recipe import Layer
from engine.vgg19 import VGG19

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
    np.testing.assert_allclose(found.numpy(), gram(features.double().numpy()), rtol=1e-4)


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

    def __init__(self) -> None:
        shapes: dict[Layer, tuple[int, int, int]] = {
            "relu1_1": (3, 6, 8),
            "relu2_1": (4, 3, 4),
            "relu3_1": (6, 2, 2),
        }
        self.content = {layer: rand(1, *shape, seed=1) for layer, shape in shapes.items()}
        self.style = {layer: rand(1, *shape, seed=2) * 2 for layer, shape in shapes.items()}
        self.painting = {layer: rand(1, *shape, seed=3).requires_grad_() for layer, shape in shapes.items()}
        self.objective = Objective(
            content={layer: target(self.content[layer], self.style[layer]) for layer in CONTENT_LAYERS},
            style={
                layer: target(gram_matrix(self.style[layer]), gram_matrix(self.content[layer]))
                for layer in STYLE_LAYERS
            },
            content_layers=CONTENT_LAYERS,
            style_layers=STYLE_LAYERS,
            content_weight=0.7,
            style_weight=11.0,
        )

    def expected(self, painting: dict[Layer, Array]) -> tuple[float, float, float]:
        """Total, content and style loss; the energies are ‖target‖², for no layer is nearly silent here."""

        def relative(value: Array, goal: Array) -> float:
            return float(((value - goal) ** 2).sum() / (goal**2).sum())

        content = sum(
            weight / 4 * relative(painting[layer], self.content[layer].double().numpy())
            for layer, weight in CONTENT_LAYERS.items()
        )
        style = sum(
            weight / 2.5 * relative(gram(painting[layer]), gram(self.style[layer].double().numpy()))
            for layer, weight in STYLE_LAYERS.items()
        )
        return 0.7 * content + 11 * style, content, style


def values(losses: Losses) -> list[float]:
    return [losses.total.item(), losses.content.item(), losses.style.item()]


def test_the_losses_are_those_of_the_formula() -> None:
    example = Example()
    painting = {layer: each.detach().double().numpy() for layer, each in example.painting.items()}
    assert values(example.objective(example.painting)) == pytest.approx(example.expected(painting), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    example = Example()
    example.objective(example.painting).total.backward()
    step = 1e-5
    for layer, features in example.painting.items():
        gradient: Any = features.grad
        for at in np.ndindex(features.shape):
            sides = []
            for sign in (step, -step):
                painting = {name: each.detach().double().numpy().copy() for name, each in example.painting.items()}
                painting[layer][at] += sign
                sides.append(example.expected(painting)[0])
            assert gradient[at].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-3, abs=1e-5)


def test_the_objective_asks_for_the_layers_of_both_losses() -> None:
    assert Example().objective.layers == {"relu1_1", "relu2_1", "relu3_1"}


def test_at_the_target_there_is_no_loss() -> None:
    example = Example()
    assert example.objective(example.content).content.item() == 0
    assert example.objective(example.style).style.item() == 0


def test_black_is_a_loss_of_one() -> None:
    """That is the unit, at each layer: so weights mean the same for each picture."""
    example = Example()
    black = {layer: torch.zeros_like(each) for layer, each in example.painting.items()}
    assert values(example.objective(black)) == pytest.approx([0.7 + 11, 1, 1])


# --- Silent layers ---


def test_a_nearly_silent_target_is_measured_against_the_other_picture() -> None:
    silent, loud = torch.full((4, 4), 1e-6), torch.full((4, 4), 3.0)
    assert target(silent, loud).energy.item() == pytest.approx(0.1 * 16 * 9)
    assert target(loud, silent).energy.item() == pytest.approx(16 * 9)


def test_the_other_picture_may_be_of_another_size() -> None:
    content, style = torch.zeros(1, 2, 3, 4), torch.full((1, 2, 5, 9), 2.0)
    assert target(content, style).energy.item() == pytest.approx(0.1 * 24 * 4)


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_two_plain_pictures_give_finite_losses_and_gradients(grey: float, network: VGG19) -> None:
    layers: tuple[Layer, ...] = ("relu1_1", "relu3_1", "relu5_1")
    with torch.no_grad():
        plain = network.features(torch.full((1, 3, 32, 32), grey), layers)
    grams = {layer: gram_matrix(each) for layer, each in plain.items()}
    objective = Objective(
        content={"relu3_1": target(plain["relu3_1"], plain["relu3_1"])},
        style={layer: target(grams[layer], grams[layer]) for layer in layers},
        content_layers={"relu3_1": 1.0},
        style_layers=dict.fromkeys(layers, 1.0),
        content_weight=1.0,
        style_weight=15.0,
    )
    image = torch.full((1, 3, 32, 32), grey).add(0.03 * rand(1, 3, 32, 32)).requires_grad_()
    losses = objective(network.features(image, objective.layers))
    losses.total.backward()
    assert all(np.isfinite(value) and value >= 0 for value in values(losses))
    assert image.grad is not None
    assert image.grad.isfinite().all()


def test_silence_on_both_sides_gives_finite_losses() -> None:
    silent = torch.zeros(1, 3, 4, 4)
    objective = Objective(
        content={"relu1_1": target(silent, silent)},
        style={"relu1_1": target(gram_matrix(silent), gram_matrix(silent))},
        content_layers={"relu1_1": 1.0},
        style_layers={"relu1_1": 1.0},
        content_weight=1.0,
        style_weight=1.0,
    )
    assert values(objective({"relu1_1": silent})) == [0, 0, 0]
    assert all(np.isfinite(value) for value in values(objective({"relu1_1": silent + 1})))
