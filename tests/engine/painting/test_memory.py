"""Paintings for which the device has too little memory."""

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.errors import OutOfMemory
from engine.losses.objective import Objective
from engine.losses.terms import ContentTerm
from engine.painting import pyramid
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.pyramid import Scale
from engine.painting.targets import Targets
from engine.recipe import Layer, Recipe
from engine.vgg.vgg19 import VGG19
from tests.engine.painted import (
    ALL,
    INPUTS,
    RecordingNetwork,
    SavedStates,
    drained,
    painted,
    read,
)


class SmallDevice(RecordingNetwork):
    """A device whose memory is too small for a gradient of more than this number of pixels."""

    def __init__(self, network: VGG19, pixels: int) -> None:
        super().__init__(network)
        self._pixels = pixels

    def features(
        self, image: Tensor, layers: Collection[Layer], check: Callable[[], None], **options: Any
    ) -> dict[Layer, Tensor]:
        if image.requires_grad and image[0, 0].numel() > self._pixels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        return super().features(image, layers, check, **options)


def test_a_painting_that_does_not_fit_into_memory_continues_at_a_smaller_size(
    narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid, "COARSEST", 64)
    small: Any = SmallDevice(narrow, 100 * 67)
    saved = SavedStates()
    recipe = Recipe(size=128, steps=8)
    whole = drained(paint(INPUTS, recipe, small, RunOptions(pace=ALL, save=saved.save)))
    assert (whole.result.recipe.size, whole.result.width, whole.result.height) == (91, 91, 61)
    assert (whole.result.ending, whole.result.steps) == ("finished", 8)
    assert [event.step for event in whole.events] == list(range(1, 9))
    assert [event.scale for event in whole.events] == [68] * 4 + [91] * 4
    for checkpoint in list(saved.values())[1], list(saved.values())[5]:
        rest = drained(paint(INPUTS, recipe, small, RunOptions(pace=ALL, resume=checkpoint)))
        assert rest.result.picture == whole.result.picture


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_tensors_of_a_failed_step_are_freed_before_a_smaller_size_is_tried(
    optimiser: str, narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own tensors, although a cycle holds them, and what the picture was compared with."""
    monkeypatch.setattr(pyramid, "COARSEST", 64)
    kept: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    class Failing(SmallDevice):
        def features(self, image: Tensor, *arguments: Any, **options: Any) -> dict[Layer, Tensor]:
            try:
                return super().features(image, *arguments, **options)
            except torch.OutOfMemoryError as error:
                step = image + 1
                kept.append(weakref.ref(step))
                error.args = (*error.args, step, error)
                raise

    objective = Targets.objective

    def recording(targets: Targets, scale: Scale) -> Objective:
        gc.disable()
        alive.append(sum(each() is not None for each in kept))
        found = objective(targets, scale)
        content = found.terms["content"]
        assert isinstance(content, ContentTerm)
        kept.extend(weakref.ref(target.value) for target in content.targets.values())
        return found

    monkeypatch.setattr(Targets, "objective", recording)
    failing: Any = Failing(narrow, 100 * 67)
    try:
        end = drained(paint(INPUTS, Recipe.model_validate({"size": 128, "steps": 4, "optimiser": optimiser}), failing))
    finally:
        gc.enable()
    assert end.result.recipe.size == 91
    assert alive == [0, 0, 0]
    assert len(kept) == 4  # of three sizes, and of the step that failed


def test_a_painting_that_no_longer_fits_at_any_size_ends_with_the_picture_of_the_last_scale(
    narrow: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the memory shrinks after the first scale, so that not even its size fits again."""
    monkeypatch.setattr(pyramid, "COARSEST", 64)
    small: Any = SmallDevice(narrow, 100 * 67)
    saved = SavedStates()
    painting = paint(INPUTS, Recipe(size=128, steps=8), small, RunOptions(pace=ALL, save=saved.save))
    for _ in range(4):
        next(painting)
    small._pixels = 0
    rest = drained(painting)
    assert rest.events == []
    assert (rest.result.recipe.size, rest.result.width, rest.result.height) == (68, 68, 45)
    assert (rest.result.ending, rest.result.steps) == ("stopped", 4)
    image = read(list(saved.values())[3]).image[0].permute(1, 2, 0).numpy()
    assert np.abs(rest.pixels / 255 - image).mean() < 0.02  # it was enlarged for the sizes that were tried


def test_a_painting_that_fits_at_no_size_fails(narrow: VGG19) -> None:
    small: Any = SmallDevice(narrow, 1000)
    with pytest.raises(OutOfMemory):
        drained(paint(INPUTS, Recipe(size=128, steps=4), small))


STARVED = """
import re, resource
from pathlib import Path

import torch
from PIL import Image

from engine.painting.loop import paint
from engine.images.codec import Picture
from engine.recipe import Inputs, Recipe
from engine.vgg.vgg19 import load_cached

torch.set_num_threads(1)
network = load_cached("embedded", torch.device("cpu"), torch.float32)
picture = Picture(Image.effect_noise((96, 96), 90).convert("RGB"))


def painted(size):
    painting = paint(Inputs(picture, (picture,)), Recipe(size=size, steps=1), network)
    while True:
        try:
            next(painting)
        except StopIteration as end:
            return end.value


painted(64)
held = int(re.search(r"VmData:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (held + 200 * 2**20, resource.RLIM_INFINITY))
result = painted(2048)
print(result.recipe.size, result.width, result.height, result.steps, result.ending)
print(painted(64).recipe.size)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux limits the data of a process.")
def test_too_little_memory_gives_a_smaller_picture_and_the_process_survives() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARVED], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True
    )
    first, second = done.stdout.splitlines()
    size, width, height, steps, ending = first.split()
    assert 64 <= int(size) < 2048
    assert (width, height, steps, ending) == (size, size, "1", "finished")
    assert second == "64"


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")]
)
def test_errors_of_other_allocators_become_out_of_memory(
    error: Exception, network: VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    def features(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(network, "features", features)
    with pytest.raises(OutOfMemory) as raised:
        painted(network)
    assert raised.value.size == 64


def test_other_errors_of_torch_are_raised_unchanged(network: VGG19, monkeypatch: pytest.MonkeyPatch) -> None:
    def features(*_: object, **__: object) -> None:
        raise RuntimeError("expected scalar type Float but found Half")

    monkeypatch.setattr(network, "features", features)
    with pytest.raises(RuntimeError, match="scalar type"):
        painted(network)
