"""The reference for GPUs, run on a CPU: its formulas, computed in another way, and the sequence of its scales."""

import numpy as np
import pytest
import torch

from bot.demo.start import drawn
from engine.vgg import weights
from tests.benchmarks import contest
from tests.benchmarks.crowsonkb import Crowsonkb, Gaussian, scales, variation


def test_the_scales_are_the_published_ones() -> None:
    assert scales(512) == [128, 181, 256, 362, 512]
    assert scales(100) == [100]


def test_the_distance_of_two_gaussians_equals_the_one_computed_from_eigenvalues() -> None:
    """The trace of (Σ^½ Σ' Σ^½)^½ is the sum of the roots of the eigenvalues of Σ Σ'."""
    one, other = (torch.randn((1, 6, 20, 20), generator=torch.Generator().manual_seed(seed)) * seed for seed in (1, 3))
    rows = [each[0].flatten(1).double().numpy() for each in (one, other + 2)]
    means = [each.mean(1) for each in rows]
    spreads = [np.cov(each, bias=True) + 1e-4 * np.eye(6) for each in rows]
    roots = np.sqrt(np.linalg.eigvals(spreads[0] @ spreads[1]).real).sum()
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(spreads[0]) + np.trace(spreads[1]) - 2 * roots
    found = Gaussian.of(one).distance(Gaussian.of(other + 2)).item()
    assert found == pytest.approx(expected / 6, rel=1e-4)
    assert Gaussian.of(one).distance(Gaussian.of(one)).item() == pytest.approx(0, abs=1e-4)


def test_the_total_variation_of_a_gradient_equals_the_value_computed_by_hand() -> None:
    """It increases by 0.1 for each pixel to the right. The pixels at the right border have no neighbour there."""
    slope = torch.linspace(0, 0.9, 10).expand(1, 3, 8, 10)
    expected = 0.01 * (2 / 3 * 9 / 10 + 2 / 6 * 9 / 11)
    assert variation(slope).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_it_paints_at_one_scale_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(Crowsonkb, "FIRST_STEPS", 1)
    monkeypatch.setattr(Crowsonkb, "LATER_STEPS", 1)
    pair = contest.prepared(drawn("content.jpg"), drawn("style.jpg"), 192, tmp_path_factory.mktemp("pair")).pair
    peer = Crowsonkb(pair, Crowsonkb.network(weights.load("embedded")), torch.device("cpu"))
    shapes = [tuple(peer.image.shape)]
    for _ in range(peer.steps):
        peer.step()
        shapes.append(tuple(peer.image.shape))
    assert shapes == [(1, 3, 102, 136)] * 2 + [(1, 3, 144, 192)]
    assert peer.image.isfinite().all()
