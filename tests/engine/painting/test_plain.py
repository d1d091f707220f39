"""Pictures with plain areas, as content, as style and as both: no noise and no hues appear."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from engine.images.codec import Picture
from engine.vgg.vgg19 import VGG19, load_cached
from tests.engine.painted import CONTENT, STYLE, levels, local_contrast, painted, shown, style_distance


def plain(*colour: int) -> Picture:
    return Picture(Image.new("RGB", (64, 32), colour))


@pytest.mark.parametrize(
    ("colour", "precision"), [("black", "float32"), ("black", "bfloat16"), ("white", "float32"), ("red", "bfloat16")]
)
def test_a_plain_style_gives_no_noise(colour: str, precision: str) -> None:
    network = load_cached("embedded", torch.device("cpu"), getattr(torch, precision))
    plain = Picture(Image.new("RGB", (64, 64), colour))
    # From the content: one that starts in the style's palette is nearly done before the first step.
    end = painted(network, styles=[plain], steps=6, start="content")
    losses = [event.loss for event in end.events]
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]
    assert local_contrast(end.pixels) < 15
    assert local_contrast(painted(network, styles=[plain], steps=6).pixels) < 15


@pytest.mark.parametrize("colour", ["black", "white"])
def test_a_plain_content_takes_the_style(colour: str, network: VGG19) -> None:
    plain = Picture(Image.new("RGB", (64, 43), colour))
    end = painted(network, plain, steps=12, strength=80)
    assert all(math.isfinite(event.loss) for event in end.events)
    before = style_distance(network, plain.rgb, shown(STYLE))
    assert style_distance(network, end.image, shown(STYLE)) < before


@pytest.mark.parametrize(
    ("strength", "colour", "optimiser"),
    [(30, (100, 100, 100), "lbfgs"), (100, (200, 40, 40), "adam"), (100, (0, 0, 0), "lbfgs")],
)
def test_a_plain_picture_in_its_own_style_stays_plain(
    colour: tuple[int, int, int], strength: float, optimiser: str, network: VGG19
) -> None:
    end = painted(network, plain(*colour), [plain(*colour)], strength=strength, optimiser=optimiser)
    assert abs(end.pixels - colour).max() <= 1


@pytest.mark.parametrize(("before", "after"), [((100, 100, 100), (200, 200, 200)), ((200, 30, 30), (30, 30, 200))])
def test_a_plain_picture_takes_another_plain_colour(
    before: tuple[int, int, int], after: tuple[int, int, int], network: VGG19
) -> None:
    end = painted(network, plain(*before), [plain(*after)], strength=100, steps=25)
    assert abs(end.pixels.mean(axis=(0, 1)) - after).max() < 3
    assert end.pixels.std(axis=(0, 1)).max() < 3


def test_faint_noise_in_a_plain_content_is_not_amplified(network: VGG19) -> None:
    """It stays faint and does not become spots."""
    levels = 100 + 2 * np.random.default_rng(0).standard_normal((64, 64, 3))
    content = Picture(Image.fromarray(levels.round().astype(np.uint8)))
    end = painted(network, content, [plain(100, 100, 100)], strength=100, steps=30)
    assert abs(end.pixels.mean(axis=(0, 1)) - 100).max() < 3
    assert end.pixels.std() < 3


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_a_photo_in_a_plain_style_takes_its_colour_everywhere(optimiser: str, network: VGG19) -> None:
    """In each quarter: the mean alone would be right for opposite hues, too."""
    end = painted(network, styles=[plain(100, 100, 100)], strength=100, steps=16, optimiser=optimiser)
    height, width = end.pixels.shape[0] // 2, end.pixels.shape[1] // 2
    for top, left in ((0, 0), (0, width), (height, 0), (height, width)):
        assert abs(end.pixels[top : top + height, left : left + width].mean(axis=(0, 1)) - 100).max() < 3


def test_a_photo_in_a_plain_style_at_low_strength_keeps_its_content(network: VGG19) -> None:
    end = painted(network, styles=[plain(100, 100, 100)], strength=20, steps=15)
    there = levels(shown(CONTENT))
    assert np.corrcoef(end.pixels.mean(axis=2).ravel(), there.mean(axis=2).ravel())[0, 1] > 0.9
    assert end.pixels.std() > 0.4 * there.std()


def test_a_painting_from_noise_approaches_a_plain_style(network: VGG19) -> None:
    """The noise that it begins with has a deviation of 50 levels."""
    grey = plain(100, 100, 100)
    end = painted(network, grey, [grey], start="noise", strength=100, steps=20)
    assert end.pixels.std() < 35


def test_a_plain_picture_in_a_plain_style_has_no_border(network: VGG19) -> None:
    plain = Picture(Image.new("RGB", (64, 64), (128, 128, 128)))
    pixels = painted(network, plain, [plain], noise=0, steps=10).pixels
    assert abs(pixels[:3].mean() - pixels[20:44, 20:44].mean()) < 4
    assert abs(pixels[:, -3:].mean() - pixels[20:44, 20:44].mean()) < 4
