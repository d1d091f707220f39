"""The loss of nearest neighbours against the formula, written place by place in numpy and float64."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.losses import neighbours
from engine.losses.neighbours import PLACES, Bank, NeighbourTerm, Places, rows_of

Array = NDArray[np.float64]
CPU = torch.device("cpu")


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def array(features: Tensor) -> Array:
    """One row for each place."""
    rows: Array = features.detach().double().numpy()[0].reshape(features.shape[1], -1).T
    return rows


def expected(painting: Array, style: Array) -> float:
    mean = style.mean(axis=0)
    cosines = np.array(
        [
            [place @ row / (np.linalg.norm(place) * np.linalg.norm(row)) for row in style - mean]
            for place in painting - mean
        ]
    )
    chosen = (cosines - cosines.max(axis=0) / 2).argmax(axis=1)
    there = 1 - np.take_along_axis(cosines, chosen[:, None], axis=1).mean()
    return float((there + 1 - cosines.max(axis=0).mean()) / 2)


def test_the_loss_and_its_gradient_agree_with_the_formula() -> None:
    """All places are compared, as there are few."""
    style, painting = rand(1, 5, 6, 7, seed=1), rand(1, 5, 4, 3, seed=2).requires_grad_()
    term = NeighbourTerm(1.0, {"relu2_1": Bank.of([style], [1.0], 0)}, Places(3, CPU))
    loss = term({"relu2_1": painting}, painting)
    assert loss.item() == pytest.approx(expected(array(painting), array(style)), rel=1e-5)
    (slope,) = torch.autograd.grad(loss, painting)
    found, step = array(slope), 1e-6
    for at in np.ndindex(found.shape):
        sides = []
        for sign in (step, -step):
            moved = array(painting).copy()
            moved[at] += sign
            sides.append(expected(moved, array(style)))
        assert found[at] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (30, 40), (96, 128), (3, 900), (900, 3), (32, 33)])
def test_the_places_of_a_step_are_distinct_and_spread_evenly(height: int, width: int) -> None:
    places = Places(0, CPU)
    counts = torch.zeros(height * width)
    for step in range(60):
        places.begin_step(step)
        found = places(height, width)
        assert min(PLACES // 2, height * width) < len(found) + 1 <= PLACES + 1
        assert len(found.unique()) == len(found)
        counts[found] += 1
    first = counts[: len(counts) // 2].sum() / counts.sum()
    assert first.item() == pytest.approx(0.5, rel=0.15)
    assert (counts > 0).float().mean().item() > 0.9


def test_the_places_follow_from_the_seed_and_the_step() -> None:
    one, other = Places(5, CPU), Places(5, CPU)
    one.begin_step(8)
    for step in range(9):
        other.begin_step(step)
    assert torch.equal(one(90, 60), other(90, 60))
    one.begin_step(9)
    assert not torch.equal(one(90, 60), other(90, 60))


def test_a_bank_has_rows_of_each_style_by_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "ROWS", 40)
    one, other = rand(1, 3, 8, 8, seed=1), 9 + rand(1, 3, 5, 5, seed=2)
    bank = Bank.of([one, other], [3.0, 1.0], 0)
    brighter = bank.rows.mean(dim=1) > 0
    assert (len(bank.rows), int(brighter.sum())) == (40, 10)
    assert bank.mean.tolist() == pytest.approx(0.75 * array(one).mean(axis=0) + 0.25 * array(other).mean(axis=0))


def test_a_share_holds_where_a_style_has_few_places() -> None:
    one, other = rand(1, 3, 8, 8, seed=1), 9 + rand(1, 3, 4, 4, seed=2)
    brighter = Bank.of([one, other], [0.5, 0.5], 0).rows.mean(dim=1) > 0
    assert (len(brighter), int(brighter.sum())) == (32, 16)


def test_the_faint_noise_of_a_plain_style_attracts_nothing() -> None:
    plain = 1 + 1e-4 * rand(1, 6, 8, 8, seed=1)
    bank = Bank.of([plain], [1.0], 0)
    painting = rows_of(rand(1, 6, 8, 8, seed=2)).requires_grad_()
    (slope,) = torch.autograd.grad(bank.distance(painting), painting)
    ordinary = Bank.of([rand(1, 6, 8, 8, seed=3)], [1.0], 0)
    (other,) = torch.autograd.grad(ordinary.distance(painting), painting)
    assert slope.norm() < 0.01 * other.norm()
