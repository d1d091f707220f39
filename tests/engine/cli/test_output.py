"""Where ``atelier stylize`` writes. It checks its output before it paints, and no failed write loses the painting."""

import resource
import sys
import tempfile
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from engine import progress
from engine.images.animation import Clip
from engine.images.codec import Picture
from engine.painting.methods import METHODS
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.recipe import Inputs, Recipe
from engine.vgg.vgg19 import VGG19
from tests.engine.cli.conftest import HERE, SMALL, opened, run


@pytest.mark.parametrize("option", ["--output", "--save-recipe"])
@pytest.mark.parametrize(
    ("place", "code", "why"),
    [
        ("style.jpg/out.png", 1, "File exists"),
        ("folder.png", 2, "'folder.png' is a directory"),
        ("folder", 2, "'folder' is a directory"),
        pytest.param(
            "/dev/fd/out.png", 1, "No such file", marks=pytest.mark.skipif(sys.platform != "linux", reason="no /dev/fd")
        ),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_painting(
    option: str, place: str, code: int, why: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "gatys", None)
    (folder / "folder.png").mkdir()
    (folder / "folder").mkdir()
    done = run("photo.png", "style.jpg", *(("-o", "out.png") if option == "--save-recipe" else ()), option, place)
    assert done.exit_code == code
    assert place.removesuffix("/out.png") in done.stderr
    assert why in done.stderr
    assert {path.name for path in folder.iterdir()} == {"photo.png", "style.jpg", "folder.png", "folder"}


def test_a_file_as_the_folder_of_previews_is_refused(folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "out.png", "--previews", "photo.png")
    assert done.exit_code == 2
    assert "'photo.png' is a file" in done.stderr


def test_one_file_for_the_recipe_and_the_painting_is_refused(folder: Path) -> None:
    done = run("photo.png", "style.jpg", "-o", "out.png", "--save-recipe", "./out.png")
    assert done.exit_code == 2
    assert "this is also the file of the painting" in done.stderr


def test_a_full_disk_is_an_error_before_the_painting(folder: Path) -> None:
    """A limit on file sizes stands for the full disk: 512 px can need 768 KiB, and 64 px need 12 KiB."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, usual[1]))
    try:
        large, small = (
            run("photo.png", "style.jpg", "-o", "out.png", "--size", size, "--steps", steps, *HERE)
            for size, steps in (("512", "1000"), ("64", "1"))
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert large.exit_code == 1
    assert "out.png: File too large" in large.stderr
    assert small.exit_code == 0, small.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device is full here")
@pytest.mark.parametrize("full", ["out.png", "out.json"])
def test_a_file_that_cannot_be_written_at_the_end_is_saved_elsewhere(
    full: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
    (folder / "temporary").mkdir()
    (folder / full).symlink_to("/dev/full")
    done = run("photo.png", "style.jpg", "-o", "out.png", "--save-recipe", "out.json", *SMALL)
    assert done.exit_code == 1
    (kept,) = (folder / "temporary").iterdir()
    assert f"{full}: No space left on device. It is saved as {kept}" in done.stderr
    if full == "out.png":
        assert opened(kept).size == (64, 43)
        Recipe.model_validate_json((folder / "out.json").read_text())
    else:
        assert opened(folder / "out.png").size == (64, 43)
        Recipe.model_validate_json(kept.read_text())


def test_a_removed_folder_of_previews_does_not_end_the_painting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = METHODS["gatys"]

    def vanishing(
        inputs: Inputs[Clip | Picture], recipe: Recipe, network: VGG19, options: RunOptions
    ) -> Generator[progress.Progress, None, progress.Result]:
        (folder / "previews").rmdir()
        return (yield from real(inputs, recipe, network, replace(options, pace=Pace(preview=0, first_preview=0))))

    monkeypatch.setitem(METHODS, "gatys", vanishing)
    done = run("photo.png", "style.jpg", "-o", "out.png", "--previews", "previews", *SMALL)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("No such file or directory. No more previews are written.") == 1
    assert opened(folder / "out.png").size == (64, 43)
