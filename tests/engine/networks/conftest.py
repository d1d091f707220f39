"""A small network that was trained for four steps on small squares."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.images.codec import Picture
from engine.networks.file import NetworkFile
from engine.networks.network import StyleNetwork
from engine.networks.photos import Photos
from engine.networks.plan import Plan
from engine.networks.training import Training
from engine.vgg.vgg19 import VGG19
from tests.engine.images import corpus
from tests.engine.networks.made import file_of

PLAN = Plan(steps=4, batch=2, crop=64, widths=(8, 8))
STYLES = (corpus.stripes(96, 80), corpus.scene(64, 64))


def training(network: VGG19, base: StyleNetwork | None = None, **fields: Any) -> Training:
    photos = Photos([corpus.scene(96, 64)])
    return Training([Picture(each) for each in STYLES], photos, replace(PLAN, **fields), network, base)


@pytest.fixture(scope="session")
def finished(narrow: VGG19) -> Training:
    torch.set_num_threads(1)  # as before each test: sums keep their order
    done = training(narrow)
    while done.done < 1:
        done.step()
    return done


@pytest.fixture(scope="session")
def file(finished: Training) -> NetworkFile:
    return file_of(finished.network, finished.styles)
