"""How a painting is finished early, paused or cancelled."""

import threading

import pytest

from engine.errors import PaintingCancelled, PaintingPaused
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.progress import StopToken
from engine.recipe import Recipe
from engine.vgg.vgg19 import VGG19
from tests.engine.painted import (
    ALL,
    EVERY_STEP,
    INPUTS,
    SavedStates,
    drained,
    painted,
    same_but_for_jpeg,
)


def test_a_painting_that_is_finished_early_has_the_picture_so_far(narrow: VGG19) -> None:
    stop = StopToken()
    painting = paint(INPUTS, Recipe(size=64, steps=10_000), narrow, RunOptions(stop=stop, pace=ALL))
    events = [next(painting) for _ in range(4)]
    stop.finish()
    end = drained(painting)
    assert (end.result.ending, end.result.steps) == ("stopped", 4)
    assert end.events == []
    preview = events[-1].preview
    assert preview is not None
    assert same_but_for_jpeg(preview, end.image)


@pytest.mark.usefixtures("two_scales")
def test_a_painting_that_is_finished_early_at_a_coarse_scale_has_its_full_size(narrow: VGG19) -> None:
    stop = StopToken()
    stop.finish()
    end = painted(narrow, steps=10_000, stop=stop)
    assert (end.result.ending, end.result.steps) == ("stopped", 1)
    assert [event.scale for event in end.events] == [34]
    assert end.image.size == (64, 43)


def test_a_painting_that_is_finished_early_in_its_last_step_counts_as_finished(narrow: VGG19) -> None:
    stop = StopToken()
    stop.finish()
    assert painted(narrow, steps=1, stop=stop).result.ending == "finished"


def test_a_cancelled_painting_takes_no_further_step(narrow: VGG19) -> None:
    stop = StopToken()
    painting = paint(INPUTS, Recipe(size=64, steps=10_000), narrow, RunOptions(stop=stop, pace=EVERY_STEP))
    next(painting)
    stop.cancel()
    with pytest.raises(PaintingCancelled):
        next(painting)


@pytest.mark.usefixtures("two_scales")
@pytest.mark.parametrize("steps", [1, 4, 5])
def test_a_paused_painting_ends_with_a_checkpoint_of_its_last_step(steps: int, narrow: VGG19) -> None:
    recipe, saved, stop = Recipe(size=64, steps=8), SavedStates(), StopToken()
    painting = paint(INPUTS, recipe, narrow, RunOptions(stop=stop, pace=EVERY_STEP, save=saved.save))
    for _ in range(steps):
        assert next(painting).checkpoint is None  # none is due
    stop.pause()
    event = next(painting)
    assert event.step == steps + 1
    with pytest.raises(PaintingPaused):
        next(painting)
    assert event.checkpoint is not None
    rest = drained(paint(INPUTS, recipe, narrow, RunOptions(pace=EVERY_STEP, resume=saved[event.checkpoint])))
    assert [event.step for event in rest.events] == list(range(steps + 2, 9))
    assert rest.result.picture == painted(narrow, steps=8).result.picture


def test_a_painting_that_is_paused_in_its_last_step_is_finished(narrow: VGG19) -> None:
    stop = StopToken()
    painting = paint(INPUTS, Recipe(size=64, steps=3), narrow, RunOptions(stop=stop, pace=EVERY_STEP))
    next(painting), next(painting)
    stop.pause()
    assert drained(painting).result.ending == "finished"


def test_a_painting_that_is_paused_before_its_first_step_takes_none(narrow: VGG19) -> None:
    stop, saved = StopToken(), SavedStates()
    stop.pause()
    painting = paint(INPUTS, Recipe(size=64, steps=3), narrow, RunOptions(stop=stop, pace=ALL, save=saved.save))
    with pytest.raises(PaintingPaused):
        next(painting)
    assert not saved


def test_a_painting_pauses_even_if_its_checkpoint_cannot_be_saved(narrow: VGG19) -> None:
    stop = StopToken()
    painting = paint(
        INPUTS, Recipe(size=64, steps=9), narrow, RunOptions(stop=stop, pace=EVERY_STEP, save=lambda _: None)
    )
    next(painting)
    stop.pause()
    assert next(painting).checkpoint is None
    with pytest.raises(PaintingPaused):
        next(painting)


def test_another_thread_can_cancel_a_painting_between_two_reports(narrow: VGG19) -> None:
    """Within a step, and long before the next progress."""
    stop, begun = StopToken(), threading.Event()
    checks = 0

    def cancelled() -> bool:
        nonlocal checks
        checks += 1
        if checks > 100:  # some steps on
            begun.set()
        return False

    stop = StopToken(cancelled)
    ended: list[BaseException] = []

    def work() -> None:
        try:
            painted(narrow, steps=10_000, pace=Pace(progress=3600, preview=None), stop=stop)
        except PaintingCancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(60)
    stop.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert len(ended) == 1


@pytest.mark.parametrize("check", [1, 20, 60, 80, 100])
def test_a_step_can_be_cancelled_between_two_layers(check: int, network: VGG19) -> None:
    """While content and style are analysed, and in the forward and the backward pass of a step."""
    checks = 0

    def cancelled() -> bool:
        nonlocal checks
        checks += 1
        return checks >= check

    with pytest.raises(PaintingCancelled):
        painted(network, steps=10_000, stop=StopToken(cancelled))
    assert checks == check
