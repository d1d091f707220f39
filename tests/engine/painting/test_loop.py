"""Small paintings, from decoded pictures to encoded bytes. Tests of how a painting looks use the real network."""

import io
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageOps

from engine.images.codec import Picture, decode, fitted
from engine.losses import neighbours
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.progress import StepLosses
from engine.recipe import Recipe
from engine.vgg.vgg19 import VGG19, load_cached
from tests.engine.images import corpus
from tests.engine.painted import (
    ALL,
    CONTENT,
    EVERY_STEP,
    INPUTS,
    STYLE,
    SavedStates,
    drained,
    narrow_network,
    painted,
    remade,
    same_but_for_jpeg,
    saved_after,
    shown,
    style_distance,
)

# --- What it paints ---


def test_a_painting_comes_nearer_to_the_style_at_layers_that_it_does_not_optimise(
    network: VGG19,
) -> None:
    end = painted(network, steps=20, strength=80)
    assert len(end.losses) == 20
    assert end.losses[-1] < 0.5 * end.losses[0]
    before = style_distance(network, shown(CONTENT), shown(STYLE))
    assert style_distance(network, end.image, shown(STYLE)) < 0.7 * before


@pytest.mark.usefixtures("two_scales")
def test_a_strength_of_zero_returns_the_content_without_any_step(narrow: VGG19) -> None:
    result = painted(narrow, strength=0, noise=0.5)
    assert result.image.tobytes() == shown(CONTENT).tobytes()
    assert result.events == []
    assert result.result.ending == "finished"


def test_a_style_weight_of_zero_equals_a_strength_of_zero(narrow: VGG19) -> None:
    assert painted(narrow, style_weight=0).result.picture == painted(narrow, strength=0).result.picture


def test_the_loss_is_the_weighted_sum_of_its_terms(narrow: VGG19) -> None:
    """The weight of the style is divided by the style loss of the content, which does not depend on weights."""
    colourful = Picture(Image.merge("RGB", [Image.effect_noise((96, 64), 80) for _ in range(3)]))

    def factors(style_weight: float) -> list[float]:
        events = painted(
            narrow, styles=[colourful], strength=50, content_weight=0.5, style_weight=style_weight, steps=4
        ).events
        return [(event.loss - 0.5 * event.content_loss) / event.style_loss for event in events]

    once, twice = factors(1), factors(2)
    assert once == pytest.approx([once[0]] * 4, rel=1e-3)
    assert twice == pytest.approx([2 * once[0]] * 4, rel=1e-3)
    start = painted(narrow, styles=[colourful], start="content", noise=0, strength=50, steps=1).events[0]
    assert start.loss == pytest.approx(5, rel=1e-3)


def test_the_contents_colours_can_be_kept(network: VGG19) -> None:
    """The style is yellow and blue throughout; the content grey."""
    grey = Picture(ImageOps.grayscale(corpus.scene()).convert("RGB"))
    kept, taken = (
        painted(network, grey, colours=colours, steps=8, strength=80).pixels for colours in ("content", "style")
    )
    assert np.ptp(kept, axis=2).mean() < 2
    assert np.ptp(taken, axis=2).mean() > 10


def test_a_preview_has_the_colours_that_the_result_will_have(narrow: VGG19) -> None:
    grey = Picture(ImageOps.grayscale(corpus.scene()).convert("RGB"))
    last = painted(narrow, grey, pace=ALL, colours="content", steps=4).events[-1]
    assert last.preview is not None
    assert np.ptp(np.asarray(Image.open(io.BytesIO(last.preview)), dtype=np.float64), axis=2).mean() < 4


# --- Several styles ---

RED, BLUE = (
    Picture(
        Image.composite(Image.new("RGB", (64, 64), colour), STYLE.rgb.resize((64, 64)), Image.new("L", (64, 64), 200))
    )
    for colour in ("red", "blue")
)


def test_styles_are_blended_by_their_shares(network: VGG19) -> None:
    """The more a style's share, the more of its colour."""
    reds = []
    for shares in ((0, 1), (1, 1), (1, 0)):
        pixels = painted(network, styles=[RED, BLUE], style_shares=shares, strength=90, steps=12).pixels
        reds.append((pixels[..., 0] - pixels[..., 2]).mean())
    assert reds[0] + 4 < reds[1] < reds[2] - 4


