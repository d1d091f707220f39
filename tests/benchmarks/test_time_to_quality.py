"""The peers compared with their formulas and original code, matching recipes compared with the peers, and a short
contest.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from engine.images.codec import decode
from engine.painting.checkpoint import Checkpoint, from_bytes
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.recipe import Inputs, Recipe
from engine.vgg import weights
from engine.vgg.vgg19 import VGG19, load_cached
from tests.benchmarks import contest
from tests.benchmarks.crowsonkb import Crowsonkb
from tests.benchmarks.curves import Point
from tests.benchmarks.machine import CONTENT, STYLE
from tests.benchmarks.peers import Bank, Pair, Pastiche, Peer, Seed, opened
from tests.benchmarks.time_to_quality import Report, held, plot, table_of

Array = NDArray[np.float64]

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """More threads make paintings of this size no faster."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def parameters() -> weights.Parameters:
    """The original weights."""
    return weights.load("embedded")


@pytest.fixture(scope="module")
def network() -> VGG19:
    """The network of the engine."""
    return load_cached("embedded", CPU, torch.float32)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The project's pictures at 64 pixels."""
    return contest.prepared(CONTENT, STYLE, 64, tmp_path_factory.mktemp("pair")).pair


def noise(seed: int) -> Tensor:
    """An image of the pair's size."""
    return torch.rand((1, 3, 48, 64), generator=torch.Generator().manual_seed(seed))


def replicating(name: str, parameters: weights.Parameters) -> Any:
    """The network of a peer, with the padding of the engine in its first convolution."""
    if name == "seed":
        return Bank(parameters, padding="replicate")
    found = Pastiche.network(parameters)
    found.block1_conv1.padding_mode = "replicate"
    return found


# --- The pictures of all contestants ---


def test_both_pictures_get_one_size_and_keep_their_proportions(tmp_path: Path) -> None:
    """A disc in the middle of the style is still a disc after the crop."""
    Image.new("RGB", (200, 100), "teal").save(tmp_path / "wide.png")
    disc = Image.new("RGB", (100, 160), "white")
    ImageDraw.Draw(disc).ellipse((35, 65, 65, 95), "black")
    disc.save(tmp_path / "tall.png")
    found = contest.prepared(tmp_path / "wide.png", tmp_path / "tall.png", 128, tmp_path).pair
    with Image.open(found.content) as content, Image.open(found.style) as style:
        assert content.size == style.size == (128, 64)
        dark = np.asarray(style.convert("L")) < 128
    rows, columns = dark.any(1).sum(), dark.any(0).sum()
    assert columns == pytest.approx(rows, abs=1)
    assert rows == pytest.approx(30 * 1.28, abs=3)


# --- Peers ---


def gram(features: Tensor) -> Array:
    rows = features[0].flatten(1).double().numpy()
    product: Array = rows @ rows.T
    return product


