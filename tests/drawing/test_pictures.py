"""The shipped demonstration pictures are what their code draws."""

from io import BytesIO
from math import log10
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageFilter, ImageStat

from engine.images.codec import decode
from tests.drawing import brush, pictures

pytestmark = pytest.mark.slow


def shipped(path: Path) -> Image.Image:
    return decode(path.read_bytes()).rgb


def signal_to_noise(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio, dB."""
    squares = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    return 10 * log10(255**2 * one.width * one.height * 3 / max(sum(squares), 1e-9))


@pytest.mark.parametrize(
    ("path", "size"),
    [(pictures.CONTENT, (960, 720)), (pictures.STYLE, (768, 768)), (pictures.STYLE_GLASS, (768, 768))],
)
def test_a_shipped_file_has_the_right_size_and_no_metadata(path: Path, size: tuple[int, int]) -> None:
    data = path.read_bytes()
    assert len(data) <= pictures.MOST_BYTES
    assert shipped(path).size == size
    for mark in (b"Exif", b"ICC_PROFILE", b"http", b"Photoshop", b"\xff\xfe"):
        assert mark not in data[: data.index(b"\xff\xda")]
    with Image.open(BytesIO(data)) as image:
        assert not image.getexif()


def test_every_drawn_picture_is_shipped_as_a_file() -> None:
    assert all(path.is_file() for path in pictures.DRAWN)


def test_the_code_draws_the_shipped_window() -> None:
    assert signal_to_noise(pictures.style_glass(), shipped(pictures.STYLE_GLASS)) > 29


def test_the_code_draws_the_shipped_painting() -> None:
    small = pictures.style(192).filter(ImageFilter.GaussianBlur(2))
    reference = shipped(pictures.STYLE).resize((192, 192), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(2))
    assert signal_to_noise(small, reference) > 25


def test_the_code_draws_the_shipped_scene() -> None:
    small = pictures.content(160).filter(ImageFilter.GaussianBlur(1))
    reference = shipped(pictures.CONTENT).resize((160, 120), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(1))
    assert signal_to_noise(small, reference) > 25


def test_the_same_call_draws_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brush, "LAYERS", (brush.Layer(300, 0.02, 0.17, 0.05), brush.Layer(500, 0.01, 0.1, 0.1)))
    assert pictures.style(64).tobytes() == pictures.style(64).tobytes()
    assert pictures.style_glass(96).tobytes() == pictures.style_glass(96).tobytes()
    assert pictures.content(48).tobytes() == pictures.content(48).tobytes()


def test_a_file_above_the_limit_is_saved_at_a_lower_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    image = pictures.style_glass(128)
    whole = len(pictures.file_of(image))
    monkeypatch.setattr(pictures, "MOST_BYTES", whole * 2 // 3)
    assert len(pictures.file_of(image)) <= whole * 2 // 3
    monkeypatch.setattr(pictures, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="10 bytes"):
        pictures.file_of(image)


def test_the_command_draws_the_pictures_into_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "DRAWN", {pictures.STYLE_GLASS: lambda: pictures.style_glass(64)})
    monkeypatch.setattr("sys.argv", ["pictures", str(tmp_path / "new")])
    pictures.main()
    assert decode((tmp_path / "new" / "style-glass.jpg").read_bytes()).rgb.size == (64, 64)
