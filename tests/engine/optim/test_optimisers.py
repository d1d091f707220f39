"""The optimisers on quadratics with a known minimum, against the papers' formulas in numpy."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.images.resampling import resized
from engine.losses.objective import Losses
from engine.optim.optimisers import (
    ADAM_EPSILON,
    BETAS,
    GRADIENT_SPECTRAL_POWER,
    HISTORY,
    IMAGE_SPECTRAL_POWER,
    LBFGS,
    Adam,
    Optimiser,
    optimiser,
)
from engine.recipe import Optimiser as Name

Array = NDArray[np.float64]

SIZE = (4, 3)
"""Width and height."""


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


GOAL, STEEPNESS = 0.3 + 0.4 * rand(1, 3, 3, 4, seed=1), 0.5 + 2 * rand(1, 3, 3, 4, seed=2)


def quadratic(image: Tensor) -> Losses:
    """A quadratic with its minimum at :data:`GOAL`."""
    total = (0.5 * STEEPNESS * (image - GOAL).square()).sum()
    return Losses(total, {"content": total * 2, "style": total * 3})


def slope(image: Array) -> Array:
    found: Array = STEEPNESS.double().numpy() * (image - GOAL.double().numpy())
    return found


def begun(name: Name, image: Tensor, evaluate: Callable[[Tensor], Losses] = quadratic) -> Optimiser:
    found = optimiser(name, image)
    found.begin(found.image, evaluate)
    return found


def array(image: Tensor) -> Array:
    return image.detach().double().numpy().copy()


def through(image: Array, power: float) -> Array:
    """Each frequency's amplitude times frequency^-power, by 1 on average."""
    height, width = image.shape[-2:]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    weights = np.maximum(frequency, 1 / max(height, width)) ** -power
    found: Array = np.fft.irfft2(np.fft.rfft2(image) * weights / weights.mean(), s=image.shape[-2:])
    return found


class ByHand:
    """Kingma and Ba's algorithm 1 on a filtered gradient of root mean square 1, with a clamp after each step.

    The first moment is the one that the next step would begin with, if its gradient were this one: Dozat's algorithm 8.
    """

    def __init__(self, image: Array) -> None:
        self.image = image
        self.first = np.zeros_like(image)
        self.second = np.zeros_like(image)
        self.steps = 0

    def step(self, gradient: Array, rate: float) -> None:
        one, two = BETAS
        if gradient.ndim:
            gradient = through(gradient, GRADIENT_SPECTRAL_POWER)
        gradient = gradient / np.sqrt((gradient**2).mean())
        self.steps += 1
        self.first = one * self.first + (1 - one) * gradient
        self.second = two * self.second + (1 - two) * gradient**2
        ahead = one * self.first / (1 - one ** (self.steps + 1))
        first, second = ahead + (1 - one) * gradient / (1 - one**self.steps), self.second / (1 - two**self.steps)
        self.image = np.clip(self.image - rate * first / (np.sqrt(second) + ADAM_EPSILON), 0, 1)


# --- Adam ---


def test_adam_agrees_with_the_paper_at_changing_rates() -> None:
    start = rand(1, 3, 3, 4)
    adam, by_hand = begun("adam", start), ByHand(array(start))
    for rate in (0.03, 0.02, 0.05, 0.01, 0.002, 0.1):
        adam.step(rate)
        by_hand.step(slope(by_hand.image), rate)
        np.testing.assert_allclose(array(adam.image), by_hand.image, atol=1e-6)


def test_a_step_returns_the_losses_before_it() -> None:
    start = rand(1, 3, 3, 4)
    for name in ("adam", "lbfgs"):
        moving = begun(name, start)
        for _ in range(3):
            expected = quadratic(moving.image.detach())
            found = moving.step(0.01)
            assert found.total.item() == pytest.approx(expected.total.item(), rel=1e-5)
            assert found.terms.keys() == expected.terms.keys()
            for term, loss in found.terms.items():
                assert loss.item() == pytest.approx(expected.terms[term].item(), rel=1e-5)
            assert not any(loss.requires_grad for loss in (found.total, *found.terms.values()))


