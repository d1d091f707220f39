"""What a quality means on each kind of worker."""

from itertools import pairwise
from typing import get_args

import pytest

from engine.painting.pyramid import SCHEDULES
from engine.presets import PRESETS, Quality, Tier, tier, with_frames
from engine.recipe import Recipe


@pytest.mark.parametrize("where", get_args(Tier))
def test_a_better_quality_takes_more_work_on_each_kind_of_worker(where: Tier) -> None:
    presets = [PRESETS[where][quality] for quality in get_args(Quality)]
    assert all(one.size < other.size for one, other in pairwise(presets[1:]))
    work = [preset.size**2 * preset.steps * SCHEDULES[preset.method].step_cost for preset in presets]
    assert all(one < other for one, other in pairwise(work))
    for preset in presets:
        recipe = Recipe(**preset.fields())
        assert (recipe.size, recipe.steps, recipe.method) == (preset.size, preset.steps, preset.method)


@pytest.mark.parametrize("quality", get_args(Quality))
def test_a_slower_worker_gets_less_work(quality: Quality) -> None:
    work = [PRESETS[where][quality] for where in PRESETS]
    assert all(one.size**2 * one.steps > other.size**2 * other.steps for one, other in pairwise(work))


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("cuda", "bfloat16", "cuda"),
        ("cuda", "float32", "cuda"),
        ("cpu", "bfloat16", "cpu-bfloat16"),
        ("cpu", "float32", "cpu-float32"),
    ],
)
def test_the_tier_of_a_worker_follows_from_its_device_and_precision(
    device: str, precision: str, expected: Tier
) -> None:
    assert tier(device, precision) == expected


@pytest.mark.parametrize("where", get_args(Tier))
def test_a_clip_is_smaller_and_a_better_quality_still_takes_more_work(where: Tier) -> None:
    stills = [Recipe(**PRESETS[where][quality].fields(), strength=70) for quality in get_args(Quality)]
    clips = [with_frames(recipe, 24) for recipe in stills]
    for still, clip in zip(stills, clips, strict=True):
        assert Recipe.model_validate(clip.model_dump()) == clip
        assert (clip.frames, clip.strength) == (24, 70)
        assert clip.method == ("gatys" if still.method == "instant" else still.method)
        assert clip.size <= still.size
        assert with_frames(clip, 9) == clip.model_copy(update={"frames": 9})
    assert all(one.size <= other.size for one, other in pairwise(clips[1:]))
    assert with_frames(stills[2], 1) == stills[2]
