"""CUDA graphs: a step whose shapes don't change is recorded once and replayed, without Python between its kernels."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

WARM_UP: Final = 3
"""Runs before the recording, in which cuDNN chooses its algorithms and the allocator finds its blocks."""


def replayed(
    step: Callable[[], Outcome], state: Callable[[], Sequence[Tensor]], device: torch.device
) -> Callable[[], Outcome]:
    """Give back what does the same as ``step``: on a GPU its recording, made at the first call, elsewhere itself.

    Args:
        step: works in place on tensors that stay where they are, reads no number back from the device, and returns
            tensors: each replay writes over the ones that the recording gave.
        state: the tensors that ``step`` changes, in an order of their own; more after a first run than before.
        device: where all of it happens.
    """
    if device.type != "cuda":
        return step
    recorded: list[Callable[[], Outcome]] = []

    def first_or_replay() -> Outcome:
        if not recorded:
            outcome = step()  # an honest step: it makes the state that recording and warming up must not change
            try:
                recorded.append(_recorded(step, state()))
            except RuntimeError as error:
                log.warning("a step can't be recorded as a CUDA graph, it runs without: %s", error)
                recorded.append(step)
            return outcome
        return recorded[0]()

    return first_or_replay


def _recorded(step: Callable[[], Outcome], state: Sequence[Tensor]) -> Callable[[], Outcome]:
    kept = [each.clone() for each in state]
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outcome = step()
    finally:
        with torch.no_grad():
            for each, value in zip(state, kept, strict=True):
                each.copy_(value)

    def replay() -> Outcome:
        graph.replay()
        return outcome

    return replay