def test_adam_keeps_pixels_in_range_and_can_leave_the_bounds() -> None:
    def down(image: Tensor) -> Losses:
        return Losses(image.sum(), {})

    def up(image: Tensor) -> Losses:
        return Losses(-image.sum(), {})

    adam = begun("adam", rand(1, 3, 3, 4), down)
    for _ in range(20):
        adam.step(0.1)
    assert adam.image.abs().max() == 0
    adam.begin(adam.image, up)
    for _ in range(40):
        adam.step(0.1)
    assert adam.image.min() == 1


def flat(value: float) -> Callable[[Tensor], Losses]:
    """A loss with the same gradient at every pixel, at any size."""
    return lambda image: Losses((0.5 * (image - value).square()).sum(), {})


def test_adam_carries_both_moments_and_the_count_of_steps_to_the_next_size() -> None:
    """All pixels are equal, so interpolation changes nothing: the steps are the same as without a change of size."""
    adam, by_hand = Adam(torch.full((1, 3, 3, 4), 0.9)), ByHand(np.full((), 0.9))
    for size in ((4, 3), (8, 6), (16, 12)):
        adam.begin(resized(adam.image.detach(), size), flat(0.2))
        assert adam.image.shape == (1, 3, size[1], size[0])
        for rate in (0.05, 0.02, 0.03):
            adam.step(rate)
            by_hand.step(by_hand.image - 0.2, rate)
            np.testing.assert_allclose(array(adam.image), np.full(adam.image.shape, by_hand.image), atol=1e-6)


def test_a_moment_stays_at_its_place_when_the_size_changes() -> None:
    adam = begun("adam", torch.full((1, 3, 4, 4), 0.5), lambda image: Losses(image[..., :2, :].sum(), {}))
    adam.step(0.1)
    adam.begin(torch.full((1, 3, 8, 8), 0.5), lambda image: Losses(0 * image.sum(), {}))
    moments = adam.state()
    for name in ("exp_avg", "exp_avg_sq"):
        assert moments[name].shape == (1, 3, 8, 8)
        above, below = moments[name][..., :3, :], moments[name][..., 5:, :]
        assert above.min() > 0
        assert below.abs().max() < 0.2 * above.min()  # a band-limited edge has ripples
    assert moments["exp_avg_sq"].min() >= 0


def test_beginning_again_at_the_same_size_changes_nothing() -> None:
    once, twice = (begun("adam", rand(1, 3, 3, 4)) for _ in range(2))
    for _ in range(3):
        once.step(0.02)
        twice.begin(twice.image, quadratic)
        twice.step(0.02)
    assert torch.equal(once.image, twice.image)


def test_an_optimiser_does_not_change_the_image_that_it_is_given() -> None:
    for name in ("adam", "lbfgs"):
        start = rand(1, 3, 3, 4)
        moved = begun(name, start)
        moved.step(0.1)
        moved.step(0.1)
        assert torch.equal(start, rand(1, 3, 3, 4))
        assert not torch.equal(moved.image, start)


def test_adam_resumes_exactly_from_its_state() -> None:
    whole = begun("adam", rand(1, 3, 3, 4))
    for _ in range(4):
        whole.step(0.03)
    image, state = whole.image.detach().clone(), {name: each.clone() for name, each in whole.state().items()}
    rest = optimiser("adam", image, state)
    rest.begin(rest.image, quadratic)
    for _ in range(4):
        whole.step(0.02)
        rest.step(0.02)
    assert torch.equal(rest.image, whole.image)
    assert all(torch.equal(rest.state()[name], each) for name, each in whole.state().items())


