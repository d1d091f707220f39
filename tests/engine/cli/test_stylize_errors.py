"""What `atelier stylize` says of values, files and devices that it can't use."""

from pathlib import Path

import pytest

from tests.engine.cli.conftest import SMALL, run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "32"], "size: Input should be greater than or equal to 64"),
        (["--size", "large"], "'--size'"),
        (["--steps", "0"], "steps: Input should be greater than or equal to 1"),
        (["--strength", "101"], "strength: Input should be less than or equal to 100"),
        (["--content-weight", "-1"], "content_weight: Input should be greater than or equal to 0"),
        (["--seed", "-1"], "seed: Input should be greater than or equal to 0"),
        (["--colours", "both"], "'both' is not one of"),
        (["--precision", "float16"], "'float16' is not one of"),
        (["--threads", "0"], "'--threads'"),
        (["--style-layer", "relu9_9"], "relu9_9"),
        (["--style-layer", "relu1_1:much"], "style_layers.relu1_1: Input should be a valid number"),
        (["--content-layer", "relu4_2:0"], "content_layers needs a layer with a weight above 0"),
        (["-o", "out.tiff"], "the name must end in .png, .jpg, .jpeg, .webp"),
        (["-o", "out"], "the name must end in"),
        (["--colour", "blue"], "No such option"),
        (["--detail", "-1"], "detail: Input should be greater than or equal to 0"),
        (["--stroke", "5"], "stroke: Input should be less than or equal to 4"),
        (["--tolerance", "nan"], "tolerance: Input should be"),
        (["--optimiser", "sgd"], "'sgd' is not one of"),
        (["photo.png:-1"], "style_shares.1: Input should be greater than or equal to 0"),
        (["photo.png:1e999"], "style_shares.1: Input should be a finite number"),
        (["photo.png:much"], "photo.png:much: much is not a weight; give a number after the colon"),
        (["photo.png:"], "photo.png:: nothing is not a weight"),
        (["--recipe", "shares.json"], "shares.json has weights for 2 styles, not for 1"),
        (["--recipe", "photo.png"], "photo.png is not JSON"),
        (["--recipe", "text.json"], "text.json is not JSON"),
        (["--recipe", "list.json"], "list.json does not contain a recipe"),
        (["--recipe", "wrong.json"], "strength: Input should be less than or equal to 100"),
        (["--recipe", "wrong.json"], "method: Input should be 'gatys'"),
        (["--recipe", "wrong.json"], "brushes: Extra inputs are not permitted"),
    ],
)
def test_the_error_for_an_invalid_value_names_its_field(arguments: list[str], said: str, folder: Path) -> None:
    (folder / "shares.json").write_text('{"style_shares": [1, 2]}')
    (folder / "text.json").write_text("strength: 70")
    (folder / "list.json").write_text("[70]")
    (folder / "wrong.json").write_text('{"strength": 101, "method": "strotss", "brushes": 3}')
    done = run("photo.png", "style.jpg", "-o", "out.png", "--save-recipe", "out.json", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(folder.glob("out*"))


def test_a_missing_style_or_output_is_an_error(folder: Path) -> None:
    for arguments in (["photo.png", "-o", "out.png"], ["photo.png", "style.jpg"]):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "Missing" in done.stderr


def test_the_error_for_a_missing_file_names_it(folder: Path) -> None:
    for name in ("nowhere.jpg", "nowhere.jpg:0.5", "nowhere.jpg:much"):
        done = run("photo.png", name, "-o", "out.png")
        assert done.exit_code == 1
        assert f"{name.removesuffix(':0.5')}: No such file or directory" in done.stderr
    done = run("photo.png", "style.jpg", "-o", "out.png", "--recipe", "nowhere.json")
    assert done.exit_code == 1
    assert "nowhere.json: No such file or directory" in done.stderr


def test_a_folder_as_a_picture_is_refused(folder: Path) -> None:
    done = run(".", "style.jpg", "-o", "out.png")
    assert done.exit_code == 1
    assert "Is a directory" in done.stderr


def test_the_error_for_a_file_that_is_not_a_picture_names_it_and_the_formats(folder: Path) -> None:
    (folder / "[").mkdir()
    (folder / "[/notes].txt").write_text("no picture")
    done = run("photo.png", "[/notes].txt", "-o", "out.png")
    assert done.exit_code == 2
    assert "[/notes].txt" in done.stderr
    assert "Send a PNG, JPEG" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "gpu"], "use auto, cpu, cuda or cuda:N"),
        (["--weights", "[/nowhere].pt"], "There is no weights file at [/nowhere].pt"),
    ],
)
def test_an_unusable_device_or_weights_file_is_an_error(arguments: list[str], said: str, folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "out.png", *arguments)
    assert done.exit_code == 1
    assert said in done.stderr


def test_brackets_in_names_are_no_markup(folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "[red] [/a].png", *SMALL)
    assert done.exit_code == 0, done.output
    assert "[red] [/a].png: 64 × 43 px" in done.stderr
    missing = run("[/b].png", "style.jpg", "-o", "out.png")
    assert missing.exit_code == 1
    assert "[/b].png: No such file" in missing.stderr
