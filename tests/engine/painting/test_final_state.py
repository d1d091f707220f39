"""A painting that ended, and another one that starts from its final state."""

from typing import Any

import numpy as np
import pytest
import torch

from engine.images.codec import Picture
from engine.painting import pyramid
from engine.painting.checkpoint import FinalState, from_bytes, to_bytes
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.recipe import Recipe
from engine.vgg.vgg19 import VGG19
from tests.engine.images import corpus
from tests.engine.painted import (
    ALL,
    CONTENT,
    EVERY_STEP,
    INPUTS,
    Painted,
    SavedStates,
    drained,
    levels,
    painted,
    saved_after,
)


def ended(narrow: VGG19, **fields: Any) -> tuple[Painted, bytes]:
    """A painting, and the bytes of its final state."""
    saved = SavedStates()
    end = painted(narrow, save=saved.save, **fields)
    assert end.result.checkpoint is not None
    return end, saved[end.result.checkpoint]


@pytest.mark.parametrize("colours", ["style", "content"])
def test_a_result_names_the_state_that_its_picture_was_made_from(colours: str, narrow: VGG19) -> None:
    """Another painting starts from the optimiser's image, whose colours are the styles' own."""
    usual, _ = ended(narrow)
    end, data = ended(narrow, colours=colours)
    state = from_bytes(data, FinalState)
    assert isinstance(state, FinalState)
    assert (state.size, state.image.shape) == (64, (1, 3, 43, 64))
    assert np.abs(state.image[0].permute(1, 2, 0).numpy() - usual.pixels).max() <= 1  # the picture's levels are floored
    assert (end.result.picture == usual.result.picture) == (colours == "style")


def test_without_a_save_function_or_a_style_there_is_no_final_state(narrow: VGG19) -> None:
    saved = painted(narrow, steps=2, save=SavedStates().save).result
    failed = painted(narrow, steps=2, save=lambda _: None).result
    assert failed.checkpoint is None
    assert failed.picture == saved.picture
    assert painted(narrow, steps=2).result.checkpoint is None
    assert painted(narrow, strength=0, save=SavedStates().save).result.checkpoint is None


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_a_painting_continues_another_one_in_a_third_of_its_steps(optimiser: str, narrow: VGG19) -> None:
    first, data = ended(narrow, steps=20, optimiser=optimiser)
    more = painted(narrow, steps=20, optimiser=optimiser, final_state=data)
    assert [(event.step, event.steps) for event in more.events] == [(step, 6) for step in range(1, 7)]
    assert more.losses[0] == pytest.approx(first.losses[-1], rel=0.1)
    assert more.losses[0] < 0.7 * first.losses[0]
    assert more.losses[-1] < first.losses[-1]
    assert (more.result.steps, more.result.ending) == (6, "finished")


def test_a_continued_painting_keeps_detail_although_it_starts_at_a_coarse_scale(
    narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid, "COARSEST", 32)
    monkeypatch.setattr("engine.painting.pyramid.LEARNING_RATE", (1e-9, 1e-9))
    monkeypatch.setattr("engine.painting.strength.LEARNING_RATE", (1e-9, 1e-9))
    noise = torch.rand(1, 3, 43, 64, generator=torch.Generator().manual_seed(6))
    data = to_bytes(FinalState.of(Recipe(size=64), noise))
    unmoved = painted(narrow, steps=6, final_state=data, pace=EVERY_STEP)
    assert [event.scale for event in unmoved.events] == [34, 64]
    kept = unmoved.pixels - noise[0].permute(1, 2, 0).numpy() * 255
    assert np.abs(kept).mean() < 8  # a painting without the detail would be off by 40


def test_a_weaker_painting_or_one_with_other_strokes_starts_nearer_to_the_content(narrow: VGG19) -> None:
    """The losses alone would leave the old strokes in the picture."""
    _, data = ended(narrow, steps=40, strength=80)
    content = levels(CONTENT.rgb.resize((64, 43)))
    same, weaker, broader = (
        abs(painted(narrow, steps=3, final_state=data, strength=strength, stroke=stroke).pixels - content).mean()
        for strength, stroke in ((80, 1), (20, 1), (80, 4))
    )
    assert weaker < 0.6 * same
    assert broader < 0.6 * same


