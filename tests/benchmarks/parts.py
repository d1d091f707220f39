"""The parts of a step's time, by torch's profiler and a grouping of its operations."""

import os
from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

FORWARD: Final = "convolutions, forward"
BACKWARD: Final = "convolutions, backward"
ACTIVATION: Final = "activation and pooling"
GRAM: Final = "Gram matrices"
COPIES: Final = "casts and copies"
REST: Final = "the rest"
PARTS: Final = (FORWARD, BACKWARD, ACTIVATION, GRAM, COPIES, REST)

_BLOCK: Final = "_differentiable"
"""What the profiler calls :mod:`engine.vgg.block` and, with another word, its gradient."""
_CONVOLUTION: Final = ("conv",)
_PRODUCTS: Final = ("::mm", "::bmm", "::addmm", "::baddbmm", "::matmul", "::linear", "::_linear", "::einsum")
_ACTIVATIONS: Final = ("relu", "clamp_min", "threshold", "pool")
_COPIES: Final = ("::copy", "::_to_copy", "::to", "::clone", "::contiguous", "::fill", "::zero", "::cat", "::_reshape")


def part_of(names: Iterable[str]) -> str:
    """The part that an operation belongs to, one of :data:`PARTS`.

    Args:
        names: its name, then the names of its callers, from the innermost.

    A convolution that autograd calls counts as backward, even a forward one that is recomputed to save memory. Matrix
    products within a block of VGG19 are those of convolutions by Winograd's method; the others belong to Gram matrices.
    """
    own, *above = (name.lower() for name in names)
    path = [own, *above]
    if _any(path, _PRODUCTS) and _any(path, (_BLOCK,)):
        return BACKWARD if _any(path, ("backward",)) else FORWARD
    if _any(path, ("gram",)) or _any(path, _PRODUCTS):
        return GRAM
    if _any(path, _ACTIVATIONS):
        return ACTIVATION
    if _any([each for each in path if not each.startswith("autograd::")], _CONVOLUTION):
        return BACKWARD if _any(path, ("backward",)) else FORWARD
    return COPIES if _any([own], _COPIES) else REST


def _any(names: Iterable[str], fragments: tuple[str, ...]) -> bool:
    return any(fragment in name for name in names for fragment in fragments)


def grouped(events: Iterable[FunctionEvent], *, on_device: bool) -> dict[str, float]:
    """Seconds of each of the parts; of the device's kernels if ``on_device``."""
    found = dict.fromkeys(PARTS, 0.0)
    for event in events:
        own = event.self_device_time_total if on_device else event.self_cpu_time_total
        found[part_of(_path(event))] += own / 1e6
    return found


def _path(event: FunctionEvent) -> Iterable[str]:
    above: FunctionEvent | None = event
    while above is not None:
        yield above.name
        above = above.cpu_parent


def least(steps: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The minimum of each part over several steps, which leaves out the time of other processes."""
    several = list(steps)
    return {part: min(step[part] for step in several) for part in PARTS}


def profiler(device: torch.device) -> profile:
    """A context manager, whose ``events()`` are for :func:`grouped`."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else it reports its coming and going, and that there is no GPU
    if device.type == "cuda":
        return profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])
    return profile(activities=[ProfilerActivity.CPU])
