"""Clips: strokes move with the picture, and nothing that is painted gets lost."""

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import PaintingCancelled, PaintingPaused
from engine.images.animation import Clip, decode_frames
from engine.images.codec import Picture
from engine.painting import motion, stages
from engine.painting.checkpoint import ClipCheckpoint, from_bytes
from engine.painting.methods import method
from engine.painting.motion import LaterFrame
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.painting.targets import Targets
from engine.progress import Progress, Result, StopToken
from engine.recipe import Inputs, Recipe
from engine.vgg.vgg19 import VGG19
from tests.engine.images import clips, corpus
from tests.engine.painted import ALL, EVERY_STEP, STYLE, Painted, SavedStates, drained, levels, narrow_network, tensor

RECIPE = Recipe(size=64, steps=12, frames=6)


@pytest.fixture(scope="module")
def network() -> VGG19:
    return narrow_network(torch.float32)


def painted(
    network: VGG19,
    clip: Clip,
    recipe: Recipe = RECIPE,
    pace: Pace = EVERY_STEP,
    **options: Any,
) -> Painted:
    return drained(method(recipe)(Inputs(clip, (STYLE,)), recipe, network, RunOptions(pace=pace, **options)))


def shown(result: Result) -> Clip:
    clip = decode_frames(result.picture, 48)
    assert isinstance(clip, Clip)
    return clip


def change(pictures: tuple[Picture, ...]) -> float:
    """The mean difference of a frame from the next one, in levels, where the content stands still."""
    still = [levels(picture.rgb)[:10] for picture in pictures]
    return float(np.mean([abs(one - other).mean() for one, other in pairwise(still)]))


def test_a_clip_keeps_its_frames_and_times_and_does_not_boil(network: VGG19) -> None:
    source = clips.clip()
    ended = painted(network, source)
    clip = shown(ended.result)
    assert (clip.milliseconds, clip.plays) == (source.milliseconds, source.plays)
    assert (ended.result.width, ended.result.height) == clip.frames[0].rgb.size == (64, 43)
    assert ended.result.ending == "finished"
    assert ended.result.recipe == RECIPE
    apart = tuple(Picture(painted_alone(network, picture)) for picture in source.frames)
    assert change(clip.frames) < 0.8 * change(apart)
    assert [event.frame for event in ended.events] == sorted(event.frame for event in ended.events)
    assert (ended.events[0].frame, ended.events[-1].frame, ended.events[-1].frames) == (1, 6, 6)
    assert ended.events[-1].step == ended.events[-1].steps == ended.result.steps


def painted_alone(network: VGG19, picture: Picture) -> Image.Image:
    """A frame as a picture of its own, as a member would paint it who has no clips."""
    still = RECIPE.model_copy(update={"frames": 1})
    return drained(method(still)(Inputs(picture, (STYLE,)), still, network, RunOptions())).image


def test_a_clip_resumes_from_each_checkpoint_to_the_same_bytes(network: VGG19) -> None:
    saved = SavedStates()
    source = clips.clip(4)
    recipe = RECIPE.model_copy(update={"frames": 4})
    whole = painted(network, source, recipe, ALL, save=saved.save)
    checkpoints = [event.checkpoint for event in whole.events if event.checkpoint]
    finished = [from_bytes(saved[name], ClipCheckpoint).finished for name in checkpoints]
    assert {0, 1, 3} <= set(finished)
    for name in (checkpoints[4], *(checkpoints[finished.index(number)] for number in (1, 3))):
        again = painted(network, source, recipe, resume=saved[name])
        assert again.result.picture == whole.result.picture
        assert len(again.events) < len(whole.events)
    other = recipe.model_copy(update={"strength": 70})
    assert painted(network, source, other, resume=saved[checkpoints[-1]]).result.picture != whole.result.picture


def test_a_pause_keeps_the_frames_and_a_cancelled_clip_ends_at_once(network: VGG19) -> None:
    source, stop, saved = clips.clip(), StopToken(), SavedStates()
    events = list[Progress]()
    painting = method(RECIPE)(
        Inputs(source, (STYLE,)), RECIPE, network, RunOptions(stop=stop, pace=EVERY_STEP, save=saved.save)
    )
    while not events or events[-1].frame < 3:
        events.append(next(painting))
    stop.pause()
    with pytest.raises(PaintingPaused):
        events.extend(painting)
    assert events[-1].checkpoint
    assert len(from_bytes(saved[events[-1].checkpoint], ClipCheckpoint).frames) == 3
    stop = StopToken()
    painting = method(RECIPE)(
        Inputs(source, (STYLE,)), RECIPE, network, RunOptions(stop=stop, pace=EVERY_STEP, resume=saved.last)
    )
    assert next(painting).frame == 4
    stop.cancel()
    with pytest.raises(PaintingCancelled):
        next(painting)


