"""``atelier stylize`` as people type it."""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine import progress
from engine.images.animation import Clip, decode_frames
from engine.images.codec import Picture, decode
from engine.painting.methods import METHODS
from engine.recipe import Inputs, Recipe
from engine.vgg.vgg19 import VGG19
from tests.engine.cli.conftest import HERE, SMALL, opened, run
from tests.engine.images import clips, corpus

# --- Painting ---


def test_a_moving_picture_gives_a_clip_or_its_first_frame(folder: Path) -> None:
    (folder / "clip.gif").write_bytes(clips.file("GIF", clips.frames(3), duration=[40, 80, 500]))
    assert run("clip.gif", "style.jpg", "-o", "out.gif", *SMALL).exit_code == 0
    clip = decode_frames((folder / "out.gif").read_bytes(), 48)
    assert isinstance(clip, Clip)
    assert (clip.milliseconds, clip.frames[0].rgb.size) == ((40, 80, 500), (64, 43))
    assert run("clip.gif", "style.jpg", "-o", "out.png", "--frames", "1", *SMALL).exit_code == 0
    assert isinstance(decode_frames((folder / "out.png").read_bytes(), 48), Picture)
    done = run("clip.gif", "clip.gif", "-o", "few.gif", "--frames", "2", *SMALL)
    assert "clip.gif: It moves. Only its first frame is used." in done.stderr
    assert "64 × 43 px, 2 of 3 frames in " in done.stderr
    done = run("photo.png", "style.jpg", "-o", "still.gif", *SMALL)
    assert done.exit_code == 2
    assert "a single picture is painted" in done.stderr
    done = run("clip.gif", "style.jpg", "-o", "large.gif", *SMALL, "--size", "400")
    assert done.exit_code == 2
    assert "at most 384 px" in done.stderr


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("out.png", "PNG"),
        ("out.jpg", "JPEG"),
        ("out.JPEG", "JPEG"),
        ("out.webp", "WEBP"),
        ("new/folder/out.png", "PNG"),
    ],
)
def test_the_name_of_the_file_chooses_its_format(name: str, format: str, folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", name, *SMALL)
    assert done.exit_code == 0, done.output
    image = opened(folder / name)
    assert (image.format, image.size) == (format, (64, 43))
    assert f"{name}: 64 × 43 px" in done.stderr
    assert "Finished after 3 steps." in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("name", "mode"), [("out.png", "RGBA"), ("out.webp", "RGBA"), ("out.jpg", "RGB")])
def test_transparency_is_kept_if_the_format_has_it(name: str, mode: str, folder: Path) -> None:
    source = corpus.scene()
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    source.save(folder / "clear.png")
    assert run("clear.png", "style.jpg", "-o", name, *SMALL).exit_code == 0
    assert opened(folder / name).mode == mode


def test_only_the_white_part_of_a_mask_is_painted(folder: Path) -> None:
    mask = Image.new("L", (90, 60))
    mask.paste(255, (0, 0, 45, 60))
    mask.save(folder / "mask.png")
    given = ("--mask", "mask.png", "--previews", "shown", "--save-recipe", "recipe.json")
    done = run("photo.png", "style.jpg", "-o", "out.png", *SMALL, *given)
    assert done.exit_code == 0, done.output
    photo = decode((folder / "photo.png").read_bytes(), longer_side=64).rgb
    right = (34, 0, 64, 43)
    assert opened(folder / "out.png").crop(right).tobytes() == photo.crop(right).tobytes()
    assert opened(folder / "shown" / "mask.jpg").size == (64, 43)
    again = ("--recipe", "recipe.json", *HERE)
    for wrong, reason in (
        (again, "mask needs a mask picture"),
        (("--where", "subject", "--mask", "mask.png"), "subject uses no mask picture"),
        (("--where", "subject", "--rest", "style"), "needs two styles"),
        (("--rest", "style"), "set where"),
    ):
        refused = run("photo.png", "style.jpg", "-o", "out.png", *wrong)
        assert (refused.exit_code, reason in refused.output) == (2, True), refused.output


