"""VGG19: what it computes, where it stops, and how it is interrupted."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, cast, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.models import vgg19

from engine.recipe import Layer, Pooling
from engine.runtime.devices import computes_bfloat16
from engine.vgg.convolution import runs_packed
from engine.vgg.vgg19 import VGG19, load_cached
from engine.vgg.weights import load
from engine.vgg.winograd import WinogradConvolution

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

    @property
    def convolutions(self) -> int:
        """A small one by Winograd's method has one ``bmm``."""
        return sum(self.counted[name] for name in ("convolution", "_convolution_pointwise", "bmm"))


class Interrupted(Exception):
    """What a hook of these tests raises."""


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(2))


def names() -> Iterator[tuple[str, int, int]]:
    for block, channels in CONFIGURATION.items():
        for number, each in enumerate(channels, 1):
            for kind in ("conv", "relu"):
                yield f"{kind}{block}_{number}", each, 2 ** (block - 1)


def test_each_layer_has_the_papers_name_channels_and_size(network: VGG19, image: Tensor) -> None:
    found = network.features(image, get_args(Layer))
    assert {name: tuple(each.shape) for name, each in found.items()} == {
        name: (1, channels, 48 // halved, 64 // halved) for name, channels, halved in names()
    }
    assert all(each.max() > 0 for each in found.values())
    for name, each in found.items():
        assert (each.min() < 0) == name.startswith("conv")
        if name.startswith("conv"):
            rectified = found[cast(Layer, name.replace("conv", "relu"))]
            assert torch.equal(rectified, each.clamp(min=0))


def test_a_layer_does_not_depend_on_the_other_requested_layers(network: VGG19, image: Tensor) -> None:
    together = network.features(image, get_args(Layer))
    for layer in ("relu1_1", "conv2_1", "relu3_2", "conv3_2", "relu4_4", "conv5_4"):
        assert torch.equal(network.features(image, [layer])[layer], together[layer])


@pytest.mark.parametrize(
    ("layers", "convolutions", "poolings"),
    [
        (["relu1_1"], 1, 0),
        (["relu2_1"], 3, 1),
        (["relu2_2"], 4, 1),
        (["conv3_1", "relu3_1"], 5, 2),
        (["relu4_2", "relu1_1"], 10, 3),
        (["relu5_4"], 16, 4),
    ],
)
@pytest.mark.parametrize("recompute", [False, True])
def test_no_layer_after_the_last_requested_one_is_computed(
    layers: list[Layer], convolutions: int, poolings: int, recompute: bool, network: VGG19, image: Tensor
) -> None:
    with Operations() as operations:
        assert set(network.features(image.requires_grad_(), layers, recompute=recompute)) == set(layers)
    assert operations.convolutions == convolutions
    assert operations.counted["max_pool2d_with_indices"] + operations.counted["max_pool2d"] == poolings


def test_an_unknown_layer_is_refused(network: VGG19, image: Tensor) -> None:
    with pytest.raises(ValueError, match="relu6_1"):
        network.features(image, ["relu6_1"])  # type: ignore[list-item]


def test_a_convolution_has_a_gradient_where_it_is_negative(network: VGG19, image: Tensor) -> None:
    """The next layer does not rectify it in place."""
    found = network.features(image.requires_grad_(), ["conv2_1", "relu2_1", "relu2_2"])
    negative = found["conv2_1"].detach() < 0
    (gradient,) = torch.autograd.grad((found["conv2_1"] * negative).sum(), image)
    assert gradient.abs().max() > 0


# --- Pooling ---


def peer(pooling: nn.Module) -> nn.Sequential:
    """The layers of torchvision with our weights, our padding of the first, and that pooling."""
    network = vgg19(weights=None).features
    network.load_state_dict(load("embedded"))
    network[0].padding_mode = "replicate"
    network[0]._reversed_padding_repeated_twice = [1, 1, 1, 1]
    layers = [pooling if isinstance(each, nn.MaxPool2d) else each for each in network]
    return nn.Sequential(*(nn.ReLU() if isinstance(each, nn.ReLU) else each for each in layers))


@pytest.mark.parametrize(("pooling", "module"), [("max", nn.MaxPool2d(2)), ("average", nn.AvgPool2d(2))])
def test_each_pooling_agrees_with_torchvisions_layers(
    pooling: Pooling, module: nn.Module, network: VGG19, image: Tensor
) -> None:
    places: dict[Layer, int] = {"relu1_2": 3, "conv2_1": 5, "relu3_1": 11, "conv4_2": 21, "relu5_1": 29}
    found = network.features(image, places.keys(), pooling=pooling)
    layers = peer(module)
    for name, at in places.items():
        with torch.no_grad():
            expected = layers[: at + 1](image)
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize(
    ("pooling", "module", "size"), [("max", nn.MaxPool2d(2), (33, 47)), ("average", nn.AvgPool2d(2), (50, 31))]
)
def test_the_gradient_is_that_of_torchvisions_layers(
    pooling: Pooling, module: nn.Module, size: tuple[int, int], network: VGG19
) -> None:
    """Also where sides are odd, where the layer before a pooling is wanted, and one before its rectification."""
    places: dict[Layer, int] = {"relu1_1": 1, "relu1_2": 3, "conv2_1": 5, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20}
    ours, theirs = (torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2)) for _ in range(2))
    found = network.features(ours.requires_grad_(), places, pooling=pooling)
    layers, given = peer(module), theirs.requires_grad_()
    expected: dict[Layer, Tensor] = {}
    for at, layer in enumerate(layers[: max(places.values()) + 1]):
        given = layer(given.clone())
        expected |= {name: given for name, place in places.items() if place == at}
    for each in (found, expected):
        torch.stack(
            [each[name].square().mean() / found[name].square().mean().detach() for name in places]
        ).sum().backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3 * theirs.grad.abs().max().item())


