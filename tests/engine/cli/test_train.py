"""``atelier train``, and the use of what it writes by ``atelier stylize``."""

import signal
from functools import partial
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner, Result

import engine.cli.train
from engine.cli.train import train
from engine.networks.file import NetworkFile
from engine.networks.plan import Plan, Trained
from engine.networks.training import Training
from engine.vgg import vgg19
from engine.vgg.vgg19 import VGG19
from tests.engine.cli.conftest import HERE, opened
from tests.engine.cli.conftest import run as stylize
from tests.engine.images import corpus

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(train)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, *HERE, "--precision", "float32"])


@pytest.fixture
def small(folder: Path, narrow: VGG19, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, and trainings of small networks on small squares."""
    monkeypatch.setattr(engine.cli.train, "Plan", partial(Plan, crop=64, widths=(8, 8)))
    monkeypatch.setattr(vgg19, "load_cached", lambda *_: narrow)
    photos = folder / "photos"
    photos.mkdir()
    (photos / "scene.png").write_bytes(corpus.saved(corpus.scene(96, 64), "PNG"))
    (photos / "README").write_text("no picture")
    return folder


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Have Ctrl-C pressed during this step."""
    step = Training.step

    def pressed(self: Training) -> Trained:
        if self.steps + 1 == at:
            signal.raise_signal(signal.SIGINT)
        return step(self)

    monkeypatch.setattr(Training, "step", pressed)


def test_a_paused_training_goes_on_and_ends_as_one_without_a_pause(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("style.jpg", "photo.png", "--photos", "photos", "--steps", "4", "--licences", "ours")
    whole = run(*options, "-o", "whole.safetensors")
    assert whole.exit_code == 0, whole.output
    assert "photos: 1 photo of 2 files." in whole.stderr
    with monkeypatch.context() as patch:
        interrupt(patch, at=2)
        paused = run(*options, "-o", "new/parts.safetensors")
    assert paused.exit_code == 130, paused.output
    assert "Paused at 50%. The same command goes on from there." in paused.stderr
    assert not (small / "new" / "parts.safetensors").exists()

    other = run("style.jpg", "-o", "new/parts.safetensors", "--steps", "4")
    assert other.exit_code == 1
    assert "of a training with other styles, photos or options" in other.stderr

    resumed = run(*options, "-o", "new/parts.safetensors")
    assert resumed.exit_code == 0, resumed.output
    assert "Going on from step 2." in resumed.stderr
    assert "75%: step 3, loss" in resumed.stderr
    data = (small / "new" / "parts.safetensors").read_bytes()
    assert data == (small / "whole.safetensors").read_bytes()
    assert {each.name for each in (small / "new").iterdir()} == {"parts.safetensors", "parts.jpg"}
    assert opened(small / "whole.jpg").size == (3 * 192, 2 * 192)
    card = NetworkFile.read(data).card
    assert (card.styles, card.photos, card.licences, card.steps) == (("Style", "Photo"), "1 photo", "ours", 4)


def test_a_network_is_tuned_and_paints(small: Path) -> None:
    options = ("--steps", "1", "--photos", "photos")
    assert run("style.jpg", "photo.png", "-o", "base.safetensors", *options).exit_code == 0
    tuned = run("photo.png", "-o", "tuned.safetensors", "--from", "base.safetensors", *options)
    assert tuned.exit_code == 0, tuned.output
    assert NetworkFile.read((small / "tuned.safetensors").read_bytes()).card.base == "Style, Photo"
    instant = ("--quality", "instant", "--size", "96", *HERE)
    for number, network in enumerate(("tuned.safetensors", "base.safetensors#photo")):
        done = stylize("photo.png", network, "-o", f"{number}.png", *instant)
        assert done.exit_code == 0, done.output
        assert opened(small / f"{number}.png").size == (96, 64)
    # Other qualities paint by the picture in the file.
    assert (
        stylize("photo.png", "tuned.safetensors", "-o", "slow.png", "--size", "64", "--steps", "1", *HERE).exit_code
        == 0
    )
    unnamed = stylize("photo.png", "base.safetensors", "-o", "2.png", *instant)
    assert unnamed.exit_code == 1
    assert "Choose one of its styles" in unnamed.stderr


def test_what_can_not_work_is_said_at_once(small: Path) -> None:
    wrong_name = run("style.jpg", "-o", "network.pt")
    assert wrong_name.exit_code == 2
    assert "must end in .safetensors" in wrong_name.stderr
    (small / "empty").mkdir()
    empty = run("style.jpg", "-o", "n.safetensors", "--photos", "empty")
    assert empty.exit_code == 2
    assert "has no pictures" in empty.stderr
    (small / "other.safetensors").write_bytes(b"x" * 100)
    base = run("style.jpg", "-o", "n.safetensors", "--from", "other.safetensors")
    assert base.exit_code == 1
    assert "not in the format safetensors" in base.stderr
    Image.new("RGB", (40, 40)).save(small / "STYLE.png")
    twice = run("style.jpg", "STYLE.png", "-o", "n.safetensors")
    assert twice.exit_code == 2
    assert "two files have the same name" in twice.stderr