def test_the_seed_determines_the_file(folder: Path) -> None:
    for name, seed in (("one.png", "4"), ("two.png", "4"), ("three.png", "5")):
        assert run("photo.png", "style.jpg", "-o", name, *SMALL, "--seed", seed).exit_code == 0
    one, two, three = ((folder / f"{name}.png").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_a_quality_has_the_bots_values_and_other_options_override_them(folder: Path) -> None:
    """It is ``standard`` where none is given, or ``instant`` for that method."""
    device = ("--device", "cpu", "--precision", "float32", "--save-recipe", "recipe.json")
    for given, expected in (
        (("--quality", "instant", "--size", "96"), ("instant", 96, 9)),
        (("--method", "instant", "--size", "96"), ("instant", 96, 9)),
        (("--steps", "2"), ("neighbours", 384, 2)),
        (("--recipe", "recipe.json", "--size", "64"), ("neighbours", 64, 2)),
    ):
        done = run("photo.png", "style.jpg", "-o", "out.png", *given, *device)
        assert done.exit_code == 0, done.output
        saved = Recipe.model_validate_json((folder / "recipe.json").read_bytes())
        assert (saved.method, saved.size, saved.steps) == expected


OPTIONS: dict[str, tuple[str, ...]] = {
    "size": ("--size", "70"),
    "method": ("--method", "neighbours"),
    "steps": ("--steps", "2"),
    "optimiser": ("--optimiser", "lbfgs"),
    "start": ("--start", "matched"),
    "tolerance": ("--tolerance", "0.25"),
    "strength": ("--strength", "70"),
    "detail": ("--detail", "30"),
    "stroke": ("--stroke", "1.5"),
    "content_weight": ("--content-weight", "2"),
    "style_weight": ("--style-weight", "3"),
    "content_layers": ("--content-layer", "relu3_1", "--content-layer", "relu4_1:0.5"),
    "style_layers": ("--style-layer", "relu2_1:2"),
    "balance": ("--balance", "dynamic"),
    "style_shares": (),
    "colours": ("--colours", "matched"),
    "where": ("--where", "not-faces"),
    "spread": ("--spread", "-2"),
    "rest": ("--rest", "style"),
    "total_variation": ("--total-variation", "0.5"),
    "pooling": ("--pooling", "average"),
    "noise": ("--noise", "0.1"),
    "seed": ("--seed", "9"),
    "precision": ("--precision", "float32"),
}
"""The options that set each field of a recipe."""
PARSED = Recipe(
    size=70, method="neighbours", steps=2, optimiser="lbfgs", start="matched", tolerance=0.25, strength=70, detail=30,
    stroke=1.5, content_weight=2, style_weight=3, content_layers={"relu3_1": 1, "relu4_1": 0.5},
    style_layers={"relu2_1": 2}, balance="dynamic", style_shares=(0.7, 1), colours="matched",
    where="not-faces", spread=-2, rest="style", total_variation=0.5, pooling="average", noise=0.1,
    seed=9, precision="float32",
)  # fmt: skip


def test_every_field_of_a_recipe_has_an_option(folder: Path) -> None:
    assert set(OPTIONS) == set(Recipe.model_fields) - {"version", "continues", "frames"}
    options = [part for parts in OPTIONS.values() for part in parts]
    done = run(
        "photo.png", "style.jpg:0.7", "photo.png", "-o", "out.png", "--save-recipe", "new/out.json", *HERE, *options
    )
    assert done.exit_code == 0, done.output
    written = (folder / "new" / "out.json").read_text(encoding="utf-8")
    assert Recipe.model_validate_json(written) == PARSED
    assert f"recipe {PARSED.id}" in done.stderr


def test_help_names_every_option_and_what_ctrl_c_does(folder: Path) -> None:
    done = run("--help")
    assert done.exit_code == 0
    for word in (
        *(parts[0] for parts in OPTIONS.values() if parts),
        "STYLE[:WEIGHT]",
        "--output",
        "--weights",
        "--previews",
        "--recipe",
        "--save-recipe",
        "VGG19_WEIGHTS",
        "Ctrl-C",
    ):
        assert word in done.stdout
    for panel in ("What it looks like", "How it is optimised", "Where it runs", "Output"):
        assert panel in done.stdout
    assert done.stdout.count("[default: (by quality)]") == 3
    for name in ("strength", "noise", "colours", "optimiser", "precision"):
        assert f"[default: {getattr(Recipe(), name):}]" in done.stdout


def test_weights_after_the_names_of_styles_become_shares(folder: Path) -> None:
    (folder / "a:b.jpg").write_bytes((folder / "style.jpg").read_bytes())
    (folder / "of the year:2.jpg").write_bytes((folder / "style.jpg").read_bytes())
    for styles, shares in (
        (["style.jpg"], ()),
        (["style.jpg", "photo.png"], ()),
        (["style.jpg:3", "photo.png"], (3, 1)),
        (["style.jpg", "photo.png:.5"], (1, 0.5)),
        (["a:b.jpg", "a:b.jpg:0", "of the year:2.jpg:1e1"], (1, 0, 10)),
    ):
        done = run("photo.png", *styles, "-o", "out.png", *SMALL, "--steps", "1", "--save-recipe", "out.json")
        assert done.exit_code == 0, done.output
        assert Recipe.model_validate_json((folder / "out.json").read_text()).style_shares == shares


def test_a_saved_recipe_gives_the_same_picture_and_options_override_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def painted(*arguments: str) -> tuple[bytes, Recipe]:
        done = run("photo.png", *arguments, "-o", "out.png", *HERE, "--save-recipe", "out.json")
        assert done.exit_code == 0, done.output
        return (folder / "out.png").read_bytes(), Recipe.model_validate_json((folder / "out.json").read_text())

    first, recipe = painted("style.jpg:2", "photo.png:3", *SMALL, "--strength", "80", "--style-layer", "relu2_1")
    (folder / "out.json").rename(folder / "first.json")
    monkeypatch.setenv("PRECISION", "bfloat16")  # the recipe's own precision takes precedence
    assert painted("style.jpg", "photo.png", "--recipe", "first.json") == (first, recipe)
    _, other = painted(
        "style.jpg", "photo.png:4", "--recipe", "first.json", "--strength", "50", "--style-layer", "relu1_1"
    )  # 50 is the default, and still overrides the recipe
    said = {"strength": 50, "style_layers": {"relu1_1": 1}, "style_shares": (1, 4)}
    assert other == recipe.model_copy(update=said)


def test_the_environment_sets_the_precision_if_nothing_else_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRECISION", "bfloat16")
    (folder / "mine.json").write_text("{}")
    for more, precision in (
        ([], "bfloat16"),
        (["--precision", "float32"], "float32"),
        (["--recipe", "mine.json"], "auto"),
    ):
        small = ("--size", "64", "--steps", "1", *HERE)
        done = run("photo.png", "style.jpg", "-o", "out.png", "--save-recipe", "out.json", *small, *more)
        assert done.exit_code == 0, done.output
        assert Recipe.model_validate_json((folder / "out.json").read_text()).precision == precision


def test_a_recipe_of_an_older_version_is_painted(folder: Path) -> None:
    (folder / "old.json").write_text(json.dumps({"version": 1, "method": "gatys", "size": 64, "steps": 1, "seed": 3}))
    done = run("photo.png", "style.jpg", "-o", "out.png", "--recipe", "old.json", *HERE)
    assert done.exit_code == 0, done.output
    assert f"recipe {Recipe(size=64, steps=1, seed=3).id}" in done.stderr


@pytest.fixture
def fake_painting(monkeypatch: pytest.MonkeyPatch, network: VGG19) -> Callable[[progress.Result], list[Picture]]:
    """A function that replaces the painting by a given result. It returns a list that will hold the input pictures."""

    def paint(result: progress.Result) -> list[Picture]:
        given: list[Picture] = []

        def painting(inputs: Inputs[Picture], *_: Any) -> Generator[progress.Progress, None, progress.Result]:
            given.extend(inputs)
            yield from ()
            return result

        monkeypatch.setitem(METHODS, "gatys", painting)
        return given

    return paint


def test_the_last_line_describes_the_picture_and_why_its_painting_ended(
    fake_painting: Callable[[progress.Result], list[Picture]], folder: Path
) -> None:
    """There was not enough memory, so the recipe of the picture differs from the requested one."""
    painted = Recipe(size=724, precision="float32")
    picture = corpus.saved(corpus.scene(), "PNG")
    fake_painting(progress.Result(picture, "png", 724, 543, painted, 63, 75.24, "settled"))
    options = (*SMALL, "--size", "1024", "--save-recipe", "out.json")
    done = run("photo.png", "style.jpg", "-o", "out.png", *options)
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[-1] == (
        f"out.png: 724 × 543 px in 75.2 s, recipe {painted.id}."
        f" The picture stopped changing after 63 of {painted.steps} steps."
        " Painted at 724 px, because there was not enough memory for 1,024 px."
    )
    assert Recipe.model_validate_json((folder / "out.json").read_text()) == painted


def test_the_stroke_size_scales_the_styles(
    fake_painting: Callable[[progress.Result], list[Picture]], folder: Path
) -> None:
    for name in ("photo", "style"):
        Image.new("RGB", (600, 300), "teal").save(folder / f"{name}.bmp")
    for stroke, longer_side in (("3", 192), ("0.5", 64)):
        given = fake_painting(
            progress.Result(corpus.saved(corpus.scene(), "PNG"), "png", 64, 32, Recipe(), 3, 1, "finished")
        )
        done = run("photo.bmp", "style.bmp", "style.bmp", "-o", "out.png", *SMALL, "--stroke", stroke)
        assert done.exit_code == 0, done.output
        assert [max(picture.rgb.size) for picture in given] == [64, longer_side, longer_side]


def test_a_truncated_picture_is_painted_with_a_warning(
    fake_painting: Callable[[progress.Result], list[Picture]], folder: Path
) -> None:
    data = (folder / "photo.png").read_bytes()
    (folder / "cut.png").write_bytes(data[: len(data) * 9 // 10])
    given = fake_painting(progress.Result(data, "png", 64, 43, Recipe(), 3, 1, "finished"))
    done = run("cut.png", "style.jpg", "-o", "out.png", *SMALL)
    assert done.exit_code == 0, done.output
    shown = given[0].shown
    assert shown is not None
    assert done.stderr.startswith(
        f"cut.png: The file is incomplete: {100 - round(100 * shown)} % of the picture is missing."
    )
    assert "style.jpg: The file" not in done.stderr


def test_a_strength_of_zero_shows_no_loss(folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "out.png", "--strength", "0", *SMALL)
    assert done.exit_code == 0, done.output
    assert "nan" not in done.stderr


def test_a_narrow_picture_keeps_its_aspect_at_the_smallest_size(folder: Path) -> None:
    Image.new("RGB", (800, 100), "teal").save(folder / "wide.png")
    assert run("wide.png", "style.jpg", "-o", "out.png", *SMALL).exit_code == 0
    assert opened(folder / "out.png").size == (128, 16)
