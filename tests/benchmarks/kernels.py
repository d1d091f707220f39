"""VGG19's convolutions: how many floating-point operations each needs, and how long each takes alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import vgg19

Direction = Literal["forward", "backward"]
DIRECTIONS: Final[tuple[Direction, Direction]] = ("forward", "backward")
SHORTEST: Final = 0.002
"""The shortest measurement, in seconds: a kernel of a GPU is shorter than its launch."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """A 3×3 convolution of stride 1 that keeps the size, like all convolutions of VGG19."""

    name: str
    """Such as ``conv3_1``."""
    inputs: int
    outputs: int
    """Channels."""
    width: int
    height: int

    @property
    def flop(self) -> int:
        """The operations of the forward pass without the bias, where a multiplication and an addition are two. The
        gradient of the input needs as many.
        """
        return 2 * 9 * self.inputs * self.outputs * self.width * self.height


def convolutions(width: int, height: int, last: str) -> list[Convolution]:
    """VGG19's convolutions for a picture of ``width`` × ``height``, up to the layer ``last`` (``relu5_1`` or such)."""
    with torch.device("meta"):
        modules = vgg19(weights=None).features
    found: list[Convolution] = []
    block, number = 1, 1
    for module in modules:
        if isinstance(module, nn.Conv2d):
            name = f"conv{block}_{number}"
            found.append(Convolution(name, module.in_channels, module.out_channels, width, height))
            if last.removeprefix("relu").removeprefix("conv") == f"{block}_{number}":
                return found
            number += 1
        elif isinstance(module, nn.MaxPool2d):
            width, height = width // 2, height // 2
            block, number = block + 1, 1
    raise ValueError(f"VGG19 has no layer {last}")


def flop_of_step(convolutions: Sequence[Convolution]) -> int:
    """The operations that a step *needs*, forward and backward. Recomputation that saves memory does not count.

    Weights are frozen, so they have no gradients.
    """
    return 2 * sum(each.flop for each in convolutions)


class Kernels:
    """The different convolutions of a step, forward and backward. They can be measured repeatedly."""

    def __init__(self, convolutions: Sequence[Convolution], device: torch.device, dtype: torch.dtype) -> None:
        """``dtype`` is that of the step. The convolution of the image is in float32, as in the engine."""
        self.device = device
        self.dtype = dtype
        self.convolutions = convolutions
        self.best: dict[tuple[str, Direction], float] = {}
        """The least seconds of each, which are the least disturbed."""
        largest = max(max(each.inputs, each.outputs) * each.width * each.height for each in convolutions)
        self._pool = {kind: torch.rand(largest, device=device).to(kind) for kind in {dtype, torch.float32}}
        """Random input, because products of zeros may be cheaper."""

    def measure(self) -> None:
        """Measure each convolution once more."""
        for each in self.convolutions:
            for direction, run in self._work(each):
                before = self.best.get((each.name, direction), float("inf"))
                self.best[each.name, direction] = min(before, seconds(run, self.device))

    def rate(self, convolution: Convolution, direction: Direction) -> float:
        """The highest FLOP/s that were measured."""
        return convolution.flop / self.best[convolution.name, direction]

    @property
    def peak(self) -> float:
        """FLOP/s of the fastest convolution, not counting that of the image."""
        return max(self.rate(each, direction) for each in self.convolutions[1:] for direction in DIRECTIONS)

    def _work(self, convolution: Convolution) -> Iterator[tuple[Direction, Callable[[], object]]]:
        dtype = torch.float32 if convolution.name == "conv1_1" else self.dtype
        size = convolution.height, convolution.width
        image, gradient = (
            self._tensor(channels, *size, dtype) for channels in (convolution.inputs, convolution.outputs)
        )
        weight = torch.rand(convolution.outputs, convolution.inputs, 3, 3, device=self.device).sub_(0.5).to(dtype)
        weight = weight.contiguous(memory_format=torch.channels_last)
        bias = torch.rand(convolution.outputs, device=self.device).to(dtype)
        yield "forward", lambda: F.conv2d(image, weight, bias, padding=1)
        yield "backward", lambda: gradient_of_input(gradient, image, weight)

    def _tensor(self, channels: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
        """Shape (1, channels, height, width), channels last."""
        flat = self._pool[dtype][: channels * height * width]
        return flat.view(1, height, width, channels).permute(0, 3, 1, 2)


def gradient_of_input(gradient: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """The operation that autograd calls for a convolution with frozen weights."""
    found: tuple[Tensor, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, image, weight, [weight.shape[0]], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
    )
    return found[0]


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """The time that ``run`` takes after one warm-up call; for a short one, the mean of several calls."""
    _finished(run, 1, device)
    once = _finished(run, 1, device)
    times = 1 + int(SHORTEST / once)
    return once if times == 1 else _finished(run, times, device) / times


def _finished(run: Callable[[], object], times: int, device: torch.device) -> float:
    began = perf_counter()
    for _ in range(times):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter() - began
