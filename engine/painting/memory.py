"""Painting with too little memory: recognise the shortage, and go on at a smaller size."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import torch

from engine.errors import OutOfMemory
from engine.painting.pyramid import Scale
from engine.recipe import SMALLEST_SIZE

_MESSAGES: Final = ("allocate memory", "could not create a memory", "could not create a primitive")
"""Parts of the messages of torch's CPU allocator, and of oneDNN for its buffers and its generated code."""


@contextmanager
def out_of_memory(size: int) -> Iterator[None]:
    """Turn the errors of all allocators into :class:`OutOfMemory` for a painting of ``size`` pixels."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(size) from error
    except RuntimeError as error:  # the allocators of a CPU have no exception class of their own
        if any(message in str(error) for message in _MESSAGES):
            raise OutOfMemory(size) from error
        raise


def smaller_size(scales: Sequence[Scale], index: int) -> int | None:
    """The size to try after the scale at ``index`` did not fit: half of its pixels, or the size of the scale before.

    The larger of the two, as the scale before did fit; None where that is not smaller.
    """
    before = scales[index - 1].size if index else SMALLEST_SIZE
    smaller = max(before, round(scales[index].size / math.sqrt(2)))
    return smaller if smaller < scales[index].size else None


def shrunk(scales: Sequence[Scale], index: int, size: int) -> tuple[Scale, ...]:
    """Make the scale at ``index`` the last one, at ``size``, with the steps of all scales from there on."""
    steps = sum(scale.steps for scale in scales[index:])
    return (*scales[:index], replace(scales[index], size=size, steps=steps, style_factor=1.0))
