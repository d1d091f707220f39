"""``--plot-losses``: each layer's loss over the steps, by fixed and by dynamic weights."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from engine.cli.loss_plot import plot
from engine.progress import StepLosses
from engine.recipe import Recipe
from tests.engine.cli.conftest import SMALL, run

SVG = "{http://www.w3.org/2000/svg}"
PLOTTED = ("photo.png", "style.jpg", "-o", "out.png", "--plot-losses", "new/losses.svg", *SMALL)


def parsed(svg: str | bytes) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - made here


def lines(svg: ElementTree.Element) -> list[tuple[str, list[tuple[float, float]]]]:
    """The balance and the points of each line."""
    return [
        (line.attrib["class"].removeprefix("line "), [numbers(point) for point in line.attrib["points"].split()])
        for line in svg.iter(f"{SVG}polyline")
    ]


def numbers(point: str) -> tuple[float, float]:
    x, y = point.split(",")
    return float(x), float(y)


def texts(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def traced(values: list[float], scales: tuple[int, ...] = (64,)) -> list[StepLosses]:
    """A painting of the given losses at one layer, whose steps the scales share."""
    each = len(values) // len(scales)
    return [
        StepLosses(number + 1, scales[min(number // each, len(scales) - 1)], {"style": {"relu1_1": value}})
        for number, value in enumerate(values)
    ]


def test_the_plot_has_a_panel_for_each_layer_with_both_balances(folder: Path) -> None:
    assert run(*PLOTTED[:4], *SMALL).exit_code == 0
    alone = (folder / "out.png").read_bytes()
    done = run(*PLOTTED, "--style-layer", "relu1_1", "--style-layer", "relu2_1", "--save-recipe", "out.json")
    assert done.exit_code == 0, done.output
    assert "dynamic weights, for the plot" in done.stderr
    assert Recipe.model_validate_json((folder / "out.json").read_text()).balance == "fixed"
    svg = parsed((folder / "new" / "losses.svg").read_bytes())
    assert [balance for balance, _ in lines(svg)] == ["dynamic", "fixed"] * 3
    assert all(len(points) == 3 for _, points in lines(svg))
    assert {"content relu4_2", "style relu1_1", "style relu2_1", "fixed weights", "64 px"} <= set(texts(svg))
    assert run(*PLOTTED).exit_code == 0
    assert (folder / "out.png").read_bytes() == alone


def test_an_interrupted_painting_is_plotted_alone(interrupted: Callable[[int], None], folder: Path) -> None:
    interrupted(1)
    assert run(*PLOTTED, "--steps", "5000", "--balance", "dynamic").exit_code == 0
    found = lines(parsed((folder / "new" / "losses.svg").read_bytes()))
    assert {(balance, len(points)) for balance, points in found} == {("dynamic", 3)}


def test_without_a_step_there_is_no_plot(folder: Path) -> None:
    done = run(*PLOTTED, "--strength", "0")
    assert done.exit_code == 0, done.output
    assert "no loss to plot" in done.stderr
    assert not (folder / "new" / "losses.svg").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("losses.png", "losses.png: the name must end in .svg"), ("out.svg", "this is also the file of the recipe")],
)
def test_another_kind_of_file_or_that_of_the_recipe_is_refused(name: str, said: str, folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "out.png", "--save-recipe", "out.svg", "--plot-losses", name)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(folder.glob("out*"))


def test_equal_ratios_of_losses_are_equally_far_apart_and_scales_are_marked() -> None:
    svg = parsed(plot({"fixed": traced([1, 0.1, 0.01, 0.001], scales=(32, 64))}, "<a> & b"))
    ((_, points),) = lines(svg)
    down = [after[1] - before[1] for before, after in itertools.pairwise(points)]
    assert down == pytest.approx([down[0]] * 3, abs=0.2)
    assert down[0] > 0
    assert {"<a> & b", "32 px", "64", "0.1", "0.01", "4"} <= set(texts(svg))


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [math.nan, 0.5], [math.inf, 1.0], [0.5] * 9, [1.0] * 10_000])
def test_any_losses_can_be_plotted(values: list[float]) -> None:
    svg = parsed(plot({"fixed": traced(values), "dynamic": []}, "photo.jpg"))
    ((_, points),) = lines(svg)
    assert len(points) <= 521
    assert all(0 <= x <= 260 and 0 <= y <= 170 for x, y in points)