def test_without_shares_all_styles_have_equal_shares(narrow: VGG19) -> None:
    one = painted(narrow, styles=[RED, BLUE], steps=4)
    other = painted(narrow, styles=[RED, BLUE], steps=4, style_shares=(2, 2))
    assert one.result.picture == other.result.picture


def test_the_same_style_twice_gives_almost_the_picture_of_one(narrow: VGG19) -> None:
    once, twice = painted(narrow, steps=6), painted(narrow, styles=[STYLE, STYLE], steps=6)
    assert abs(once.pixels - twice.pixels).mean() < 1


def test_each_style_needs_a_share(narrow: VGG19) -> None:
    with pytest.raises(ValueError, match="zip"):
        painted(narrow, styles=[RED, BLUE], style_shares=(1,))


def test_a_picture_in_its_own_style_does_not_change(network: VGG19) -> None:
    assert painted(network, styles=[CONTENT], strength=100).image.tobytes() == shown(CONTENT).tobytes()


# --- Reproducibility and checkpoints ---


@pytest.mark.usefixtures("two_scales")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_recipe_gives_the_same_bytes_and_another_seed_gives_others(precision: str) -> None:
    network = load_cached("embedded", torch.device("cpu"), getattr(torch, precision))
    first, again, other = (painted(network, seed=seed, steps=6).result.picture for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_the_pace_of_reports_does_not_change_the_picture(narrow: VGG19) -> None:
    assert (
        painted(narrow, pace=ALL, save=SavedStates().save).result.picture == painted(narrow, pace=Pace()).result.picture
    )


@pytest.mark.usefixtures("two_scales")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_painting_resumes_from_any_checkpoint_to_the_same_bytes(precision: str) -> None:
    network = narrow_network(getattr(torch, precision))
    recipe = Recipe(size=64, steps=7, noise=0.1)
    saved = SavedStates()
    whole = drained(paint(INPUTS, recipe, network, RunOptions(pace=ALL, save=saved.save)))
    assert [event.scale for event in whole.events] == [34] * 4 + [64] * 3
    checkpoints = [event.checkpoint for event in whole.events]
    assert checkpoints.pop() is None  # no step is left
    for done, checkpoint in enumerate(checkpoints, 1):
        assert checkpoint is not None
        rest = drained(paint(INPUTS, recipe, network, RunOptions(pace=ALL, resume=saved[checkpoint])))
        assert [event.step for event in rest.events] == list(range(done + 1, 8))
        assert [event.loss for event in rest.events] == [event.loss for event in whole.events[done:]]
        assert rest.result.picture == whole.result.picture
        assert rest.result.steps == 7
        if done > 1:
            assert rest.events[0].elapsed > whole.events[done - 2].elapsed


@pytest.mark.usefixtures("two_scales")
def test_a_resumed_painting_compares_the_same_places_with_its_style(
    narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "PLACES", 100)
    monkeypatch.setattr(neighbours, "SIDE", 10)
    recipe = Recipe(method="neighbours", size=64, steps=6)
    saved = SavedStates()
    whole = drained(paint(INPUTS, recipe, narrow, RunOptions(pace=ALL, save=saved.save)))
    for done in (2, 5):
        rest = drained(paint(INPUTS, recipe, narrow, RunOptions(resume=list(saved.values())[done - 1])))
        assert rest.result.picture == whole.result.picture
    assert painted(narrow, method="neighbours", steps=6, noise=0, seed=1).result.picture != whole.result.picture


@pytest.mark.usefixtures("two_scales")
def test_a_painting_can_be_resumed_many_times(narrow: VGG19) -> None:
    recipe = Recipe(size=64, steps=6)
    saved = SavedStates()
    resume = None
    for _ in range(5):
        name = next(paint(INPUTS, recipe, narrow, RunOptions(pace=ALL, resume=resume, save=saved.save))).checkpoint
        assert name is not None
        resume = saved[name]
    end = drained(paint(INPUTS, recipe, narrow, RunOptions(resume=resume)))
    assert end.result.picture == painted(narrow, steps=6).result.picture


UNUSABLE: list[Callable[[bytes], bytes]] = [
    lambda checkpoint: b"",
    lambda checkpoint: b"no checkpoint",
    lambda checkpoint: checkpoint[: len(checkpoint) // 2],
    lambda checkpoint: checkpoint[:100] + bytes(200) + checkpoint[300:],
    lambda checkpoint: remade(checkpoint, scale=2),
    lambda checkpoint: remade(checkpoint, scale=-1),
    lambda checkpoint: remade(checkpoint, scale="first"),
    lambda checkpoint: remade(checkpoint, scale=1),  # whose size is another
    lambda checkpoint: remade(checkpoint, step=4),
    lambda checkpoint: remade(checkpoint, step=0),
    lambda checkpoint: remade(checkpoint, elapsed=float("nan")),
    lambda checkpoint: remade(checkpoint, image=torch.zeros(1, 3, 21, 30)),
    lambda checkpoint: remade(checkpoint, image=torch.full((1, 3, 23, 34), float("nan"))),
    lambda checkpoint: remade(checkpoint, before=torch.zeros(1, 3, 23, 34, dtype=torch.float64)),
    lambda checkpoint: remade(checkpoint, before=None),
    lambda checkpoint: remade(checkpoint, state={}),
    lambda checkpoint: remade(checkpoint, state=None),
    lambda checkpoint: remade(checkpoint, size=65),
    lambda checkpoint: remade(checkpoint, size=20),
]


@pytest.mark.usefixtures("two_scales")
def test_after_an_unusable_checkpoint_the_painting_starts_over(narrow: VGG19, caplog: pytest.LogCaptureFixture) -> None:
    recipe = Recipe(size=64, steps=6)
    usable, whole = saved_after(2, narrow, recipe), painted(narrow, steps=6)
    assert drained(paint(INPUTS, recipe, narrow, RunOptions(pace=ALL, resume=usable))).events[0].step == 3
    assert not caplog.records
    for number, spoil in enumerate(UNUSABLE):
        caplog.clear()
        over = drained(paint(INPUTS, recipe, narrow, RunOptions(pace=EVERY_STEP, resume=spoil(usable))))
        assert over.events[0].step == 1, number
        assert over.result.picture == whole.result.picture, number
        assert "starts over" in caplog.text, number


def test_a_checkpoint_of_another_content_is_not_resumed(narrow: VGG19) -> None:
    foreign = saved_after(2, narrow, Recipe(size=64, steps=6), Picture(corpus.scene(64, 96)))
    assert drained(paint(INPUTS, Recipe(size=64, steps=6), narrow, RunOptions(resume=foreign))).events[0].step == 1


def test_a_painting_continues_if_its_checkpoint_cannot_be_saved(narrow: VGG19) -> None:
    end = drained(paint(INPUTS, Recipe(size=64, steps=4), narrow, RunOptions(pace=ALL, save=lambda _: None)))
    assert [event.checkpoint for event in end.events] == [None] * 4
    assert end.result.picture == painted(narrow, steps=4).result.picture


# --- What it reports ---


@pytest.mark.usefixtures("two_scales")
def test_progress_counts_each_step_and_never_goes_back(narrow: VGG19) -> None:
    events = painted(narrow, steps=9, pace=ALL).events
    assert [event.step for event in events] == list(range(1, 10))
    assert {event.steps for event in events} == {9}
    assert [event.scale for event in events] == [34] * 5 + [64] * 4
    assert all(one.elapsed < other.elapsed for one, other in pairwise(events))
    assert events[0].remaining > 0
    assert events[-1].remaining == 0
    assert all(math.isfinite(event.loss) and event.loss > 0 for event in events)


@pytest.mark.usefixtures("two_scales")
def test_an_observer_gets_the_losses_of_each_layer_at_each_step(narrow: VGG19) -> None:
    seen: list[StepLosses] = []
    fields: dict[str, Any] = {"steps": 5, "style_layers": {"relu1_1": 3, "relu2_1": 1}}
    found = painted(narrow, observe=seen.append, **fields)
    assert [(each.step, each.scale) for each in seen] == [(1, 34), (2, 34), (3, 34), (4, 64), (5, 64)]
    for losses, event in zip(seen, found.events, strict=True):
        first, second = losses.layers["style"]["relu1_1"], losses.layers["style"]["relu2_1"]
        assert 0.75 * first + 0.25 * second == pytest.approx(event.style_loss, rel=1e-5)
        assert losses.layers["content"] == {"relu4_2": pytest.approx(event.content_loss, rel=1e-5)}
    assert found.result.picture == painted(narrow, **fields).result.picture


def test_a_short_painting_reports_its_first_and_its_last_step(narrow: VGG19) -> None:
    events = painted(narrow, steps=5, pace=Pace(progress=3600, checkpoint=3600), save=SavedStates().save).events
    assert [event.step for event in events] == [1, 5]
    assert {event.checkpoint for event in events} == {None}


def test_progress_has_the_device_and_the_time_of_a_step(narrow: VGG19) -> None:
    events = painted(narrow, steps=6, pace=ALL).events
    assert {event.device for event in events} == {"CPU with 1 threads"}
    seconds = [event.step_seconds for event in events]
    for one, event in zip(seconds, events, strict=True):
        assert one is not None
        assert 0 < one < event.elapsed


@pytest.mark.usefixtures("two_scales")
def test_a_preview_is_a_jpeg_of_the_final_size_from_the_first_step_on(narrow: VGG19) -> None:
    events = painted(narrow, Picture(corpus.scene(90, 64)), steps=4, pace=ALL).events
    for event in events:
        assert event.preview is not None
        preview = Image.open(io.BytesIO(event.preview))
        assert (preview.format, preview.size) == ("JPEG", (64, 46))


def test_the_last_preview_is_the_result(narrow: VGG19) -> None:
    end = painted(narrow, steps=3, pace=ALL)
    preview = end.events[-1].preview
    assert preview is not None
    assert same_but_for_jpeg(preview, end.image)


def test_previews_and_checkpoints_can_be_left_out(narrow: VGG19) -> None:
    events = painted(narrow, steps=3, pace=EVERY_STEP, save=None).events
    assert {(event.preview, event.checkpoint) for event in events} == {(None, None)}


# --- What it ends as ---


def test_the_result_is_a_png_without_metadata_and_has_the_recipe(narrow: VGG19) -> None:
    end = painted(narrow, steps=2, seed=5)
    result = end.result
    assert (result.format, end.image.format, end.image.mode) == ("png", "PNG", "RGB")
    assert (result.width, result.height) == end.image.size == (64, 43)
    assert end.image.info == {}
    assert (result.recipe, result.steps, result.ending) == (Recipe(size=64, steps=2, seed=5), 2, "finished")
    assert result.seconds >= end.events[-1].elapsed


def test_the_alpha_channel_is_kept_and_scaled(narrow: VGG19) -> None:
    alpha = Image.linear_gradient("L").resize((96, 64))
    end = painted(narrow, Picture(CONTENT.rgb, alpha), steps=2)
    assert end.image.mode == "RGBA"
    assert end.image.size == (64, 43)
    difference = ImageChops.difference(end.image.getchannel("A"), alpha.resize((64, 43)))
    assert np.asarray(difference).max() <= 3
    assert end.image.convert("RGB").tobytes() == painted(narrow, steps=2).image.tobytes()
    corner = np.asarray(Image.open(io.BytesIO(end.result.thumbnail)))[0, 0]
    assert corner.min() > 240  # nothing is visible there but the background


def test_a_result_says_which_pictures_were_truncated(narrow: VGG19) -> None:
    cut = replace(STYLE, shown=0.75)
    assert painted(narrow, CONTENT, (STYLE, cut), steps=1).result.shown == (None, None, 0.75)
    assert painted(narrow, CONTENT, (STYLE, STYLE), steps=1).result.shown == ()


def test_a_result_over_the_limit_is_a_jpeg_within_it(narrow: VGG19) -> None:
    whole = painted(narrow, steps=2).result
    limited = painted(narrow, steps=2, max_bytes=len(whole.picture) // 3).result
    assert (whole.format, limited.format) == ("png", "jpeg")
    assert whole.quality is None
    assert limited.quality is not None
    assert len(limited.picture) <= len(whole.picture) // 3
    assert decode(limited.picture).rgb.size == (64, 43)


# --- Odd pictures ---


@pytest.mark.parametrize(
    ("size", "expected"), [((320, 40), (128, 16)), ((40, 320), (16, 128)), ((50, 50), (64, 64)), ((64, 33), (64, 33))]
)
def test_any_aspect_ratio_is_painted(size: tuple[int, int], expected: tuple[int, int], narrow: VGG19) -> None:
    end = painted(narrow, Picture(corpus.scene(*size)), [Picture(corpus.stripes(*size[::-1]))], steps=3, pace=ALL)
    assert end.image.size == expected


@pytest.mark.parametrize(
    ("size", "longer_side", "expected"),
    [((400, 300), 64, (64, 48)), ((3, 4), 200, (150, 200)), ((800, 100), 64, (128, 16)), ((100, 800), 64, (16, 128))],
)
def test_sizes_are_fitted_to_the_longer_side(
    size: tuple[int, int], longer_side: int, expected: tuple[int, int]
) -> None:
    assert fitted(size, longer_side) == expected
