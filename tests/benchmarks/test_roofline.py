"""The arithmetic of ``python -m tests.benchmarks.roofline``, and one very small run of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import vgg19

from engine.losses.gram import gram_matrix
from engine.painting.pyramid import scales
from engine.recipe import Recipe
from tests.benchmarks import parts
from tests.benchmarks.flop import convolutions, of_step
from tests.benchmarks.kernels import Kernels, Timing
from tests.benchmarks.roofline import MODULE, steps_for


@pytest.mark.parametrize(("last", "modules"), [("relu1_1", 2), ("conv3_2", 13), ("relu4_2", 23), ("relu5_1", 30)])
def test_convolutions_count_as_torch_counts_them(last: str, modules: int) -> None:
    """Over torchvision's own network up to that layer, with odd sides, and the gradient of the picture."""
    network = vgg19(weights=None).features[:modules].requires_grad_(requires_grad=False)
    image = torch.rand(1, 3, 50, 70, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        network(image).sum().backward()

    counted = of_step(70, 50, [last], [])

    assert counted.convolutions == counter.get_total_flops()
    assert counted.forward == counted.backward


def test_a_step_at_512_needs_what_is_known_of_it() -> None:
    """95 GMAC to relu5_1, by others' count."""
    recipe = Recipe()

    flop = of_step(512, 512, recipe.content_layers, recipe.style_layers)

    assert flop.forward / 2 == pytest.approx(95e9, rel=0.01)


def test_a_gram_matrix_counts_as_torch_counts_it() -> None:
    """But for the gradient: torch's own multiplies twice, where one product of a symmetric matrix does."""
    features = torch.rand(1, 128, 12, 16)
    with FlopCounterMode(display=False) as counter:
        gram_matrix(features)

    assert of_step(32, 24, ["relu1_1"], ["relu2_1"]).gram == 2 * counter.get_total_flops()


def test_layers_are_those_of_the_network() -> None:
    found = convolutions(512, 384, "relu5_1")

    assert [each.name for each in found][-2:] == ["conv4_4", "conv5_1"]
    assert len(found) == 13
    assert (found[-1].inputs, found[-1].outputs, found[-1].width, found[-1].height) == (512, 512, 32, 24)


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="relu6_1"):
        convolutions(64, 64, "relu6_1")


def test_layers_of_one_shape_share_a_measurement() -> None:
    kernels = Kernels(convolutions(32, 32, "relu3_4"), torch.device("cpu"), torch.float32)
    kernels.measure()
    kernels.measure()

    third, fourth = (kernels.timing(kernels.convolutions[index], "forward") for index in (-2, -1))
    assert third is fourth
    assert len(third.seconds) == 2
    assert all(timing.best > 0 for timing in kernels.timings.values())


def test_all_convolutions_alone_take_as_long_as_their_bests_together() -> None:
    kernels = Kernels(convolutions(32, 32, "relu3_4"), torch.device("cpu"), torch.float32)
    for index, (key, flop) in enumerate(
        ((each.name, direction), each.flop) for each in kernels.convolutions for direction in ("forward", "backward")
    ):
        kernels.timings[key] = Timing(flop, [9.0, 1.0 + index])  # type: ignore[index]

    names = [(each.name, direction) for each in kernels.convolutions for direction in ("forward", "backward")]
    bests = {name: min(9.0, 1.0 + index) for index, name in enumerate(names)}
    bests |= {
        ("conv3_3", "forward"): bests["conv3_2", "forward"],
        ("conv3_3", "backward"): bests["conv3_2", "backward"],
    }
    bests |= {
        ("conv3_4", "forward"): bests["conv3_2", "forward"],
        ("conv3_4", "backward"): bests["conv3_2", "backward"],
    }
    assert kernels.at_best() == pytest.approx(sum(bests.values()))


def test_the_peak_is_the_fastest_and_never_the_convolution_of_the_image() -> None:
    kernels = Kernels(convolutions(32, 32, "relu1_2"), torch.device("cpu"), torch.float32)
    kernels.timings = {
        ("conv1_1", "forward"): Timing(100, [1e-3]),
        ("conv1_2", "forward"): Timing(100, [4.0, 2.0]),
        ("conv1_2", "backward"): Timing(100, [5.0, 2.5]),
    }

    assert kernels.peak.rate == 50


