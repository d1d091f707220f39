"""One network for all tests of the engine: loading it takes longer than most tests."""

import pytest
import torch

from engine.painting import pyramid
from engine.vgg.vgg19 import VGG19, load_cached
from tests.engine.painted import narrow_network


@pytest.fixture(scope="session")
def network() -> VGG19:
    """The original weights on the CPU, in full precision."""
    return load_cached("embedded", torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session")
def narrow() -> VGG19:
    """A network whose step takes a tenth of the time, for tests that don't depend on the look of the painting."""
    return narrow_network(torch.float32)


@pytest.fixture(autouse=True)
def threads() -> None:
    """One before each test: pictures this small gain nothing from more, and sums keep their order."""
    torch.set_num_threads(1)


@pytest.fixture
def two_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures go through 34 and 64 pixels, as large ones do through 272 and 512."""
    monkeypatch.setattr(pyramid, "COARSEST", 32)
