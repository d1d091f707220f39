"""The effect of each field of a recipe on the painting."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from engine.images.codec import Picture
from engine.images.colour import oklab
from engine.losses.structure import self_similarity
from engine.painting import pyramid, reporter
from engine.recipe import Layer
from engine.vgg.vgg19 import VGG19
from tests.engine.images import corpus
from tests.engine.painted import (
    ALL,
    CONTENT,
    STYLE,
    Array,
    RecordingNetwork,
    SavedStates,
    images,
    layer_distances,
    levels,
    local_contrast,
    painted,
    shown,
    style_distance,
    tensor,
)

FIVE: tuple[Layer, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


# --- Weights ---


def test_more_strength_comes_nearer_to_the_style_and_farther_from_the_content(network: VGG19) -> None:
    paintings = [painted(network, steps=12, strength=strength) for strength in (0, 5, 25, 75, 100)]
    to_style = [style_distance(network, each.image, shown(STYLE)) for each in paintings]
    assert to_style[:-1] == sorted(to_style[:-1], reverse=True)
    assert to_style[-1] < 1.03 * to_style[-2]  # with few steps of a small picture, both look the same
    assert to_style[-1] < 0.75 * to_style[0]
    to_content = [each.events[-1].content_loss for each in paintings[1:]]
    assert to_content == sorted(to_content)


def test_a_dynamic_balance_reduces_the_largest_style_distance(network: VGG19) -> None:
    def worst(**fields: Any) -> float:
        end = painted(network, steps=30, strength=90, **fields)
        return max(layer_distances(network, end.image, shown(STYLE), FIVE).values())

    assert worst(balance="dynamic") < worst(balance="fixed")


def test_a_layer_with_more_weight_comes_nearer_to_the_style(network: VGG19) -> None:
    def distance(weight: float) -> float:
        layers = dict.fromkeys(FIVE, 1.0) | {"relu3_1": weight}
        end = painted(network, steps=8, style_layers=layers)
        return layer_distances(network, end.image, shown(STYLE), ["relu3_1"])["relu3_1"]

    assert distance(10) < distance(0.1)


def edges_of(image: Tensor) -> Array:
    """Second differences across, of squares of four pixels."""
    grey = image[0].mean(dim=0).numpy()[:40, :64]
    squares: Array = grey.reshape(10, 4, 16, 4).mean(axis=(1, 3)).astype(np.float64)
    return np.diff(squares, 2)


def test_detail_keeps_edges_and_self_similarity_nearer_to_the_content(network: VGG19) -> None:
    def strayed(detail: float) -> tuple[float, float]:
        image = tensor(painted(network, steps=8, strength=80, detail=detail).image)
        content = tensor(shown(CONTENT))
        edges = edges_of(image) - edges_of(content)
        with torch.no_grad():
            ours, theirs = (
                self_similarity(network.features(each, ["relu3_4"])["relu3_4"]) for each in (image, content)
            )
        return float(abs(edges).mean()), float((ours - theirs).abs().mean())

    less, more = strayed(0), strayed(100)
    assert more[0] < less[0]
    assert more[1] < less[1]


def test_total_variation_smooths_the_painting(network: VGG19) -> None:
    assert local_contrast(painted(network, steps=8, total_variation=20).pixels) < 0.8 * local_contrast(
        painted(network, steps=8).pixels
    )


# --- Methods and scales ---


def test_an_instant_painting_has_the_palette_of_the_style_and_no_pixel_grid(network: VGG19) -> None:
    """Its scales are 64 and 128 pixels."""
    instant = painted(network, size=256, steps=6, method="instant")
    assert (instant.result.width, instant.result.height) == (256, 171)
    assert instant.events[-1].scale == 128
    ours, content, style = (
        each.mean(axis=(0, 1)) for each in (instant.pixels, *map(levels, map(shown, (CONTENT, STYLE))))
    )
    assert abs(ours - style).max() < 0.3 * abs(content - style).max()
    assert parity(instant.pixels) < 0.02


def test_neighbours_come_nearer_to_the_style_at_layers_that_are_not_optimised(network: VGG19) -> None:
    def distance(**fields: Any) -> float:
        return style_distance(network, painted(network, method="neighbours", **fields).image, shown(STYLE))

    assert distance(strength=90) < distance(strength=20) < style_distance(network, shown(CONTENT), shown(STYLE))


def parity(pixels: Array) -> float:
    """How much the mean difference of neighbours depends on whether the first one's column is even."""
    differences = abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    even, odd = differences[::2].mean(), differences[1::2].mean()
    return float(abs(even - odd) / (even + odd))


@pytest.mark.usefixtures("two_scales")
def test_even_and_odd_pixels_are_painted_alike(network: VGG19) -> None:
    """Neither the enlargement between two scales nor the grid of the pooling shows."""
    assert parity(painted(network, size=128, steps=24).pixels) < 0.03