def squared(one: Any, other: Any) -> float:
    return float(((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2).mean())


def test_the_objective_of_the_seed_equals_its_documented_formula(pair: Pair, parameters: weights.Parameters) -> None:
    """The content: 1 · MSE at conv4_2. The style: 1e9 / (d·h·w) · 1, .75, .2, .2, .2 · MSE of the sums of products."""
    bank = Bank(parameters)
    seed = Seed(pair, bank, CPU)
    image = noise(1)
    with torch.no_grad():
        content, style, painting = (
            bank(bank.normalised(each), Seed.LAYERS)
            for each in (opened(pair.content, CPU), opened(pair.style, CPU), image)
        )
    expected = squared(painting["conv4_2"], content["conv4_2"])
    for layer, weight in (("conv1_1", 1), ("conv2_1", 0.75), ("conv3_1", 0.2), ("conv4_1", 0.2), ("conv5_1", 0.2)):
        difference = squared(gram(painting[layer]), gram(style[layer]))
        expected += 1e9 * weight * difference / painting[layer].numel()
    assert seed.objective(image) == pytest.approx(expected, rel=1e-4)


def test_the_bank_computes_the_same_features_as_the_engine(parameters: weights.Parameters, network: VGG19) -> None:
    """The weights are those for normalised pixels. With the same padding, the features are the same."""
    bank, image = Bank(parameters, padding="replicate"), noise(2)
    with torch.no_grad():
        ours = network.features(image, Crowsonkb.LAYERS.values())
        theirs = bank(bank.normalised(image), Crowsonkb.LAYERS)
    for layer, features in theirs.items():
        torch.testing.assert_close(features, ours[layer], rtol=1e-3, atol=1e-3 * features.abs().max().item())


def test_the_features_of_a_convolution_are_those_before_the_relu(parameters: weights.Parameters) -> None:
    bank = Bank(parameters)
    with torch.no_grad():
        found = bank(bank.normalised(noise(2)), Seed.LAYERS)
    assert set(found) == {"conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv4_2", "conv5_1"}
    assert all((features < 0).any() for features in found.values())


@pytest.mark.filterwarnings("ignore:Image.Image.getdata:DeprecationWarning")
def test_pastiche_computes_the_same_losses_with_the_weights_of_the_engine(
    pair: Pair, parameters: weights.Parameters
) -> None:
    """Compared with the original class, which loads its own weights."""
    from pastiche.pastiche import PasticheArtist

    theirs = PasticheArtist(str(pair.content), [str(pair.style)], size=64, device="cpu")
    ours = Pastiche(pair, Pastiche.network(parameters), CPU)
    assert ours.objective(opened(pair.content, CPU)) == pytest.approx(theirs.loss, rel=1e-5)
    for _ in range(3):
        theirs.draw()
        value = ours.step()
    assert value == pytest.approx(theirs.loss, rel=1e-3)


@pytest.mark.parametrize("name", contest.PEERS)
def test_a_peer_reduces_its_own_objective(name: str, pair: Pair, parameters: weights.Parameters) -> None:
    peer: Peer = contest.PEERS[name](pair, contest.PEERS[name].network(parameters), CPU)
    torch.testing.assert_close(peer.image, opened(pair.content, CPU), rtol=0, atol=1e-5)
    first = peer.objective(peer.image)
    told = [peer.step() for _ in range(2)]
    if told[0] is not None:
        assert float(told[0]) == pytest.approx(first, rel=1e-5)
        before = peer.objective(peer.image)
        assert float(peer.step() or 0) == pytest.approx(before, rel=1e-4)
    assert peer.objective(peer.image) < first


@pytest.mark.parametrize("name", ["seed", "pastiche"])
def test_the_coefficients_give_the_objective_of_the_peer(name: str, pair: Pair, parameters: weights.Parameters) -> None:
    """Sums of squared differences of the engine's features, in float64. The peer pads as the engine does."""
    bank = Bank(parameters, padding="replicate")
    peer: Peer = contest.PEERS[name](pair, replicating(name, parameters), CPU)
    coefficients = peer.coefficients()
    assert coefficients is not None
    wanted = Seed.LAYERS if name == "seed" else Crowsonkb.LAYERS
    image = noise(3)
    with torch.no_grad():
        content, style, painting = (
            bank(bank.normalised(each), wanted) for each in (opened(pair.content, CPU), opened(pair.style, CPU), image)
        )
    total = 0.0
    for layer, value in coefficients.content.items():
        total += value * squared(painting[layer], content[layer]) * painting[layer].numel()
    for layer, value in coefficients.style.items():
        positions = painting[layer][0, 0].numel()
        difference = squared(gram(painting[layer]) / positions, gram(style[layer]) / positions)
        total += value * difference * painting[layer].shape[1] ** 2
    assert total == pytest.approx(peer.objective(image), rel=1e-3)


# --- Matching recipes ---


@pytest.mark.parametrize("name", ["seed", "pastiche"])
def test_a_painting_with_the_matching_recipe_reduces_the_objective_of_the_peer(
    name: str, pair: Pair, parameters: weights.Parameters, network: VGG19
) -> None:
    """The loss of a painting is a constant times the objective of the peer.

    This holds at one of four steps; at the others, the image is shifted against the grid of the pooling.
    """
    peer: Peer = contest.PEERS[name](pair, replicating(name, parameters), CPU)
    coefficients = peer.coefficients()
    assert coefficients is not None
    content, style = (opened(path, CPU) for path in (pair.content, pair.style))
    fields = contest.matching(coefficients, *contest.energies(coefficients, network, content, style))
    recipe = Recipe(**{"size": 64, "steps": 21, "precision": "float32"} | fields)
    saved: list[bytes] = []

    def save(data: bytes) -> str:
        saved.append(data)
        return "kept"

    pictures = [decode(path.read_bytes()) for path in (pair.content, pair.style)]
    pace = Pace(progress=0, preview=None, checkpoint=0)
    losses = [
        each.loss
        for each in paint(Inputs(pictures[0], (pictures[1],)), recipe, network, RunOptions(pace=pace, save=save))
    ]
    values = [peer.objective(from_bytes(data, Checkpoint).image) for data in saved[:-1]]  # the last is the final state
    ratios = [values[step - 1] / losses[step] for step in (5, 9, 12, 17, 20)]
    assert max(losses) > 2 * min(losses)
    assert ratios == pytest.approx([ratios[0]] * 5, rel=1e-3)


# --- A contest ---


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of a contest in this process, with a few steps for each contestant."""
    order = contest.prepared(CONTENT, STYLE, 64, tmp_path_factory.mktemp("contest"), 1)
    with mock.patch.object(contest, "keep_large_blocks"):
        return held(
            order, ["pastiche"], 5, peer_steps=4, start=lambda share, *given: share(*given), precision="float32"
        )


@pytest.mark.slow
def test_every_contestant_has_a_curve_of_the_objective_of_the_peer(report: Report) -> None:
    curves = report.curves["pastiche"]
    assert list(curves) == [
        "pastiche",
        "adam for pastiche",
        "gauss-newton for pastiche",
        "lbfgs for pastiche",
        "default",
    ]
    assert [each.step for each in curves["pastiche"]] == [0, 1, 2, 3, 4]
    assert {1, 4, 5} <= {each.step for each in curves["adam for pastiche"]} <= {1, 2, 3, 4, 5}
    for curve in curves.values():
        assert all(before.seconds < after.seconds for before, after in pairwise(curve))
        assert curve[-1].value < curve[0].value
    assert report.target("pastiche") == curves["pastiche"][-1].value
    assert report.ratio("pastiche", "pastiche") == 1
    assert report.as_shown["pastiche"] == pytest.approx(report.target("pastiche"), rel=0.5)


def test_the_ratio_is_the_time_of_the_peer_divided_by_that_of_the_contestant() -> None:
    found = Report()
    found.as_shown["seed"] = 100 / 10**0.5
    found.curves["seed"] = {
        "seed": [Point(0, 0, 100), Point(1, 30, 10)],
        "adam for seed": [Point(1, 1, 100), Point(2, 5, 1)],
        "default": [Point(1, 1, 100), Point(2, 5, 11)],
    }
    assert found.seconds("seed", "adam for seed") == pytest.approx(3)
    assert found.ratio("seed", "adam for seed") == pytest.approx(10)
    assert found.ratio("seed", "adam for seed", as_shown=True) == pytest.approx(30 / 2)
    assert found.ratio("seed", "default") is None
    assert found.ratio("seed", "lbfgs for seed") is None


@pytest.mark.slow
def test_the_table_has_a_row_for_every_contestant(report: Report) -> None:
    names, *_, peaks = (list(column.cells) for column in table_of(report, "pastiche").columns)
    assert names == ["pastiche", "Atelier, Adam", "Atelier, Gauss–Newton", "Atelier, L-BFGS", "Atelier's default"]
    assert peaks[0] == f"{report.runs['pastiche'].peak_mb:.0f} MB"


@pytest.mark.slow
def test_the_plot_is_written_as_a_picture(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot(report, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10
