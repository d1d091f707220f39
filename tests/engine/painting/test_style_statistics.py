"""The cache of style statistics: one entry for each network, picture, set of layers and pooling."""

from collections.abc import Callable, Collection
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.painting.style_statistics import KEPT, Statistics, statistics
from engine.recipe import Layer
from engine.vgg.vgg19 import VGG19, load_cached
from tests.engine.painted import CONTENT, STYLE, painted, shown, tensor

GRAMS: tuple[Layer, ...] = ("relu1_1", "relu2_1")
ENERGIES: tuple[Layer, ...] = ("relu2_2",)
FIRST: tuple[Layer, ...] = ("relu1_1",)
BEFORE: tuple[Layer, ...] = ("conv1_1", "relu2_1")
SECOND: tuple[Layer, ...] = ("relu2_1",)
LAST: tuple[Layer, ...] = ("relu4_2",)


class Counted(VGG19):
    """A network with the weights of another one, which records the sizes of the pictures that it analyses."""

    def __init__(self, network: VGG19) -> None:
        vars(self).update(vars(network))
        self.sizes: list[tuple[int, int]] = []

    def features(self, image: Tensor, *arguments: Any, **options: Any) -> dict[Layer, Tensor]:
        """The same features. Without a gradient, it analyses a picture; with one, it is a step of a painting."""
        if not image.requires_grad:
            self.sizes.append((image.shape[3], image.shape[2]))
        return super().features(image, *arguments, **options)


@pytest.fixture
def counted(network: VGG19) -> Counted:
    return Counted(network)


@pytest.fixture
def image() -> Tensor:
    return torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(3))


def computed(
    network: VGG19,
    image: Tensor,
    grams: Collection[Layer] = GRAMS,
    energies: Collection[Layer] = ENERGIES,
    check: Callable[[], None] = lambda: None,
    **options: Any,
) -> Statistics:
    return statistics(network, image, grams, energies, options.get("pooling", "max"), check)


def equal(one: Statistics, other: Statistics) -> bool:
    pairs = [(one.grams, other.grams), (one.energies, other.energies)]
    return all(a.keys() == b.keys() and all(torch.equal(a[each], b[each]) for each in a) for a, b in pairs)


def test_statistics_are_correlations_and_mean_squares_of_the_features(counted: Counted, image: Tensor) -> None:
    found = computed(counted, image)
    features = {layer: each.double() for layer, each in counted.features(image, [*GRAMS, *ENERGIES]).items()}
    assert found.grams.keys() == set(GRAMS)
    for layer, matrix in found.grams.items():
        expected = torch.einsum("bchw,bdhw->bcd", features[layer], features[layer]) / features[layer][0, 0].numel()
        torch.testing.assert_close(matrix.double(), expected, rtol=1e-4, atol=1e-6 * expected.abs().max().item())
    assert found.energies["relu2_2"].item() == pytest.approx((features["relu2_2"] ** 2).mean().item(), rel=1e-4)
    assert not any(each.requires_grad for each in (*found.grams.values(), *found.energies.values()))


def test_the_second_time_statistics_come_from_the_cache(counted: Counted, image: Tensor) -> None:
    first = computed(counted, image)
    assert equal(computed(counted, image), first)
    assert len(counted.sizes) == 1


def test_equal_pixels_in_another_tensor_have_the_same_key(counted: Counted, image: Tensor) -> None:
    first = computed(counted, image)
    assert equal(computed(counted, image.clone()), first)
    assert equal(computed(counted, image.contiguous(memory_format=torch.channels_last)), first)
    assert equal(computed(counted, image, GRAMS[::-1]), first)  # nor does the order of the layers count
    assert len(counted.sizes) == 1


def test_an_overwritten_tensor_has_another_key(counted: Counted, image: Tensor) -> None:
    first = computed(counted, image)
    image.neg_().add_(1)
    assert not equal(computed(counted, image), first)


@pytest.mark.parametrize(
    "other",
    [
        lambda network, image: computed(network, image.flip(3)),
        lambda network, image: computed(network, image.nextafter(torch.ones(()))),
        lambda network, image: computed(network, image.reshape(1, 3, 48, 40)),
        lambda network, image: computed(network, image[..., :32, :]),
        lambda network, image: computed(network, image, pooling="average"),
        lambda network, image: computed(network, image, FIRST),
        lambda network, image: computed(network, image, BEFORE),
        lambda network, image: computed(network, image, energies=SECOND),
        lambda network, image: computed(network, image, ENERGIES, GRAMS),
        lambda network, image: computed(load_cached("embedded", torch.device("cpu"), torch.bfloat16), image),
    ],
    ids=[
        "mirrored",
        "slightly lighter",
        "reshaped",
        "cropped",
        "pooling",
        "fewer layers",
        "other layers",
        "other energies",
        "exchanged layers",
        "network",
    ],
)
def test_another_key_is_computed_separately(
    other: Callable[[VGG19, Tensor], Statistics], counted: Counted, network: VGG19, image: Tensor
) -> None:
    first = computed(counted, image)
    found = other(counted, image)
    assert not equal(found, first)
    assert equal(computed(counted, image), first)
    assert equal(other(Counted(network), image), found)  # with an empty cache
    assert len(counted.sizes) <= 2


def test_the_least_recently_used_entry_is_dropped(counted: Counted) -> None:
    def ask(number: int) -> None:
        computed(counted, torch.full((1, 3, 16, 16), number / 255), FIRST, ())

    for number in range(KEPT):
        ask(number)
    ask(0)  # so that 1 is the least recently used
    assert len(counted.sizes) == KEPT
    ask(KEPT)
    for number in (0, *range(2, KEPT + 1)):
        ask(number)
    assert len(counted.sizes) == KEPT + 1
    ask(1)
    assert len(counted.sizes) == KEPT + 2


def test_a_computation_that_is_cancelled_caches_nothing(counted: Counted, image: Tensor) -> None:
    class Cancelled(Exception):
        pass

    def check() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        computed(counted, image, check=check)
    assert computed(counted, image).grams.keys() == set(GRAMS)
    assert len(counted.sizes) == 2


# --- In paintings ---


@pytest.mark.usefixtures("two_scales")
def test_a_second_painting_in_a_style_analyses_only_the_content(counted: Counted) -> None:
    first = painted(counted, steps=4)
    style = [(34, 28), (64, 53)]
    grain = (96, 96)  # once for each network
    assert sorted(counted.sizes) == sorted([*style, grain, (34, 23), (64, 43)])
    counted.sizes.clear()
    second = painted(counted, steps=4)
    assert counted.sizes == [(34, 23), (64, 43)]
    assert second.result.picture == first.result.picture


def test_the_steps_of_a_painting_analyse_no_other_picture(counted: Counted) -> None:
    painted(counted, steps=2)
    few = len(counted.sizes)
    painted(counted, styles=[CONTENT], steps=9)
    assert len(counted.sizes) - few == 2


def test_a_painting_does_not_change_the_cache(counted: Counted) -> None:
    """Blending and painting work on copies."""
    image = tensor(shown(STYLE))
    before = computed(counted, image, ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), LAST)
    kept = [each.clone() for each in before.grams.values()]
    painted(counted, styles=[STYLE, CONTENT], style_shares=(1, 3), steps=3)
    assert (64, 53) not in counted.sizes[1:]  # the painting found it in the cache
    assert all(torch.equal(one, other) for one, other in zip(before.grams.values(), kept, strict=True))