# --- Strokes ---


def width_of_strokes(pixels: Array) -> float:
    """The distance in pixels at which the autocorrelation falls to one half, on average of both directions."""
    grey = pixels.mean(axis=2) - pixels.mean()
    spectrum = abs(np.fft.fft2(grey)) ** 2
    alike = np.fft.ifft2(spectrum).real
    alike /= alike[0, 0]
    both = (alike[0, :20] + alike[:20, 0]) / 2
    return float(np.argmax(both < 0.5)) + float(both[both >= 0.5].sum() / 100)


def test_larger_strokes_are_wider(network: VGG19) -> None:
    plain = Picture(Image.new("RGB", (64, 48), "grey"))
    finer, broader = (
        width_of_strokes(painted(network, plain, steps=30, strength=100, noise=0.2, stroke=stroke).pixels)
        for stroke in (0.5, 2)
    )
    assert finer < broader


@pytest.mark.parametrize(("size", "stroke", "side"), [(64, 1, 64), (128, 1, 128), (128, 0.5, 64), (64, 2, 128)])
def test_a_style_is_analysed_at_a_size_in_proportion_to_the_painting(
    size: int, stroke: float, side: int, narrow: VGG19
) -> None:
    recording: Any = RecordingNetwork(narrow)
    square = Picture(corpus.stripes(200, 200))
    painted(recording, styles=[square], size=size, stroke=stroke, steps=1)
    assert (side, side) in recording.sizes


# --- Colours ---


def palette(pixels: Array) -> Array:
    """The mean colour in Oklab."""
    found: Array = oklab(torch.from_numpy(pixels / 255).permute(2, 0, 1)[None]).mean(dim=(0, 2, 3)).numpy()
    return found


def test_matched_colours_have_the_palette_of_the_content_but_not_its_colour_at_each_place(network: VGG19) -> None:
    content = palette(levels(shown(CONTENT)))
    mask = Image.new("L", STYLE.rgb.size, 140)
    red = Picture(Image.composite(Image.new("RGB", STYLE.rgb.size, "red"), STYLE.rgb, mask))
    ends = {
        colours: painted(network, styles=[red], steps=12, strength=90, colours=colours)
        for colours in ("style", "matched", "content")
    }
    away = {colours: float(np.linalg.norm(palette(end.pixels) - content)) for colours, end in ends.items()}
    assert away["matched"] < 0.5 * away["style"]
    # Single places may have other colours, unlike with `content`.
    chroma = {
        colours: oklab(tensor(end.image))[:, 1:] - oklab(tensor(shown(CONTENT)))[:, 1:] for colours, end in ends.items()
    }
    assert chroma["matched"].norm() > 2 * chroma["content"].norm()


# --- Start and optimiser ---


