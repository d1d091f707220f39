"""Painting by a network."""

import numpy as np
import pytest
import torch
from PIL import Image

from engine.images.codec import Picture
from engine.networks import painting
from engine.networks.file import NetworkFile
from engine.painting.checkpoint import FinalState, from_bytes
from engine.painting.options import RunOptions
from engine.recipe import Recipe
from engine.runtime.devices import Compute
from tests.engine.images import corpus
from tests.engine.painted import Painted, SavedStates, drained

HERE = Compute(torch.device("cpu"), torch.float32)
SCENE = corpus.scene(96, 64)
CONTENT = Picture(SCENE)


def painted(file: NetworkFile, content: Picture = CONTENT, **fields: object) -> Painted:
    recipe = Recipe.model_validate({"size": 96, "method": "instant"} | fields)
    saved = SavedStates()
    network = painting.loaded(file.only(0).write(), HERE.device)
    done = drained(painting.paint(content, None, recipe, network, HERE, RunOptions(save=saved.save)))
    assert done.result.checkpoint is not None
    assert from_bytes(saved.last, FinalState).image.shape[-2:] == (done.image.height, done.image.width)
    return done


def test_the_options_have_their_meaning(file: NetworkFile) -> None:
    usual = painted(file)
    assert usual.image.size == (96, 64)
    assert usual.result.steps == usual.events[-1].steps == 1
    assert np.abs(usual.pixels - np.asarray(SCENE, dtype=float)).mean() > 5
    assert np.array_equal(painted(file, strength=0).pixels, np.asarray(SCENE, dtype=float))
    assert np.array_equal(painted(file, strength=80).pixels, usual.pixels)
    half = painted(file, strength=25).pixels
    assert np.abs(half - (usual.pixels + np.asarray(SCENE)) / 2).max() <= 1
    assert painted(file, stroke=2).image.size == painted(file, stroke=0.5).image.size == (96, 64)
    for option in ({"stroke": 2}, {"stroke": 0.5}, {"colours": "content"}, {"colours": "matched"}):
        assert not np.array_equal(painted(file, **option).pixels, usual.pixels)


def test_transparency_is_kept(file: NetworkFile) -> None:
    alpha = Image.new("L", SCENE.size, 77)
    done = painted(file, Picture(SCENE, alpha))
    assert done.image.getchannel("A").getextrema() == (77, 77)
    assert done.result.thumbnail


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"strength": 20}, True),
        ({"strength": 51}, False),
        ({"method": "gatys"}, False),
        ({"detail": 10}, False),
        ({"continues": "0" * 64}, False),
    ],
)
def test_a_network_paints_what_it_learned(fields: dict[str, object], expected: bool, file: NetworkFile) -> None:
    data = file.only(0).write()
    recipe = Recipe.model_validate({"method": "instant"} | fields)
    assert painting.paints(recipe, [data]) is expected
    assert not painting.paints(recipe, [data, data])
    assert not painting.paints(recipe, [file.pictures[0]])