def test_every_part_of_a_step_is_found_by_the_profiler() -> None:
    """A step in small, whose operations are known."""
    weight = torch.rand(8, 3, 3, 3)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    optimiser = torch.optim.Adam([image])
    with parts.profiler(torch.device("cpu")) as profile:
        features = F.max_pool2d(F.relu(F.conv2d(image, weight)), 2)
        gram_matrix(features.to(torch.bfloat16)).square().sum().backward()
        optimiser.step()
    events = list(profile.events() or [])

    found = parts.grouped(events, on_device=False)

    assert set(found) == set(parts.PARTS)
    assert all(seconds > 0 for seconds in found.values())
    assert sum(found.values()) == pytest.approx(sum(parts.by_operation(events, on_device=False).values()))


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["aten::mkldnn_convolution", "aten::_convolution", "aten::conv2d"], parts.FORWARD),
        (["aten::copy_", "aten::contiguous", "aten::mkldnn_convolution"], parts.FORWARD),
        (["mkldnn::_convolution_pointwise"], parts.FORWARD),
        (["aten::convolution_backward", "ConvolutionBackward0"], parts.BACKWARD),
        (["aten::mkldnn_convolution", "CheckpointFunctionBackward"], parts.BACKWARD),
        (["aten::copy_", "ToCopyBackward0", "autograd::engine::evaluate_function: ConvolutionBackward0"], parts.COPIES),
        (["aten::threshold_backward", "ReluBackward0"], parts.ACTIVATION),
        (["aten::max_pool2d_with_indices_backward"], parts.ACTIVATION),
        (["aten::bmm", "_GramBackward"], parts.GRAM),
        (["aten::copy_", "aten::to", "_GramMatrix"], parts.GRAM),
        (["aten::mm", "aten::matmul"], parts.GRAM),
        (["aten::sqrt", "Optimizer.step#Adam.step"], parts.OPTIMISER),
        (["aten::copy_", "aten::_to_copy"], parts.COPIES),
        (["aten::sum"], parts.REST),
    ],
)
def test_an_operation_belongs_to_one_part(names: list[str], part: str) -> None:
    assert parts.part_of(names) == part


@pytest.mark.parametrize("size", [64, 512, 1024, 2048])
def test_so_many_steps_are_ordered_that_enough_are_at_the_full_size(size: int) -> None:
    assert scales(size, steps_for(size, 7))[-1].steps == 7


@pytest.mark.slow
def test_a_small_run_writes_what_it_found(tmp_path: Path) -> None:
    """In a process of its own: it tells the C library what to do with freed memory."""
    out = tmp_path / "roofline.json"
    options = [
        "--size",
        "64",
        "--rounds",
        "1",
        "--steps",
        "2",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--precision",
        "float32",
    ]

    command = [sys.executable, "-m", MODULE, *options, "--json", str(out)]
    ended = subprocess.run(command, env=os.environ | {"COLUMNS": "200"}, capture_output=True, check=True)

    told = json.loads(out.read_text())
    found = told["sizes"]["64"]
    flop = of_step(64, 48, ["relu4_2"], ["relu5_1"]).convolutions
    assert (found["width"], found["height"], found["steps"]) == (64, 48, 2)
    assert found["share"] == pytest.approx(flop / found["step_best"] / told["peak"])
    assert found["share_median"] <= found["share"]
    assert told["peak"] == pytest.approx(
        1e9 * max(max(layer["forward"], layer["backward"]) for layer in found["layers"][1:])
    )
    assert found["parts"][parts.BACKWARD] > 0
    assert told["machine"]["precision"] == "float32"
    assert b"share of the peak" in ended.stdout


def test_a_network_of_torch_s_is_what_is_counted() -> None:
    """Every convolution of VGG19 is 3×3 with stride 1 and keeps the size, as the count assumes."""
    for module in vgg19(weights=None).features:
        if isinstance(module, nn.Conv2d):
            assert (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
