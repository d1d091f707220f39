"""The arithmetic of ``python -m tests.benchmarks.roofline``, and one very small run of it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg19

from engine.losses.gram import gram_matrix
from engine.painting.pyramid import scales
from engine.runtime.devices import choose
from tests.benchmarks import parts
from tests.benchmarks.kernels import Kernels, convolutions, flop_of_step
from tests.benchmarks.machine import CONTENT, STYLE
from tests.benchmarks.roofline import measure, steps_for


@pytest.mark.parametrize(("last", "modules"), [("relu1_1", 2), ("conv3_2", 13), ("relu5_1", 30)])
def test_the_operations_of_convolutions_are_counted_as_torch_counts_them(last: str, modules: int) -> None:
    """For torchvision's network up to that layer, with the gradient of the picture."""
    network = vgg19(weights=None).features[:modules].requires_grad_(requires_grad=False)
    image = torch.rand(1, 3, 50, 70, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        network(image).sum().backward()

    assert flop_of_step(convolutions(70, 50, last)) == counter.get_total_flops()


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="relu6_1"):
        convolutions(64, 64, "relu6_1")


def test_the_peak_is_the_best_rate_of_all_convolutions_except_the_first() -> None:
    kernels = Kernels(convolutions(32, 32, "relu1_2"), torch.device("cpu"), torch.float32)
    kernels.measure()
    kernels.best |= {("conv1_1", "forward"): 1e-9, ("conv1_2", "forward"): 2.0, ("conv1_2", "backward"): 2.5}
    assert kernels.peak == 2 * 9 * 64 * 64 * 32 * 32 / 2.0

    kernels.measure()
    assert kernels.best["conv1_1", "forward"] == 1e-9
    assert kernels.best["conv1_2", "forward"] < 2.0


def test_the_profiler_finds_every_part_of_a_step() -> None:
    """A small step whose operations are known."""
    weight = torch.rand(8, 3, 3, 3)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    with parts.profiler(torch.device("cpu")) as profile:
        features = F.max_pool2d(F.relu(F.conv2d(image, weight)), 2)
        gram_matrix(features.to(torch.bfloat16)).square().sum().backward()

    found = parts.grouped(profile.events() or [], on_device=False)

    assert set(found) == set(parts.PARTS)
    assert all(seconds > 0 for seconds in found.values())


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["aten::copy_", "aten::contiguous", "aten::mkldnn_convolution"], parts.FORWARD),
        (["mkldnn::_convolution_pointwise"], parts.FORWARD),
        (["aten::convolution_backward", "ConvolutionBackward0"], parts.BACKWARD),
        (["aten::mkldnn_convolution", "CheckpointFunctionBackward"], parts.BACKWARD),
        (["aten::copy_", "ToCopyBackward0", "autograd::engine::evaluate_function: ConvolutionBackward0"], parts.COPIES),
        (["aten::threshold_backward", "ReluBackward0"], parts.ACTIVATION),
        (["aten::max_pool2d_with_indices_backward"], parts.ACTIVATION),
        (["aten::bmm", "_GramBackward"], parts.GRAM),
        (["aten::copy_", "aten::to", "_GramMatrix"], parts.GRAM),
        (["aten::sum"], parts.REST),
    ],
)
def test_an_operation_belongs_to_one_part(names: list[str], part: str) -> None:
    assert parts.part_of(names) == part


@pytest.mark.parametrize("size", [64, 512, 2048])
def test_the_total_number_of_steps_gives_the_requested_number_at_the_full_size(size: int) -> None:
    assert scales(size, steps_for(size, 7))[-1].steps == 7


@pytest.mark.slow
def test_a_small_painting_is_measured() -> None:
    found = measure(CONTENT, STYLE, 64, choose("cpu", "float32"), rounds=1, steps=2)

    assert (found.width, found.height) == (64, 48)
    assert found.flop == flop_of_step(convolutions(64, 48, "relu5_1"))
    assert 0 < found.share(found.kernels.peak) < 1
    assert found.parts[parts.BACKWARD] > 0


def test_every_convolution_of_torchs_vgg19_has_the_assumed_form() -> None:
    """Every convolution of VGG19 is 3×3 with stride 1 and keeps the size, as the count assumes."""
    for module in vgg19(weights=None).features:
        if isinstance(module, nn.Conv2d):
            assert (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
