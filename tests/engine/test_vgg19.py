"""The bank of features: what it computes, where it stops, and how it is interrupted."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.recipe import Layer
from engine.vgg19 import VGG19, resident

CONFIGURATION = {1: [64] * 2, 2: [128] * 2, 3: [256] * 4, 4: [512] * 4, 5: [512] * 4}
"""Column E of the paper's table 1: channels of the convolutions of each block; pooling between the blocks."""


class Operations(TorchDispatchMode):
    """Counts what torch really computes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counted[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


class Interrupted(Exception):
    """What a hook of these tests raises."""


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(2))


def names() -> Iterator[tuple[str, int, int]]:
    for block, channels in CONFIGURATION.items():
        for number, each in enumerate(channels, 1):
            yield f"relu{block}_{number}", each, 2 ** (block - 1)


def test_each_layer_has_the_papers_name_channels_and_size(network: VGG19, image: Tensor) -> None:
    found = network.features(image, get_args(Layer))
    assert {name: tuple(each.shape) for name, each in found.items()} == {
        name: (1, channels, 48 // halved, 64 // halved) for name, channels, halved in names()
    }
    assert all(each.min() >= 0 for each in found.values())
    assert all(each.max() > 0 for each in found.values())


def test_a_layer_is_the_same_whatever_else_is_wanted(network: VGG19, image: Tensor) -> None:
    together = network.features(image, get_args(Layer))
    for layer in ("relu1_1", "relu3_2", "relu4_4"):
        assert torch.equal(network.features(image, [layer])[layer], together[layer])


@pytest.mark.parametrize(
    ("layers", "convolutions", "poolings"),
    [(["relu1_1"], 1, 0), (["relu2_1"], 3, 1), (["relu4_2", "relu1_1"], 10, 3), (["relu5_4"], 16, 4)],
)
def test_no_layer_beyond_the_last_wanted_one_is_computed(
    layers: list[Layer], convolutions: int, poolings: int, network: VGG19, image: Tensor
) -> None:
    with Operations() as operations:
        assert set(network.features(image, layers)) == set(layers)
    assert operations.counted["convolution"] == convolutions
    assert operations.counted["max_pool2d_with_indices"] + operations.counted["max_pool2d"] == poolings


def test_a_layer_that_vgg19_lacks_is_refused(network: VGG19, image: Tensor) -> None:
    with pytest.raises(ValueError, match="relu6_1"):
        network.features(image, ["relu6_1"])  # type: ignore[list-item]


# --- Interruption ---


def test_the_hook_is_called_all_along_forwards_and_backwards(network: VGG19, image: Tensor) -> None:
    calls: list[None] = []
    found = network.features(image.requires_grad_(), ["relu5_1"], lambda: calls.append(None))
    forwards = len(calls)
    assert forwards >= 12
    found["relu5_1"].sum().backward()
    assert len(calls) - forwards >= 12


@pytest.mark.parametrize("call", [1, 6, 14, 20, 25])
def test_what_the_hook_raises_ends_the_computation_there(call: int, network: VGG19, image: Tensor) -> None:
    calls = 0

    def hook() -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Interrupted

    def step() -> None:
        network.features(image.requires_grad_(), ["relu5_1"], hook)["relu5_1"].sum().backward()

    with pytest.raises(Interrupted):
        step()
    assert calls == call
    assert image.grad is None


def test_an_interrupted_network_computes_as_before(network: VGG19, image: Tensor) -> None:
    def hook() -> None:
        raise Interrupted

    before = network.features(image, ["relu3_1"])["relu3_1"]
    with pytest.raises(Interrupted):
        network.features(image, ["relu3_1"], hook)
    assert torch.equal(network.features(image, ["relu3_1"])["relu3_1"], before)


# --- Precision ---


@pytest.mark.parametrize("layer", ["relu1_1", "relu2_1", "relu4_2", "relu5_1"])
def test_bfloat16_is_close_to_float32(layer: Layer, network: VGG19, image: Tensor) -> None:
    short = resident("embedded", torch.device("cpu"), torch.bfloat16).features(image, [layer])[layer]
    full = network.features(image, [layer])[layer]
    assert short.dtype == torch.bfloat16
    assert full.dtype == torch.float32
    assert 0 < (short.float() - full).norm() < 0.03 * full.norm()


def test_a_difference_that_bfloat16_can_not_hold_still_reaches_the_network() -> None:
    network = resident("embedded", torch.device("cpu"), torch.bfloat16)
    image = torch.full((1, 3, 32, 32), 0.75)
    nudged = image.clone()
    nudged[..., ::2] += 1 / 1024  # a quarter of what bfloat16 tells apart near 0.75
    assert torch.equal(image.bfloat16(), nudged.bfloat16())
    one, other = (network.features(each, ["relu1_1"])["relu1_1"] for each in (image, nudged))
    assert not torch.equal(one, other)


# --- Edges ---


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_plain_picture_has_no_edges_to_the_first_layer(grey: float, network: VGG19) -> None:
    found = network.features(torch.full((1, 3, 24, 24), grey), ["relu1_1"])["relu1_1"]
    inner = found[..., 12:13, 12:13].expand_as(found)
    torch.testing.assert_close(found, inner, rtol=1e-4, atol=1e-3)


# --- Residence ---


def test_the_network_is_loaded_once(network: VGG19) -> None:
    assert resident("embedded", torch.device("cpu"), torch.float32) is network


def test_the_smallest_picture_reaches_the_deepest_layer(network: VGG19) -> None:
    assert network.features(torch.zeros(1, 3, 16, 16), ["relu5_4"])["relu5_4"].shape == (1, 512, 1, 1)