# --- oneDNN's own operators ---


def test_a_processor_with_bfloat16_has_them() -> None:
    assert runs_packed() or not computes_bfloat16(torch.device("cpu"))


def test_without_them_the_layers_and_the_gradient_are_the_same(image: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the rounding of bfloat16."""
    packed = gradient(load_cached("embedded", torch.device("cpu"), torch.bfloat16), image)

    def missing(*args: object) -> Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_convolution_pointwise'")

    monkeypatch.setattr("engine.vgg.convolution._convolved", missing)
    monkeypatch.setattr("engine.vgg.vgg19.runs_packed", runs_packed.__wrapped__)
    plain = gradient(VGG19(load("embedded"), torch.device("cpu"), torch.bfloat16), image)
    for one, other in [(packed[1], plain[1]), *((packed[0][name], plain[0][name]) for name in MANY)]:
        assert (one.float() - other.float()).norm() < 2**-6 * other.float().norm()


# --- Winograd's method ---


@pytest.mark.parametrize(("height", "width", "padding"), [(48, 64, 1), (17, 1, 1), (2, 91, 1), (23, 30, 0), (6, 6, 2)])
def test_winograds_method_gives_the_direct_convolution_and_its_gradient(height: int, width: int, padding: int) -> None:
    """For sizes of whole tiles and others, of one strip of tiles and of several."""
    generator = torch.Generator().manual_seed(height)
    given = torch.randn(1, 24, height, width, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(40, 24, 3, 3, generator=generator, dtype=torch.float64)
    bias = torch.randn(40, generator=generator, dtype=torch.float64)
    expected = F.conv2d(given, weight, bias, padding=padding)
    slope = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(expected, given, slope)
    found = WinogradConvolution("conv2_1", "relu2_1", weight.float(), bias.float(), padding)
    single = given.detach().float()
    for one, other in [
        (found(single), expected),
        (found.with_relu(single), expected.relu()),
        (found.gradient(slope.float(), single), gradient),
    ]:
        assert one.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5 * other.abs().max().item())


def test_float32_on_a_cpu_uses_winograds_method_for_wide_layers(image: Tensor) -> None:
    network = load_cached("embedded", torch.device("cpu"), torch.float32)
    with Operations() as operations:
        network.features(image, ["relu3_1"])
    assert (operations.counted["convolution"], operations.counted["bmm"]) == (2, 3)


# --- Recomputation ---

MANY: tuple[Layer, ...] = ("relu1_1", "conv1_2", "relu2_1", "relu3_1", "conv4_2", "relu4_1", "relu5_1")


def gradient(network: VGG19, image: Tensor, **options: Any) -> tuple[dict[Layer, Tensor], Tensor]:
    """Features, and the slope of a sum in which each of them counts about the same."""
    image = image.clone().requires_grad_()
    found = network.features(image, MANY, **options)
    total = torch.stack(
        [each.float().square().mean() / each.detach().float().square().mean() for each in found.values()]
    )
    (slope,) = torch.autograd.grad(total.sum(), image)
    return {name: each.detach() for name, each in found.items()}, slope


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_recomputing_gives_the_same_features_and_gradient(
    pooling: Pooling, precision: torch.dtype, image: Tensor
) -> None:
    network = load_cached("embedded", torch.device("cpu"), precision)
    kept, slope = gradient(network, image, pooling=pooling)
    again, same = gradient(network, image, pooling=pooling, recompute=True)
    assert list(again) == list(kept)
    assert all(torch.equal(again[name], kept[name]) for name in kept)
    assert torch.equal(same, slope)
    assert slope.abs().max() > 0


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that was allocated at a time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        work()
    assert profiled.profiler is not None
    events = [each for each in profiled.profiler.kineto_results.events() if each.name() == "[memory]"]
    held = most = 0
    for each in sorted(events, key=lambda event: event.start_ns()):
        held += each.nbytes()
        most = max(most, held)
    return most


def test_recomputing_takes_more_work_and_less_memory(network: VGG19) -> None:
    image = torch.rand(1, 3, 88, 88, generator=torch.Generator().manual_seed(2)).requires_grad_()
    counted, peaks = [], []
    for recompute in (False, True):

        def step(recompute: bool = recompute) -> None:
            found = network.features(image, ["relu4_1"], recompute=recompute)["relu4_1"]
            torch.autograd.grad(found.square().mean(), image)

        with Operations() as operations:
            step()
        counted.append(operations.convolutions)
        peaks.append(peak_bytes(step))
    assert counted[1] - counted[0] == 9
    assert peaks[1] < 0.9 * peaks[0]


def test_without_a_gradient_nothing_is_recomputed(network: VGG19, image: Tensor) -> None:
    with torch.no_grad(), Operations() as operations:
        network.features(image, MANY, recompute=True)
    assert operations.convolutions == 13


# --- Interruption ---


@pytest.mark.parametrize("recompute", [False, True])
def test_the_hook_is_called_throughout_the_forward_and_the_backward_pass(
    recompute: bool, network: VGG19, image: Tensor
) -> None:
    calls: list[None] = []
    found = network.features(image.requires_grad_(), ["relu5_1"], lambda: calls.append(None), recompute=recompute)
    forwards = len(calls)
    assert forwards >= 12
    found["relu5_1"].sum().backward()
    assert len(calls) - forwards >= 12


@pytest.mark.parametrize(
    ("recompute", "call"),
    [(False, 1), (False, 6), (False, 14), (False, 20), (False, 25), (True, 6), (True, 14), (True, 35)],
)
def test_an_error_of_the_hook_ends_the_computation_at_once(
    recompute: bool, call: int, network: VGG19, image: Tensor
) -> None:
    calls = 0

    def hook() -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Interrupted

    def step() -> None:
        found = network.features(image.requires_grad_(), ["relu5_1"], hook, recompute=recompute)
        found["relu5_1"].sum().backward()

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
    short = load_cached("embedded", torch.device("cpu"), torch.bfloat16).features(image, [layer])[layer]
    full = network.features(image, [layer])[layer]
    assert short.dtype == torch.bfloat16
    assert full.dtype == torch.float32
    assert 0 < (short.float() - full).norm() < 0.03 * full.norm()


def test_the_image_is_not_rounded_to_bfloat16() -> None:
    network = load_cached("embedded", torch.device("cpu"), torch.bfloat16)
    image = torch.full((1, 3, 32, 32), 0.75)
    nudged = image.clone()
    nudged[..., ::2] += 1 / 1024  # a quarter of the resolution of bfloat16 near 0.75
    assert torch.equal(image.bfloat16(), nudged.bfloat16())
    one, other = (network.features(each, ["relu1_1"])["relu1_1"] for each in (image, nudged))
    assert not torch.equal(one, other)


# --- Edges ---


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_the_first_layer_finds_no_edges_in_a_plain_picture(grey: float, network: VGG19) -> None:
    found = network.features(torch.full((1, 3, 24, 24), grey), ["relu1_1"])["relu1_1"]
    inner = found[..., 12:13, 12:13].expand_as(found)
    torch.testing.assert_close(found, inner, rtol=1e-4, atol=1e-3)


# --- Loading ---


def test_the_network_is_loaded_once(network: VGG19) -> None:
    assert load_cached("embedded", torch.device("cpu"), torch.float32) is network


def test_the_smallest_picture_reaches_the_deepest_layer(network: VGG19) -> None:
    assert network.features(torch.zeros(1, 3, 16, 16), ["relu5_4"])["relu5_4"].shape == (1, 512, 1, 1)
