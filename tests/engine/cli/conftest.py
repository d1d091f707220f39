"""What the tests of ``atelier stylize`` share: a folder with two pictures, and the command in it."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner, Result

from engine.cli.stylize import stylize
from engine.vgg.vgg19 import VGG19
from tests.engine.images import corpus

ROOT = Path(__file__).parents[3]
HERE = ("--device", "cpu", "--threads", "1")
SMALL = ("--method", "gatys", "--size", "64", "--steps", "3", "--precision", "float32", *HERE)

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


@pytest.fixture
def interrupted(network: VGG19, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function that has Ctrl-C pressed that many times during the third step."""

    def press(times: int) -> None:
        features: Callable[..., Any] = VGG19.features
        calls = 0

        def pressed(self: VGG19, image: Tensor, *arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += image.requires_grad  # content and style have none
            if image.requires_grad and calls == 3:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return features(self, image, *arguments, **options)

        monkeypatch.setattr(VGG19, "features", pressed)

    return press


def opened(path: Path) -> Image.Image:
    """The picture, read whole and its file closed."""
    with Image.open(path) as image:
        image.load()
        return image


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)
