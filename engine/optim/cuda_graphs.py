"""CUDA graphs: record a step of constant shapes once, and replay it without Python between its kernels."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")

WARM_UP: Final = 3
"""The number of runs before the recording. cuDNN chooses its algorithms in them, and the allocator its blocks."""


def replayed(
    step: Callable[[], Outcome], state: Callable[[], Sequence[Tensor]], device: torch.device
) -> Callable[[], Outcome]:
    """On a GPU, a function that replays a recording of ``step``, made at the first call; elsewhere ``step``.

    Args:
        step: works in place on tensors that keep their addresses, copies no value to the host, and returns tensors.
            Each replay overwrites the tensors that the recording returned.
        state: gives the tensors that ``step`` changes, always in the same order. Called after the first run, which may
            create some of them.
        device: the device of all tensors.
    """
    if device.type != "cuda":
        return step
    recorded: list[Callable[[], Outcome]] = []

    def first_or_replay() -> Outcome:
        if not recorded:
            outcome = step()  # not recorded: it creates the state that warm-up and recording must not change
            try:
                recorded.append(_recorded(step, state()))
            except RuntimeError as error:
                log.warning("a step can't be recorded as a CUDA graph, it runs without one: %s", error)
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