def test_a_painting_starts_from_the_content_the_recoloured_content_or_noise(narrow: VGG19) -> None:
    content = tensor(shown(CONTENT))
    first = {
        start: images(narrow, 1, start=start, noise=0)[0].sub(content).abs().mean().item()
        for start in ("content", "matched", "noise")
    }
    assert first["content"] < first["matched"] < first["noise"]
    one, same, other = (images(narrow, 1, start="noise", seed=seed)[0] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_lbfgs_reaches_a_lower_loss_than_adam_in_the_same_steps(network: VGG19) -> None:
    adam, lbfgs = (painted(network, steps=12, strength=80, optimiser=name).losses for name in ("adam", "lbfgs"))
    assert lbfgs[-1] < adam[-1]


def test_with_the_curvature_the_loss_falls_along_another_path(narrow: VGG19) -> None:
    adam, newton = (painted(narrow, strength=100, optimiser=name) for name in ("adam", "gauss-newton"))
    assert newton.losses[0] == pytest.approx(adam.losses[0])
    assert newton.losses[-1] < 0.8 * newton.losses[0]
    assert newton.losses[-1] != pytest.approx(adam.losses[-1], rel=0.01)


def test_a_plain_style_has_no_curvature_to_allow_for(narrow: VGG19) -> None:
    plain = Picture(Image.new("RGB", (64, 64), "red"))
    adam, newton = (painted(narrow, styles=[plain], optimiser=name).result for name in ("adam", "gauss-newton"))
    assert newton.picture == adam.picture


@pytest.mark.parametrize("optimiser", ["adam", "gauss-newton", "lbfgs"])
def test_each_optimiser_is_reproducible(optimiser: str, narrow: VGG19) -> None:
    first, again = (painted(narrow, optimiser=optimiser, steps=8).result.picture for _ in range(2))
    assert first == again


def test_lbfgs_resumes_from_a_checkpoint(narrow: VGG19) -> None:
    saved = SavedStates()
    whole = painted(narrow, optimiser="lbfgs", steps=12, pace=ALL, save=saved.save)
    rest = painted(narrow, optimiser="lbfgs", steps=12, resume=list(saved.values())[5])
    assert rest.events[0].step == 7
    assert rest.losses[0] == pytest.approx(whole.losses[6], rel=0.01)
    assert rest.losses[-1] < rest.losses[0]


@pytest.mark.parametrize("fields", [{"pooling": "average"}, {"content_layers": {"conv4_2": 1}}, {"noise": 0.2}])
def test_layers_pooling_and_noise_change_the_picture(fields: dict[str, Any], narrow: VGG19) -> None:
    usual, other = painted(narrow), painted(narrow, **fields)
    assert other.result.picture != usual.result.picture
    assert other.losses[-1] < other.losses[0]


# --- When it ends ---


def test_a_painting_settles_when_it_stops_changing(narrow: VGG19) -> None:
    settled = painted(narrow, steps=60, tolerance=8)
    assert settled.result.ending == "settled"
    assert settled.result.steps == settled.events[-1].step < 60
    assert settled.result.steps % 10 == 0
    assert settled.events[-1].remaining == 0


def test_without_a_tolerance_no_painting_settles(narrow: VGG19) -> None:
    still = painted(narrow, styles=[CONTENT], noise=0, steps=25, tolerance=0)
    assert (still.result.ending, still.result.steps) == ("finished", 25)


def test_only_the_finest_scale_settles(narrow: VGG19, monkeypatch: pytest.MonkeyPatch) -> None:
    """At least ten of its steps are compared, however little the coarse scale changed."""
    monkeypatch.setattr(pyramid, "COARSEST", 32)
    settled = painted(narrow, steps=40, tolerance=200)
    assert (settled.result.ending, settled.result.steps) == ("settled", 30)
    assert settled.events[-1].scale == 64


def test_a_resumed_painting_settles_at_the_same_step(narrow: VGG19, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "COARSEST", 32)
    saved = SavedStates()
    whole = painted(narrow, steps=80, tolerance=8, pace=ALL, save=saved.save)
    assert whole.result.ending == "settled"
    for done in (17, whole.result.steps - 4):
        rest = painted(narrow, steps=80, tolerance=8, resume=list(saved.values())[done - 1])
        assert (rest.result.ending, rest.result.steps) == ("settled", whole.result.steps)
        assert rest.result.picture == whole.result.picture


# --- How long it takes ---


def test_the_remaining_time_is_that_of_the_remaining_steps(narrow: VGG19, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step takes 0.1 ms for each pixel, at 32 px a quarter of the time at 64 px. The start of a scale takes as
    long as one more step.
    """
    now = 0.0

    class Ticking(RecordingNetwork):
        def features(self, image: Tensor, *arguments: Any, **options: Any) -> dict[Layer, Tensor]:
            nonlocal now
            if image.requires_grad:
                now += 1e-4 * image[0, 0].numel()
            return super().features(image, *arguments, **options)

    monkeypatch.setattr(pyramid, "COARSEST", 32)
    monkeypatch.setattr(reporter, "time", SimpleNamespace(monotonic=lambda: now))
    ticking: Any = Ticking(narrow)
    predicted = [event.remaining for event in painted(ticking, steps=6).events]
    fine = 1e-4 * 64 * 43
    steps = [2 / 4 + 4, 1 / 4 + 4, 4, 2, 1, 0]
    assert predicted == pytest.approx([fine * each for each in steps], rel=0.05)


# --- Several styles with other options ---


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"colours": "matched", "stroke": 2},
        {"start": "matched", "balance": "dynamic"},
        {"optimiser": "lbfgs", "pooling": "average", "detail": 50},
        {"optimiser": "gauss-newton", "balance": "dynamic"},
        {"colours": "content", "stroke": 0.5, "noise": 0.1, "style_layers": {"conv2_1": 1}},
        {"content": Picture(Image.new("RGB", (64, 64)))},
        {"method": "neighbours"},
    ],
    ids=lambda fields: " ".join(fields) or "default",
)
def test_shares_of_styles_work_with_every_other_option(fields: dict[str, Any], narrow: VGG19) -> None:
    """A style with a share of zero has no effect, at any position. A style with a positive share has one."""
    other = Picture(corpus.scene(80, 96).rotate(90))
    alone = painted(narrow, styles=[STYLE], steps=3, **fields).result.picture
    for styles, shares in (([STYLE, other], (2, 0)), ([other, STYLE], (0, 3))):
        assert painted(narrow, styles=styles, style_shares=shares, steps=3, **fields).result.picture == alone
    assert painted(narrow, styles=[STYLE, other], style_shares=(1, 1), steps=3, **fields).result.picture != alone
