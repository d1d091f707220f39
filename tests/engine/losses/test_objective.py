"""The objective and its terms against the formulas, written in numpy and float64."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.losses.gram import gram_matrix
from engine.losses.objective import Losses, Objective
from engine.losses.terms import ContentTerm, Plainness, StructureTerm, StyleTerm, Term, TotalVariation, target
from engine.recipe import Balance, Layer
from tests.engine.losses.formulas import Array, gram, rand

# --- The objective ---

CONTENT_LAYERS: dict[Layer, float] = {"relu2_1": 1.0, "relu3_1": 3.0}
STYLE_LAYERS: dict[Layer, float] = {"relu1_1": 2.0, "relu3_1": 0.5}


class Example:
    """Random features of a content, a style and a painting between them."""

    def __init__(
        self, balance: Balance = "fixed", style_layers: Mapping[Layer, float] = STYLE_LAYERS, **others: Term
    ) -> None:
        shapes: dict[Layer, tuple[int, int, int]] = {
            "relu1_1": (3, 6, 8),
            "relu2_1": (4, 3, 4),
            "relu3_1": (6, 2, 2),
        }
        self.content = {layer: rand(1, *shape, seed=1) for layer, shape in shapes.items()}
        self.style = {layer: rand(1, *shape, seed=2) * 2 for layer, shape in shapes.items()}
        self.painting = {layer: rand(1, *shape, seed=3).requires_grad_() for layer, shape in shapes.items()}
        content = {layer: target(self.content[layer], mean_square(self.style[layer])) for layer in CONTENT_LAYERS}
        style = {
            layer: target(gram_matrix(self.style[layer]), mean_square(gram_matrix(self.content[layer])))
            for layer in STYLE_LAYERS
        }
        self.objective = Objective(
            {
                "content": ContentTerm(0.7, content, CONTENT_LAYERS),
                "style": StyleTerm(11.0, style, style_layers, balance),
                **others,
            }
        )

    def style_distances(self, painting: dict[Layer, Array]) -> dict[Layer, float]:
        return {
            layer: relative(gram(painting[layer]), gram(self.style[layer].double().numpy())) for layer in STYLE_LAYERS
        }

    def expected(
        self, painting: dict[Layer, Array], balance: dict[Layer, float] | None = None
    ) -> tuple[float, float, float]:
        """Total, content and style loss; the energies are ‖target‖², because no target is weak here.

        ``balance`` are the style layers' weights, which sum to 1; None for the given ones.
        """
        content = sum(
            weight / 4 * relative(painting[layer], self.content[layer].double().numpy())
            for layer, weight in CONTENT_LAYERS.items()
        )
        distances = self.style_distances(painting)
        shares = balance or {layer: weight / 2.5 for layer, weight in STYLE_LAYERS.items()}
        style = sum(shares[layer] * distances[layer] for layer in STYLE_LAYERS)
        return 0.7 * content + 11 * style, content, style


def relative(value: Array, goal: Array) -> float:
    return float(((value - goal) ** 2).sum() / (goal**2).sum())


def mean_square(value: Tensor) -> Tensor:
    return value.square().mean()


IMAGE = rand(1, 3, 6, 8, seed=4)
"""The pixels, which content and style terms do not read."""


def values(losses: Losses) -> list[float]:
    return [losses.total.item(), losses.terms["content"].item(), losses.terms["style"].item()]


def test_the_losses_agree_with_the_formula() -> None:
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


def test_the_gradient_agrees_with_finite_differences() -> None:
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


def test_a_dynamic_balance_shifts_weight_to_the_layer_with_the_largest_distance() -> None:
    example = Example(balance="dynamic")
    shares, distances = pulls(example), example.style_distances(arrays(example.painting))
    lagging = max(STYLE_LAYERS, key=lambda layer: distances[layer])
    assert shares[lagging] > STYLE_LAYERS[lagging] / sum(STYLE_LAYERS.values())
    losses = example.objective(example.painting, IMAGE)
    assert values(losses) == pytest.approx(example.expected(arrays(example.painting), shares), rel=1e-5)


def test_the_weights_of_a_dynamic_balance_are_constants_in_the_gradient() -> None:
    example = Example(balance="dynamic")
    found = gradients(example)
    for layer, slopes in finite_differences(example, pulls(example)).items():
        np.testing.assert_allclose(found[layer], slopes, rtol=1e-3, atol=1e-5)


def test_a_dynamic_balance_is_finite_if_all_distances_are_zero() -> None:
    example = Example(balance="dynamic")
    style = {layer: each.clone().requires_grad_() for layer, each in example.style.items()}
    losses = example.objective(style, IMAGE)
    losses.total.backward()
    assert losses.terms["style"].item() == 0
    for layer in STYLE_LAYERS:
        gradient = style[layer].grad
        assert gradient is not None
        assert gradient.isfinite().all()


def test_a_dynamic_balance_gives_no_weight_to_a_layer_without_one() -> None:
    example = Example("dynamic", {"relu1_1": 0.0, "relu3_1": 1.0})
    example.objective(example.painting, IMAGE).terms["style"].backward()
    gradient = example.painting["relu1_1"].grad
    assert gradient is not None
    assert not gradient.any()


# --- Terms on the pixels ---


def test_total_variation_adds_to_the_total_by_its_weight() -> None:
    plain, smoothed = Example(), Example(total_variation=TotalVariation(2.5))
    pixels = IMAGE[0].double().numpy()
    variation = abs(np.diff(pixels, axis=2)).mean() + abs(np.diff(pixels, axis=1)).mean()
    without, content, style = values(plain.objective(plain.painting, IMAGE))
    expected = (without + 2.5 * variation, content, style)
    assert values(smoothed.objective(smoothed.painting, IMAGE)) == pytest.approx(expected, rel=1e-5)


def test_structure_adds_to_the_total_by_its_weight_and_needs_its_layer() -> None:
    """Its own value is tested in test_structure."""
    features: dict[Layer, Tensor] = {"relu4_1": rand(1, 4, 5, 6, seed=7)}
    structure = StructureTerm.of(3.0, {"relu4_1": rand(1, 4, 5, 6, seed=8)}, rand(1, 3, 40, 48, seed=8))
    plain, held = Example(), Example(structure=structure)
    assert held.objective.layers == plain.objective.layers | {"relu4_1"}
    image = rand(1, 3, 40, 48, seed=7)
    without, content, style = values(plain.objective(plain.painting, image))
    expected = (without + 3 * structure(features, image).item(), content, style)
    assert expected[0] > without
    found = held.objective({**held.painting, **features}, image)
    assert values(found) == pytest.approx(expected, rel=1e-5)


def test_the_objective_needs_the_layers_of_all_terms() -> None:
    assert Example().objective.layers == {"relu1_1", "relu2_1", "relu3_1"}


def test_the_loss_at_the_target_is_zero() -> None:
    example = Example()
    assert example.objective(example.content, IMAGE).terms["content"].item() == 0
    assert example.objective(example.style, IMAGE).terms["style"].item() == 0


def test_the_loss_of_black_is_one() -> None:
    """Each layer has this unit, so that weights mean the same for each picture."""
    example = Example()
    black = {layer: torch.zeros_like(each) for layer, each in example.painting.items()}
    assert values(example.objective(black, IMAGE)) == pytest.approx([0.7 + 11, 1, 1])


# --- Lower bounds of the energy ---


def test_the_energy_of_a_weak_target_is_at_least_a_tenth_of_the_other_pictures() -> None:
    weak, strong = torch.full((4, 4), 1e-6), torch.full((4, 4), 3.0)
    assert target(weak, mean_square(strong)).energy.item() == pytest.approx(0.1 * 16 * 9)
    assert target(strong, mean_square(weak)).energy.item() == pytest.approx(16 * 9)


def test_the_energy_of_a_target_is_at_least_that_of_faint_noise() -> None:
    weak, strong = torch.full((4, 4), 1e-6), torch.full((4, 4), 3.0)
    assert target(weak, mean_square(weak), torch.tensor(0.5)).energy.item() == pytest.approx(16 * 0.5)
    assert target(weak, mean_square(strong), torch.tensor(0.5)).energy.item() == pytest.approx(0.1 * 16 * 9)
    assert target(strong, mean_square(weak), torch.tensor(0.5)).energy.item() == pytest.approx(16 * 9)


def test_the_other_picture_may_be_of_another_size() -> None:
    content, style = torch.zeros(1, 2, 3, 4), torch.full((1, 2, 5, 9), 2.0)
    assert target(content, mean_square(style)).energy.item() == pytest.approx(0.1 * 24 * 4)


# --- Plain styles ---


def shown_in(*colours: tuple[float, float, float]) -> Tensor:
    """A picture with this number of columns, each of one colour."""
    return torch.tensor(colours).T[None, :, None, :].expand(1, 3, 4, len(colours))


GREY, LIGHTER, PINK = (0.4, 0.4, 0.4), (0.6, 0.6, 0.6), (0.6, 0.4, 0.4)


def test_a_plain_style_penalises_all_other_colours() -> None:
    plainness = Plainness.of(1.0, [shown_in(GREY)], [1.0], shown_in(LIGHTER))
    assert plainness is not None
    assert plainness({}, shown_in(GREY)).item() == pytest.approx(0, abs=1e-9)
    assert plainness({}, shown_in(LIGHTER)).item() == pytest.approx(1)
    assert plainness({}, shown_in(GREY, LIGHTER)).item() == pytest.approx(0.5)
    assert plainness({}, shown_in(PINK)).item() == pytest.approx(1 / 3)


def test_a_grey_style_penalises_hues_but_no_grey() -> None:
    plainness = Plainness.of(1.0, [shown_in((0.1,) * 3, (0.9,) * 3)], [1.0], shown_in(PINK))
    assert plainness is not None
    assert plainness({}, shown_in(GREY, LIGHTER)).item() == pytest.approx(0, abs=1e-9)
    assert plainness({}, shown_in(PINK, GREY)).item() == pytest.approx(0.5)


def test_two_plain_styles_allow_all_colours_between_them() -> None:
    plainness = Plainness.of(1.0, [shown_in(GREY), shown_in(LIGHTER)], [1.0, 3.0], shown_in(PINK))
    assert plainness is not None
    assert plainness.mean.tolist() == pytest.approx([0.55] * 3)
    assert plainness({}, shown_in(LIGHTER, GREY)).item() == pytest.approx(0, abs=1e-9)
    assert plainness({}, shown_in(PINK)).item() == pytest.approx(1)


def test_a_style_of_many_colours_penalises_none() -> None:
    assert Plainness.of(1.0, [rand(1, 3, 8, 8)], [1.0], shown_in(GREY)) is None