def test_a_continued_painting_ignores_the_start_and_the_noise_of_its_recipe(narrow: VGG19) -> None:
    _, data = ended(narrow, steps=20)
    one, same, other = (
        painted(narrow, strength=80, final_state=data, **fields).result.picture
        for fields in ({}, {"start": "noise", "noise": 0.5}, {"steps": 30})
    )
    assert one == same
    assert one != other
    assert one != painted(narrow, strength=80).result.picture


def test_a_larger_painting_skips_the_scales_up_to_the_size_of_the_image(
    narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid, "COARSEST", 32)
    _, data = ended(narrow, steps=4)
    scales = {
        size: [event.scale for event in painted(narrow, size=size, steps=6, final_state=data).events]
        for size in (64, 128, 100, 256)
    }
    assert scales == {64: [34, 64], 128: [128, 128], 100: [100] * 3, 256: [136, 256]}


def test_a_smaller_painting_starts_from_the_image_too(narrow: VGG19) -> None:
    end, data = ended(narrow, size=128, steps=20)
    small = levels(end.image.resize((64, 43)))
    from_state, from_content = (
        abs(painted(narrow, steps=1, final_state=each).pixels - small).mean() for each in (data, None)
    )
    assert from_state < 0.5 * from_content


def test_a_painting_that_continues_another_resumes_from_its_own_checkpoints(
    narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid, "COARSEST", 32)
    _, data = ended(narrow, steps=4)
    recipe, saved = Recipe(size=64, steps=12, continues="5" * 64), SavedStates()
    whole = drained(paint(INPUTS, recipe, narrow, RunOptions(pace=ALL, final_state=data, save=saved.save)))
    assert whole.result.recipe == recipe
    for done in (1, 3):
        checkpoint = whole.events[done - 1].checkpoint
        assert checkpoint is not None
        rest = drained(
            paint(INPUTS, recipe, narrow, RunOptions(pace=EVERY_STEP, resume=saved[checkpoint], final_state=data))
        )
        assert [event.step for event in rest.events] == list(range(done + 1, 5))
        assert rest.result.picture == whole.result.picture


def test_without_the_final_state_a_painting_starts_from_the_content(narrow: VGG19) -> None:
    fresh = painted(narrow, steps=3)
    alone = painted(narrow, steps=3, continues="5" * 64)
    assert alone.result.picture == fresh.result.picture
    assert alone.result.recipe == fresh.result.recipe


def test_a_checkpoint_of_another_recipe_is_not_resumed(narrow: VGG19, caplog: pytest.LogCaptureFixture) -> None:
    """Its image is unfinished, and its moments belong to another objective."""
    foreign = saved_after(2, narrow, Recipe(size=64, steps=12))
    other = painted(narrow, strength=80, resume=foreign)
    assert other.events[0].step == 1
    assert other.result.picture == painted(narrow, strength=80).result.picture
    assert "starts over" in caplog.text


@pytest.mark.parametrize(
    "state",
    [
        FinalState(64, torch.zeros(1, 3, 64, 43, dtype=torch.uint8), 50.0, 1.0),
        FinalState(64, torch.zeros(1, 3, 43, 64), 50.0, 1.0),
        FinalState(65, torch.zeros(1, 3, 43, 64, dtype=torch.uint8), 50.0, 1.0),
        FinalState(32, torch.zeros(1, 3, 21, 32, dtype=torch.uint8), 50.0, 1.0),
        FinalState(8192, torch.zeros(1, 3, 43, 64, dtype=torch.uint8), 50.0, 1.0),
    ],
    ids=["tall", "floats", "another size", "too small", "too large"],
)
def test_a_final_state_of_another_content_is_not_used(
    state: FinalState, narrow: VGG19, caplog: pytest.LogCaptureFixture
) -> None:
    found = painted(narrow, steps=2, final_state=to_bytes(state)).result.picture
    assert found == painted(narrow, steps=2).result.picture
    assert "starts over" in caplog.text


def test_a_final_state_of_the_content_in_another_resolution_is_used(narrow: VGG19) -> None:
    _, data = ended(narrow, steps=20)
    large = Picture(corpus.scene(192, 128))
    assert painted(narrow, large, steps=2, final_state=data).losses[0] < 0.8 * painted(narrow, large, steps=2).losses[0]
