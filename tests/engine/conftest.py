"""One network for all tests of the engine: loading it takes longer than most of them."""

from collections.abc import Iterator

import pytest
import torch
from dask.system import CPU_COUNT

from engine.vgg19 import VGG19, resident


@pytest.fixture(scope="session")
def network() -> VGG19:
    """The original weights on the CPU, in full precision."""
    return resident("embedded", torch.device("cpu"), torch.float32)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many threads before each test as a worker uses: how many there are decides the last bits of a sum."""
    torch.set_num_threads(CPU_COUNT)
    yield
    torch.set_num_threads(CPU_COUNT)
