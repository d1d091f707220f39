"""The benchmark of quality around its measures: its command line, reports and sheets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from engine.images.codec import Picture
from tests.benchmarks.measures import Measures
from tests.benchmarks.peers import Pastiche, Seed
from tests.benchmarks.quality import pictures
from tests.benchmarks.quality.__main__ import entered, main, parsed
from tests.benchmarks.quality.painters import Painted, candidate, fields
from tests.benchmarks.quality.pictures import Named, Pair
from tests.benchmarks.quality.report import Curve, at_same_style, by_style, mean, spread
from tests.benchmarks.quality.sheets import Cell, crop, places, sheet
from tests.drawing import collection


def named(name: str) -> Named:
    """A small grey picture."""
    return Named(name, Picture(Image.new("RGB", (44, 33), (128, 128, 128))))


def painted(pair: Pair, style: float, strength: float = 50, relations: float = 0.4, by: str = "ours") -> Painted:
    """A painting with those distances."""
    measures = Measures(style, {}, 0.5, relations, 0.3, 0.2, 0.1, 0.0, 0.0, 0.0, 1.0)
    return Painted(by, pair, strength, pair.content.picture.rgb, 1, 0.0, measures)


# --- What is asked for ---


def test_fields_of_a_recipe_are_json_or_words() -> None:
    told = ["balance=dynamic", "detail=50", 'style_layers={"relu1_1": 1, "relu2_1": 0.5}', "style_shares=[1]"]

    assert fields(told) == {
        "balance": "dynamic",
        "detail": 50,
        "style_layers": {"relu1_1": 1, "relu2_1": 0.5},
        "style_shares": [1],
    }
    with pytest.raises(ValueError, match="KEY=VALUE"):
        fields(["detail"])


def test_a_candidate_is_a_name_and_fields_and_may_hold_commas() -> None:
    told = 'light:style_layers={"relu1_1":1,"relu2_1":2},detail=30,colours=matched'

    assert candidate(told) == (
        "light",
        {"style_layers": {"relu1_1": 1, "relu2_1": 2}, "detail": 30, "colours": "matched"},
    )
    for wrong in ("detail=30", "a/b:detail=30", "light:detail"):
        with pytest.raises(ValueError, match="KEY=VALUE"):
            candidate(wrong)


def test_candidates_build_on_the_common_fields_and_paint_before_the_peers() -> None:
    told = "--size 128 --steps 7 --recipe detail=20 --candidate bold:strength=80,detail=5 --contestants pastiche,ours"

    contestants = entered(parsed(told.split()))

    recipes = [each.recipe for each in contestants]
    assert [each.name for each in contestants] == ["ours", "bold", "pastiche"]
    assert recipes[0] is not None
    assert recipes[1] is not None
    assert recipes[2] is None
    assert [(r.size, r.steps, r.detail, r.strength) for r in recipes if r] == [(128, 7, 20, 50), (128, 7, 5, 80)]
    with pytest.raises(ValidationError):
        entered(parsed(["--recipe", "detail=500"]))
    with pytest.raises(ValueError, match="none of ours"):
        entered(parsed(["--contestants", "theirs"]))


def test_any_beginning_of_the_pairs_has_as_many_different_pictures_as_can_be() -> None:
    contents, styles = [named(name) for name in "abc"], [named(name) for name in "wxyz"]

    found = pictures.pairs(contents, styles)

    assert len({pair.name for pair in found}) == len(found) == 12
    for count in range(1, 4):
        assert len({pair.content.name for pair in found[:count]}) == count
        assert len({pair.style.name for pair in found[:count]}) == count


def test_there_are_three_contents_and_three_styles_of_our_own_that_are_nothing_alike() -> None:
    """What takes long to draw is drawn small here."""
    contents = [pictures.OWN_CONTENTS["town"]().rgb, collection.portrait(64), collection.still_life(80)]
    styles = [pictures.OWN_STYLES["oil"]().rgb, pictures.OWN_STYLES["glass"]().rgb, collection.woodcut(96)]

    assert len(pictures.OWN_CONTENTS) == len(pictures.OWN_STYLES) == 3
    for each in (contents, styles):
        looks = [np.asarray(image.resize((32, 32)), np.float64) for image in each]
        assert min(abs(a - b).mean() for i, a in enumerate(looks) for b in looks[:i]) > 20
        assert min(look.std() for look in looks) > 20


def test_files_of_a_folder_are_taken_and_files_that_are_named_go_before_them(tmp_path: Path) -> None:
    for path in ("content/b.jpg", "content/a.jpg", "style/s.jpg", "other.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        named("").picture.rgb.save(tmp_path / path)

    assert [each.name for each in pictures.contents([], tmp_path)] == ["a", "b"]
    assert [each.name for each in pictures.contents([tmp_path / "other.png"], tmp_path)] == ["other"]
    assert [each.name for each in pictures.styles([], tmp_path)] == ["s"]


# --- What is told ---


def test_means_and_the_spread_over_styles_are_those_of_the_paintings() -> None:
    a, b, x, y = (named(name) for name in "abxy")
    paintings = [
        painted(Pair(a, x), 0.2), painted(Pair(b, x), 0.4), painted(Pair(a, y), 0.5), painted(Pair(b, y), 0.9)
    ]  # fmt: skip

    assert mean(paintings)["style"] == pytest.approx(0.5)
    assert mean(paintings)["ssim"] == pytest.approx(0.3)
    assert by_style(paintings) == pytest.approx({"x": 0.3, "y": 0.7})
    assert spread(by_style(paintings)) == pytest.approx(0.4)


def test_a_curve_that_rises_once_is_not_monotone() -> None:
    pair = Pair(named("a"), named("x"))
    falling, rising = (
        Curve("ours", pair, tuple(painted(pair, style, 10 * at) for at, style in enumerate(styles)))
        for styles in ((1.0, 0.6, 0.6, 0.2), (1.0, 0.6, 0.63, 0.2))
    )

    assert falling.worst_rise == 0
    assert rising.worst_rise == pytest.approx(0.03)


def test_content_is_compared_where_a_curve_is_as_near_to_the_style() -> None:
    """From 1.0 to 0.5 the relations go from 0 to 0.4; a peer at 0.75 is half way, one at 0.3 is nearer than the curve
    ever comes, and of another pair there is no curve.
    """
    pair, other = Pair(named("a"), named("x")), Pair(named("b"), named("x"))
    curve = Curve("ours", pair, (painted(pair, 1.0, 0, 0.0), painted(pair, 0.5, 50, 0.4)))
    peers = [painted(of, style, by="peer") for of, style in ((pair, 0.75), (pair, 0.3), (other, 0.75))]

    half_way, beyond = at_same_style([curve], [*peers, painted(pair, 0.75)])

    assert half_way.others["ours"] == pytest.approx({"relations": 0.2, "ssim": 0.3})
    assert beyond.others == {"ours": None}


# --- What is shown ---


def test_a_sheet_shows_each_picture_whole_and_large_ones_scaled_down() -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    small, other, large = (
        Image.new("RGB", size, colour) for size, colour in zip([(60, 40), (50, 70), (800, 400)], colours, strict=True)
    )

    shown = np.asarray(sheet([[Cell(small, ("a",)), Cell(other)], [Cell(large), Cell(None)]], "title"))

    count = [int((shown == np.array(colour)).all(axis=2).sum()) for colour in colours]
    assert count == [60 * 40, 50 * 70, 400 * 200]


def test_lines_under_a_picture_stay_under_it() -> None:
    """The second column's picture is the same whatever the first one's line says."""
    first, second = Image.new("RGB", (100, 50), (255, 0, 0)), Image.new("RGB", (100, 50), (0, 255, 0))

    short, long = (
        np.asarray(sheet([[Cell(first, (line,)), Cell(second, ("b",))]], "")) for line in ("a", "a long line " * 20)
    )

    assert short.shape == long.shape
    left = int(np.flatnonzero((short == np.array((0, 255, 0))).all(axis=2).any(axis=0))[0])
    assert np.array_equal(short[:, left:], long[:, left:])
    assert not np.array_equal(short[:, :left], long[:, :left])


def test_close_looks_go_to_the_corner_the_plainest_and_the_busiest_place_at_whole_pixels() -> None:
    dots = np.full((200, 300, 3), 128, np.uint8)
    dots[:100] = np.random.default_rng(0).integers(90, 166, (100, 300, 3))
    dots[130:, :90] = np.random.default_rng(1).integers(0, 256, (70, 90, 3))
    picture = Image.fromarray(dots)

    found = places(picture, 48)
    left, top = found["plainest"]
    shown = np.asarray(crop(picture, found["busiest"], 48, 3))

    assert found["corner"] == (0, 0)
    assert (dots[top : top + 48, left : left + 48] == 128).all()
    left, top = found["busiest"]
    assert top > 100
    assert left < 60
    assert shown.shape == (144, 144, 3)
    assert np.array_equal(shown[1::3, 1::3], dots[top : top + 48, left : left + 48])


# --- All of it, small ---


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.filterwarnings("ignore:Image.Image.getdata is deprecated:DeprecationWarning")  # pastiche asks for it
def test_a_small_contest_leaves_tables_data_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours, a candidate without style and two peers of two steps, at 64 pixels."""
    monkeypatch.setattr(Seed, "steps", 2)
    monkeypatch.setattr(Pastiche, "steps", 2)
    rows, columns = np.mgrid[0:96, 0:128]
    waves = 128 + 60 * np.sin(rows / 9)[..., None] * np.array([1, 0.4, -0.6]) + 50 * np.cos(columns / 7)[..., None]
    squares = np.random.default_rng(3).integers(20, 230, (12, 12, 3)).repeat(9, axis=0).repeat(9, axis=1)
    for name, pixels in (("waves", waves), ("squares", squares)):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    out, told = tmp_path / "out", tmp_path / "told.json"
    command = f"--content {tmp_path}/waves.png --style {tmp_path}/squares.png --size 64 --steps 6 --threads 1"
    command += f" --candidate still:strength=0 --strengths 0,50 --device cpu --out {out} --json {told} --crop 0.5,0.5"

    main(command.split())

    data = json.loads(told.read_text())
    means = data["means_over_common_pairs"]
    assert [*means] == ["ours", "still", "seed", "pastiche"]
    assert data["itself"]["the content"]["style"] == pytest.approx(1)
    assert data["itself"]["the style, stretched"]["relations"] == pytest.approx(1)
    assert means["still"] == pytest.approx(data["itself"]["the content"], abs=1e-3)
    assert means["ours"]["style"] < 0.97
    assert means["ours"]["relations"] > 0.05
    at = {point["strength"]: point["style"] for point in data["curves"][0]["points"]}
    assert at[0] == pytest.approx(1, abs=1e-3)
    assert at[50] == means["ours"]["style"]
    assert {each["contestant"]: each["steps"] for each in data["paintings"]} == {
        "ours": 6, "still": 0, "seed": 2, "pastiche": 2
    }  # fmt: skip
    assert {(each["content_picture"], each["style_picture"]) for each in data["paintings"]} == {("waves", "squares")}
    assert data["at_same_style"][0]["content_picture"] == "waves"
    assert data["recipes"]["still"]["strength"] == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("over strength", "monotone", "spread", "pastiche", "as near"))
    for sheet_name in ("contestants", "strengths-ours", "strengths-still", "crops-waves-squares"):
        with Image.open(out / f"{sheet_name}.png") as image:
            assert min(image.size) > 100
    with Image.open(out / "paintings" / "ours-waves-squares-50.png") as image:
        assert image.size == (64, 48)
