"""``atelier stylize`` as people type it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

from engine.cli import stylize
from engine.vgg19 import VGG19
from tests.engine import picture_corpus as corpus

ROOT = Path(__file__).parents[2]
SMALL = ("--size", "64", "--steps", "3", "--device", "cpu", "--precision", "float32", "--threads", "1")

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(stylize)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two pictures, where the command is typed; wide enough that no sentence is broken."""
    (tmp_path / "photo.png").write_bytes(corpus.saved(corpus.scene(), "PNG"))
    (tmp_path / "style.jpg").write_bytes(corpus.saved(corpus.stripes(), "JPEG"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    for name in ("DEVICE", "PRECISION", "THREADS", "VGG19_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def opened(path: Path) -> Image.Image:
    """The picture, read whole and its file closed."""
    with Image.open(path) as image:
        image.load()
        return image


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


# --- Painting ---


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
def test_the_painting_is_written_in_the_format_of_its_name(name: str, format: str, folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", name, *SMALL)
    assert done.exit_code == 0, done.output
    image = opened(folder / name)
    assert (image.format, image.size) == (format, (64, 43))
    assert f"{name}: 64 × 43 px" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("name", "mode"), [("out.png", "RGBA"), ("out.webp", "RGBA"), ("out.jpg", "RGB")])
def test_transparency_is_kept_where_the_format_can(name: str, mode: str, folder: Path) -> None:
    source = corpus.scene()
    source.putalpha(Image.linear_gradient("L").resize(source.size))
    source.save(folder / "clear.png")
    assert run("clear.png", "style.jpg", "-o", name, *SMALL).exit_code == 0
    assert opened(folder / name).mode == mode


def test_the_same_seed_gives_the_same_file_and_another_gives_another(folder: Path) -> None:
    for name, seed in (("one.png", "4"), ("two.png", "4"), ("three.png", "5")):
        assert run("photo.png", "style.jpg", "-o", name, *SMALL, "--seed", seed).exit_code == 0
    one, two, three = ((folder / f"{name}.png").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_options_reach_the_recipe(folder: Path) -> None:
    """Told by its name, which each field changes."""
    from engine.recipe import Recipe

    done = run(
        "photo.png", "style.jpg", "photo.png", "-o", "out.png", *SMALL, "--strength", "70", "--colours", "content",
        "--content-weight", "2", "--style-weight", "3", "--content-layer", "relu3_1", "--content-layer", "relu4_1:0.5",
        "--style-layer", "relu2_1:2", "--seed", "9",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    recipe = Recipe(
        size=64, steps=3, strength=70, colours="content", content_weight=2, style_weight=3, seed=9,
        content_layers={"relu3_1": 1, "relu4_1": 0.5}, style_layers={"relu2_1": 2}, precision="float32",
    )  # fmt: skip
    assert f"recipe {recipe.id}" in done.stderr


def test_help_names_every_option_and_what_ctrl_c_does(folder: Path) -> None:
    done = run("--help")
    assert done.exit_code == 0
    for word in (
        "--output",
        "--size",
        "--strength",
        "--style-layer",
        "--weights",
        "--previews",
        "VGG19_WEIGHTS",
        "Ctrl-C",
    ):
        assert word in done.stdout


# --- What is refused ---


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
    ],
)
def test_a_wrong_value_is_told_with_its_field(arguments: list[str], said: str, folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "out.png", *arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not list(folder.glob("out*"))


def test_a_missing_style_or_output_is_told(folder: Path) -> None:
    for arguments in (["photo.png", "-o", "out.png"], ["photo.png", "style.jpg"]):
        done = run(*arguments)
        assert done.exit_code == 2
        assert "Missing" in done.stderr


def test_a_missing_file_is_named(folder: Path) -> None:
    done = run("photo.png", "nowhere.jpg", "-o", "out.png")
    assert done.exit_code == 1
    assert "nowhere.jpg: No such file or directory" in done.stderr


def test_a_folder_for_a_picture_is_named(folder: Path) -> None:
    done = run(".", "style.jpg", "-o", "out.png")
    assert done.exit_code == 1
    assert "Is a directory" in done.stderr


def test_a_file_that_is_no_picture_is_named_with_what_would_be(folder: Path) -> None:
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
def test_what_the_operator_has_to_mend_is_told(arguments: list[str], said: str, folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "out.png", *arguments)
    assert done.exit_code == 1
    assert said in done.stderr


def test_names_are_told_as_they_are_whatever_their_brackets(folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "[red] [/a].png", *SMALL)
    assert done.exit_code == 0, done.output
    assert "[red] [/a].png: 64 × 43 px" in done.stderr
    missing = run("[/b].png", "style.jpg", "-o", "out.png")
    assert missing.exit_code == 1
    assert "[/b].png: No such file" in missing.stderr


# --- Ctrl-C ---


@pytest.fixture
def interrupted(network: VGG19, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Have Ctrl-C pressed so many times in the midst of the third step."""

    def press(times: int) -> None:
        features: Callable[..., Any] = VGG19.features
        calls = 0

        def pressed(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 5:  # two are for content and style
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return features(*arguments)

        monkeypatch.setattr(VGG19, "features", pressed)

    return press


def test_ctrl_c_ends_the_painting_and_keeps_it(interrupted: Callable[[int], None], folder: Path) -> None:
    interrupted(1)
    done = run("photo.png", "style.jpg", "-o", "out.png", *SMALL, "--steps", "5000")
    assert done.exit_code == 0, done.output
    assert "ended early after 3 steps" in done.stderr
    assert opened(folder / "out.png").size == (64, 43)


def test_a_second_ctrl_c_gives_the_painting_up(interrupted: Callable[[int], None], folder: Path) -> None:
    interrupted(2)
    done = run("photo.png", "style.jpg", "-o", "out.png", *SMALL, "--steps", "5000")
    assert done.exit_code == 1
    assert "Cancelled." in done.stderr
    assert not (folder / "out.png").exists()


def test_afterwards_ctrl_c_is_what_it_was(folder: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run("photo.png", "style.jpg", "-o", "out.png", *SMALL).exit_code == 0
    assert signal.getsignal(signal.SIGINT) is before


COMMAND = "import typer, engine.cli; typer.run(engine.cli.stylize)"


def test_a_real_process_keeps_its_previews_and_its_picture_when_interrupted(folder: Path) -> None:
    arguments = ("photo.png", "style.jpg", "-o", "out.png", "--previews", "previews", *SMALL, "--steps", "10000")
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {COMMAND}", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            while process.poll() is None and not list((folder / "previews").glob("*.jpg")):
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "ended early after" in said
    assert opened(folder / "out.png").size == (64, 43)
    preview = min((folder / "previews").iterdir())
    assert opened(preview).size == (64, 43)
    assert int(preview.stem.removeprefix("preview-")) >= 1