def test_a_request_to_finish_still_gives_every_frame(network: VGG19) -> None:
    stop = StopToken()
    stop.finish()
    ended = painted(network, clips.clip(), RECIPE.model_copy(update={"steps": 40}), stop=stop)
    assert len(shown(ended.result).frames) == 6
    assert ended.result.ending == "stopped"
    assert ended.result.steps < 40 + 5 * 4
    assert {event.steps for event in ended.events} == {ended.result.steps}  # from the first step on


def test_a_cut_begins_a_new_picture_and_a_frame_that_is_held_stays(network: VGG19) -> None:
    first, second, *_ = clips.clip().frames
    other = Picture(Image.effect_noise((96, 64), 90).convert("RGB").transpose(Image.Transpose.FLIP_TOP_BOTTOM))
    ended = painted(network, Clip((first, first, other, second), (80,) * 4, plays=1))
    assert shown(ended.result).milliseconds == (160, 80, 80)
    assert ended.result.steps >= 2 * RECIPE.steps


def test_transparency_is_kept_and_the_limit_of_bytes_holds(network: VGG19) -> None:
    ended = painted(network, clips.clip(transparent=True), max_bytes=100_000)
    assert ended.result.format == "gif"
    assert len(shown(ended.result).frames) == 6
    alpha = shown(ended.result).frames[0].alpha
    assert alpha is not None
    assert alpha.getextrema() == (0, 255)
    small = painted(network, clips.clip(), max_bytes=5_000).result
    assert (small.format, len(small.picture) <= 5_000) == ("webp", True)


def test_without_style_a_clip_is_its_content_and_a_picture_is_painted_as_one(network: VGG19) -> None:
    nothing = painted(network, clips.clip(), RECIPE.model_copy(update={"strength": 0}))
    assert nothing.events == []
    assert len(shown(nothing.result).frames) == 6
    still = drained(method(RECIPE)(Inputs(clips.clip().frames[0], (STYLE,)), RECIPE, network, RunOptions()))
    assert (still.result.format, still.result.recipe.frames) == ("png", 1)


def test_a_clip_that_does_not_lead_back_is_not_bent_towards_its_beginning(network: VGG19) -> None:
    there = clips.clip(3).frames
    other = Picture(Image.effect_noise((96, 64), 90).convert("RGB"))
    recipe = RECIPE.model_copy(update={"frames": 4, "steps": 2})
    once, again = (shown(painted(network, Clip((*there, other), (80,) * 4, plays), recipe).result) for plays in (1, 0))
    for one, two in zip(once.frames, again.frames, strict=True):
        assert np.array_equal(levels(one.rgb), levels(two.rgb))


def test_a_clip_is_painted_by_neighbours_too(network: VGG19) -> None:
    recipe = RECIPE.model_copy(update={"method": "neighbours", "frames": 3, "steps": 6})
    saved = SavedStates()
    ended = painted(network, clips.clip(3), recipe, ALL, save=saved.save)
    assert len(shown(ended.result).frames) == 3
    again = painted(network, clips.clip(3), recipe, resume=saved.last)
    assert again.result.picture == ended.result.picture


def test_what_comes_into_view_is_painted_and_the_rest_stays(network: VGG19, monkeypatch: pytest.MonkeyPatch) -> None:
    photo = Picture(corpus.scene(192, 128))
    moved = tensor(photo.rgb)
    seen = torch.ones((1, 1, 128, 192))
    seen[..., 96:] = 0
    recipe = Recipe(size=192, steps=12, strength=90)

    targets = partial(Targets, photo, [STYLE], recipe, network, lambda: None)
    before = moved.lerp(targets(None).start_at(192), 1 - seen)

    def change(least: float) -> tuple[float, float]:
        monkeypatch.setattr(motion, "LEAST_NEW", least)
        *_, step = LaterFrame(targets, recipe, network, lambda: None).paint(moved, seen, 2)
        changed = (step.image - before).abs()
        return changed[..., :90].mean().item(), changed[..., 100:].mean().item()

    kept, painted = change(0.1)
    _, hardly = change(0.9)
    assert kept < 0.02
    assert painted > 1.5 * hardly


def test_a_clip_that_repeats_ends_near_its_beginning(network: VGG19, monkeypatch: pytest.MonkeyPatch) -> None:
    there = clips.clip(5).frames
    source = Clip(there + there[-2:0:-1], (80,) * 8)
    recipe = RECIPE.model_copy(update={"frames": 8})

    def gap() -> float:
        frames = shown(painted(network, source, recipe).result).frames
        return change((frames[-1], frames[0]))

    closed = gap()
    monkeypatch.setattr(stages, "MOST_CLOSING", 0)
    assert closed < 0.7 * gap()