def adam_state(**changed: Any) -> dict[str, Tensor]:
    zeros = torch.zeros(1, 3, 3, 4)
    return {"step": torch.tensor(3.0), "exp_avg": zeros, "exp_avg_sq": zeros} | changed


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"step": torch.tensor(3.0)},
        adam_state(more=torch.zeros(())),
        adam_state(exp_avg=torch.zeros(1, 3, 4, 3)),
        adam_state(exp_avg_sq=torch.zeros(1, 3, 3, 4, dtype=torch.float64)),
        adam_state(exp_avg=torch.full((1, 3, 3, 4), float("nan"))),
        adam_state(exp_avg_sq=torch.full((1, 3, 3, 4), float("inf"))),
        adam_state(step=torch.tensor(-1.0)),
        adam_state(step=torch.tensor(float("nan"))),
    ],
)
def test_adam_refuses_an_invalid_state(state: dict[str, Tensor]) -> None:
    assert optimiser("adam", rand(1, 3, 3, 4), adam_state())
    with pytest.raises(ValueError, match="Adam"):
        optimiser("adam", rand(1, 3, 3, 4), state)


# --- L-BFGS ---


def test_lbfgs_agrees_with_bfgs() -> None:
    """BFGS keeps the whole inverse of the Hessian, in variables in which low frequencies weigh more. The first step
    follows the gradient.
    """
    start = GOAL + 0.1 * (rand(1, 3, 3, 4) - 0.5)
    basis = np.eye(start.numel()).reshape(-1, *start.shape[1:])
    matrix = through(basis, IMAGE_SPECTRAL_POWER).reshape(start.numel(), -1).T

    def variables(image: Array) -> Array:
        found: Array = np.linalg.solve(matrix, image.ravel()).astype(np.float64)
        return found

    def downhill(at: Array) -> Array:
        found: Array = matrix.T @ slope((matrix @ at).reshape(start.shape)).ravel()
        return found

    moving, before = begun("lbfgs", start), variables(array(start))
    moving.step(1)
    at = variables(array(moving.image))
    gradient = downhill(before)
    assert np.corrcoef(at - before, -gradient)[0, 1] > 0.9999
    pairs: list[tuple[Array, Array]] = []
    for _ in range(5):
        ahead = downhill(at)
        pairs.append((at - before, ahead - gradient))
        moved, change = pairs[-1]
        inverse = np.eye(len(at)) * (moved @ change) / (change @ change)
        for moved, change in pairs:
            turned = np.eye(len(at)) - np.outer(moved, change) / (moved @ change)
            inverse = turned @ inverse @ turned.T + np.outer(moved, moved) / (moved @ change)
        moving.step(1)
        before, gradient = at, ahead
        expected = at - inverse @ gradient
        at = variables(array(moving.image))
        assert np.linalg.norm(at - expected) < 0.01 * np.linalg.norm(expected - before)


def test_lbfgs_measures_the_curvature_along_the_clamped_step() -> None:
    """The second step is that of BFGS for the difference of the clamped images."""
    goal = torch.where(rand(1, 3, 3, 4) < 0.4, -1.0, GOAL)
    start = torch.where(goal < 0, 0.001, 0.5)
    shape = start.shape[1:]
    matrix = through(np.eye(start.numel()).reshape(-1, *shape), IMAGE_SPECTRAL_POWER).reshape(start.numel(), -1).T
    moving = begun("lbfgs", start, lambda image: Losses((0.5 * STEEPNESS * (image - goal).square()).sum(), {}))

    def downhill(image: Array) -> Array:
        found: Array = matrix.T @ (STEEPNESS.double().numpy() * (image - goal.double().numpy())).ravel()
        return found

    before = array(start)
    moving.step(1)
    at = array(moving.image)
    assert (at == 0).any(), "the first step is cut"
    moved, change = np.linalg.solve(matrix, (at - before).ravel()), downhill(at) - downhill(before)
    turned = np.eye(len(moved)) - np.outer(moved, change) / (moved @ change)
    inverse = turned @ turned.T * (moved @ change) / (change @ change) + np.outer(moved, moved) / (moved @ change)
    expected = np.clip(at - (matrix @ inverse @ downhill(at)).reshape(at.shape), 0, 1)
    moving.step(1)
    assert np.linalg.norm(array(moving.image) - expected) < 0.01 * np.linalg.norm(expected - at)


