"""Texts for members and the command line: what is wrong, and what to do."""

import re
from typing import Literal

import pytest

from engine import errors, texts
from engine.progress import Result
from engine.recipe import Recipe
from tests.engine.test_errors import hierarchy

SAID: dict[errors.AtelierError, tuple[str, ...]] = {
    errors.NotAPicture(): ("not a picture", "Send", "PNG", "JPEG", "WebP", "AVIF", "GIF", "BMP"),
    errors.PictureTooLarge("bytes", 20_000_000, 16 * 2**20): ("too large", "Send", "16 MB"),
    errors.PictureTooLarge("pixels", 90_000_000, 64_000_000): ("too many pixels", "Scale it down", "64 megapixels"),
    errors.PictureTooLarge("side", 20_000, 16_384): ("too large", "Scale it down", "16,384 px"),
    errors.PictureTooSmall(20, 31, 32): ("too small", "20 × 31 px", "Send", "at least 32 px"),
    errors.ClipTooLong(300, 90_000_000, 64_000_000): ("too long", "64 megapixels", "only the first frame"),
    errors.PictureTooNarrow(900, 100, 8): ("too narrow", "Crop", "8 times"),
    errors.PictureDamaged("PNG: OSError: secret"): ("damaged", "save it again"),
    errors.PictureTruncated(0.4): ("incomplete", "missing", "Send the whole file"),
    errors.PictureTransparent(): ("transparent", "Send one"),
    errors.PaintingCancelled(): ("Cancelled",),
    errors.OutOfMemory(2048): ("not enough memory", "2,048 px", "Try again"),
    errors.WorkerLost(3): ("failed several times", "Try"),
    errors.PaintingPaused(): ("Paused", "continues"),
    errors.NoWorkers(): ("not available", "Try again"),
    errors.StorageFull(): ("full", "Try again"),
    errors.BlobLost("0123"): ("lost", "Send"),
    errors.StorageFailed("secret"): ("not available", "Try again"),
    errors.VersionMismatch("atelier-2", "atelier-1"): ("version atelier-1", "bot has atelier-2", "Install"),
    errors.UnknownMethod("strotss"): ("no method strotss", "It has: gatys, "),
    errors.WeightsUnavailable("Do this."): ("Do this.",),
    errors.NetworkUnusable("It is cut off."): ("It is cut off.",),
    errors.DeviceUnavailable("Use that."): ("Use that.",),
    errors.MachineTooSmall("Raise the limit."): ("Raise the limit.",),
    errors.CertificatesUnavailable("Make some."): ("Make some.",),
    errors.ClusterUnsafe("Encrypt it."): ("Encrypt it.",),
    errors.StorageUnsafe("Set one place."): ("Set one place.",),
    errors.StorageUnavailable("Install that."): ("Install that.",),
}


@pytest.mark.parametrize(("error", "parts"), SAID.items(), ids=lambda value: type(value).__name__)
def test_each_error_says_what_is_wrong_and_what_to_do(error: errors.AtelierError, parts: tuple[str, ...]) -> None:
    said = texts.explain(error)
    for part in parts:
        assert part in said
    assert re.fullmatch(r"[A-Z].*\.", said)
    assert len(said) < 200


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (
            "HEIC",
            ("That is a HEIC photo", "Send a screenshot", "Settings → Camera → Formats → Most Compatible", "Android"),
        ),
        ("video", ("That is a video", "GIF", "screenshot")),
        ("web page", ("That is a web page", "save it")),
        ("TIFF", ("That is a TIFF file", "Export it as PNG or JPEG")),
        ("SVG", ("That is an SVG file", "Export it as PNG or JPEG")),
        ("icon", ("That is an icon file", "Export it as PNG or JPEG")),
        ("camera's raw", ("That is a camera's raw file", "Export it as PNG or JPEG")),
    ],
)
def test_the_message_names_the_kind_of_a_file_that_is_not_a_picture(kind: str, parts: tuple[str, ...]) -> None:
    said = texts.explain(errors.NotAPicture(kind))
    for part in parts:
        assert part in said
    assert len(said) < 220


def test_a_warning_says_how_much_of_a_truncated_picture_is_missing() -> None:
    assert texts.truncated(0.876) == "The file is incomplete: 12 % of the picture is missing."
    assert texts.truncated(0.999) == "The file is incomplete: 1 % of the picture is missing."
    assert "only fine detail" in texts.truncated(1.0)


def test_every_error_of_the_engine_is_tested_above() -> None:
    bases = {errors.AtelierError, errors.OperatorError, errors.PictureError}
    assert {type(error) for error in SAID} == set(hierarchy()) - bases


def test_details_for_the_log_are_not_shown() -> None:
    for error in (errors.PictureDamaged("PNG: OSError: secret"), errors.StorageFailed("OSError: secret")):
        assert "secret" not in texts.explain(error)


@pytest.mark.parametrize(
    ("ending", "steps", "said"),
    [
        ("finished", 5000, "Finished after 5,000 steps."),
        ("finished", 1, "Finished after 1 step."),
        ("finished", 0, "Finished after 0 steps."),
        ("settled", 63, "The picture stopped changing after 63 of 5,000 steps."),
        ("stopped", 1, "Stopped early after 1 of 5,000 steps."),
    ],
)
def test_the_ending_is_described_with_its_steps(
    ending: Literal["finished", "settled", "stopped"], steps: int, said: str
) -> None:
    assert texts.ending(Result(b"", "png", 64, 48, Recipe(steps=5000), steps, 1.0, ending)) == said


@pytest.mark.parametrize(("size", "told"), [(1024, False), (1023, True), (64, True)])
def test_only_a_smaller_size_than_ordered_is_explained(size: int, told: bool) -> None:
    result = Result(b"", "png", size, 48, Recipe(size=size), 1, 1.0, "finished")
    said = texts.reduced(result, Recipe(size=1024))
    expected = f"Painted at {size:,} px, because there was not enough memory for 1,024 px."
    assert said == (expected if told else None)
