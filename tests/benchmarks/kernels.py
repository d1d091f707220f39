"""The speed of each of VGG19's convolutions on this machine, and of plain matrix products."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tests.benchmarks.flop import Convolution
from tests.benchmarks.machine import Clock

Direction = Literal["forward", "backward"]
SHORTEST: Final = 0.002
"""The shortest measurement, in seconds: a kernel of a GPU is shorter than its launch."""
MATRIX: Final = 2048
"""Rows and columns of the product that is measured for comparison."""


@dataclass(slots=True)
class Timing:
    """All measurements of one piece of work, in seconds."""

    flop: int
    seconds: list[float] = field(default_factory=list)

    @property
    def best(self) -> float:
        """The least, which is the least disturbed."""
        return min(self.seconds)

    @property
    def rate(self) -> float:
        """FLOP/s at best."""
        return self.flop / self.best


class Kernels:
    """The different convolutions of a step, forward and backward, ready to be measured again and again."""

    def __init__(
        self, convolutions: Sequence[Convolution], device: torch.device, dtype: torch.dtype, clock: Clock = perf_counter
    ) -> None:
        """``dtype`` is the step's; the convolution of the image is left to float32, as the engine does."""
        self.device = device
        self.dtype = dtype
        self.clock = clock
        self.convolutions = convolutions
        self.timings: dict[tuple[str, Direction], Timing] = {}
        shapes: dict[tuple[int, int, int, int], str] = {}
        self._measured_as = {
            each.name: shapes.setdefault((each.inputs, each.outputs, each.width, each.height), each.name)
            for each in convolutions
        }
        largest = max(max(each.inputs, each.outputs) * each.width * each.height for each in convolutions)
        self._pool = {kind: torch.rand(largest, device=device).to(kind) for kind in {dtype, torch.float32}}
        """Random input, because products of zeros may be cheaper."""

    def measure(self) -> None:
        """Time each once more."""
        for each in self.convolutions:
            if self._measured_as[each.name] == each.name:
                for direction, run in self._work(each):
                    timing = self.timings.setdefault((each.name, direction), Timing(each.flop))
                    timing.seconds.append(seconds(run, self.device, self.clock))

    def timing(self, convolution: Convolution, direction: Direction) -> Timing:
        """What was measured, of this layer or of another of the same shape."""
        return self.timings[self._measured_as[convolution.name], direction]

    def at_best(self) -> float:
        """Seconds that all convolutions of a step take together, forward and backward, each at its best."""
        return sum(
            self.timing(each, direction).best for each in self.convolutions for direction in ("forward", "backward")
        )

    @property
    def peak(self) -> Timing:
        """The fastest of all but the image's."""
        return max(
            (timing for (name, _), timing in self.timings.items() if name != "conv1_1"), key=lambda timing: timing.rate
        )

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
    """What autograd calls for a convolution with frozen weights."""
    found: tuple[Tensor, Tensor | None, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient, image, weight, [weight.shape[0]], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False]
    )
    return found[0]


class Product:
    """A matrix product of :data:`MATRIX` rows and columns."""

    def __init__(self, device: torch.device, dtype: torch.dtype, clock: Clock = perf_counter) -> None:
        self.device = device
        self.clock = clock
        self._left, self._right = (torch.rand(MATRIX, MATRIX, device=device).to(dtype) for _ in range(2))
        self.timing = Timing(2 * MATRIX**3)

    def measure(self) -> None:
        """Time it once more."""
        self.timing.seconds.append(seconds(lambda: self._left @ self._right, self.device, self.clock))


def seconds(run: Callable[[], object], device: torch.device, clock: Clock) -> float:
    """How long ``run`` takes, after one call that warms up; the mean of several where it is short."""
    _finished(run, 1, device, clock)
    once = _finished(run, 1, device, clock)
    times = 1 + int(SHORTEST / once)
    return once if times == 1 else _finished(run, times, device, clock) / times


def _finished(run: Callable[[], object], times: int, device: torch.device, clock: Clock) -> float:
    began = clock()
    for _ in range(times):
        run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - began