def test_lbfgs_reaches_the_minimum_of_a_quadratic_sooner_than_adam() -> None:
    distances = []
    for name in ("adam", "lbfgs"):
        moving = begun(name, rand(1, 3, 3, 4))
        for _ in range(15):
            moving.step(0.02)
        distances.append((moving.image.detach() - GOAL).norm().item())
    assert distances[1] < 0.01 * distances[0]


def test_lbfgs_keeps_pixels_in_range_and_approaches_the_minimum_there() -> None:
    """It does not reach it: the clamp gives the nearest pixels, but not the nearest variables of the optimiser."""
    goal = torch.where(rand(1, 3, 3, 4) < 0.3, torch.where(GOAL < 0.5, -0.5, 1.5), GOAL)
    assert goal.min() < 0
    assert goal.max() > 1
    moving = begun("lbfgs", rand(1, 3, 3, 4), lambda image: Losses((STEEPNESS * (image - goal).square()).sum(), {}))
    start = moving.image.detach().clone()
    for _ in range(40):
        moving.step(1)
        assert 0 <= moving.image.min() <= moving.image.max() <= 1
    lowest = goal.clamp(0, 1)
    assert (moving.image - lowest).norm() < 0.15 * (start - lowest).norm()


def test_lbfgs_clears_its_history_at_each_size() -> None:
    """The curvature of another objective would mislead it."""
    travelled, fresh = begun("lbfgs", rand(1, 3, 3, 4), flat(0.1)), None
    for _ in range(5):
        travelled.step(1)
    travelled.begin(resized(travelled.image.detach(), (8, 6)), flat(0.9))
    fresh = begun("lbfgs", travelled.image.detach(), flat(0.9))
    assert travelled.image.shape == (1, 3, 6, 8)
    for _ in range(5):
        travelled.step(1)
        fresh.step(1)
        assert torch.equal(travelled.image, fresh.image)


def test_lbfgs_stays_at_the_minimum() -> None:
    moving = begun("lbfgs", GOAL)
    for _ in range(3):
        moving.step(1)
    torch.testing.assert_close(moving.image, GOAL)


def test_lbfgs_keeps_no_state_and_refuses_one() -> None:
    moving = begun("lbfgs", rand(1, 3, 3, 4))
    moving.step(1)
    assert moving.state() == {}
    assert isinstance(optimiser("lbfgs", rand(1, 3, 3, 4), {}), LBFGS)
    with pytest.raises(ValueError, match="L-BFGS"):
        optimiser("lbfgs", rand(1, 3, 3, 4), adam_state())


def test_lbfgs_keeps_no_more_steps_than_its_history_allows() -> None:
    """Each step remembered costs two images."""
    moving = begun("lbfgs", rand(1, 3, 3, 4), lambda image: Losses((image - GOAL).abs().pow(1.5).sum(), {}))
    for _ in range(HISTORY + 10):
        moving.step(1)
    assert isinstance(moving, LBFGS)
    (state,) = moving._optimiser.state.values()
    assert len(state["old_dirs"]) <= HISTORY


@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_a_failed_gradient_leaves_no_tensor_of_its_graph(name: Name) -> None:
    """Nor does one that is cancelled. The branch that fails is the newer one, which torch visits first."""
    kept: list[weakref.ref[Tensor]] = []

    def fail(_: Tensor) -> None:
        raise torch.OutOfMemoryError

    def failing(image: Tensor) -> Losses:
        saved = image * 2
        kept.append(weakref.ref(saved))
        other = saved.square().sum()
        first = image.sin()
        first.register_hook(fail)
        total = other + first.sum()
        return Losses(total, {})

    begins = begun(name, rand(1, 3, 3, 4), failing)
    with pytest.raises(torch.OutOfMemoryError):
        begins.step(0.1)
    gc.collect()
    assert [each() for each in kept] == [None]
