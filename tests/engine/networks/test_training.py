"""Training: what is learned, and from where it goes on."""

import torch

from engine.networks.network import StyleNetwork
from engine.networks.photos import drawn
from engine.networks.plan import LARGE, NORMS_SHARE, Plan
from engine.networks.training import Training, unevenness
from engine.vgg.vgg19 import VGG19
from tests.engine.networks.conftest import PLAN, training


def test_a_resumed_training_ends_with_the_same_bytes(finished: Training, narrow: VGG19) -> None:
    begun = training(narrow)
    for _ in range(2):
        begun.step()
    resumed = training(narrow)
    resumed.resume(begun.state())
    while resumed.done < 1:
        resumed.step()
    assert resumed.steps == PLAN.steps
    assert resumed.network.parameters_as_bytes() == finished.network.parameters_as_bytes()
    assert resumed.losses == finished.losses


def test_more_steps_make_the_losses_smaller(narrow: VGG19) -> None:
    learning = training(narrow, steps=24, learning_rate=3e-3)
    first = learning.step().loss
    while learning.done < 1:
        last = learning.step()
    assert last.loss < first


def test_a_base_is_tuned_by_its_normalisations_first(finished: Training, narrow: VGG19) -> None:
    """And is left as it was: the training gets a copy."""
    base = finished.network
    before = base.parameters_as_bytes()
    tuned = training(narrow, base=base)
    tuned.step()
    after_one = tuned.network.parameters_as_bytes()
    changed = {name for name, numbers in after_one.items() if numbers != before[name]}
    assert changed
    assert all(name.endswith((".scale", ".shift")) for name in changed)
    while tuned.done < 1:
        tuned.step()
    assert NORMS_SHARE < 1
    assert tuned.network.parameters_as_bytes()["stem.convolution.weight"] != before["stem.convolution.weight"]
    assert base.parameters_as_bytes() == before


def test_without_training_a_network_gives_a_photo_the_colours_of_the_style() -> None:
    network = StyleNetwork(1, (8, 8))
    network.to_full.weight.data.zero_()
    style = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(1)) * 0.3 + 0.2
    network.begin_style(0, style)
    with torch.no_grad():
        painted = network(torch.rand(1, 3, 38, 33), torch.ones(1, 1), torch.zeros(1, 3, 38, 33))
    assert painted.shape == (1, 3, 38, 33)
    assert torch.allclose(painted.mean(dim=(2, 3)), style.mean(dim=(2, 3)), atol=0.02)


def test_the_end_by_minutes_or_by_steps_whichever_comes_first() -> None:
    assert Plan(minutes=1, steps=100).done(50, 30) == 0.5
    assert Plan(minutes=1, steps=100).done(10, 45) == 0.75
    assert Plan(steps=100).done(25, 1e6) == 0.25
    assert Plan(minutes=1).done(0, 61) == 1


def test_drawn_pictures_differ_and_are_the_same_each_time() -> None:
    first, second = drawn(2, seed=3)
    assert first.tobytes() != second.tobytes()
    assert drawn(1, seed=3)[0].tobytes() == first.tobytes()


def test_the_last_squares_are_larger() -> None:
    plan = Plan(crop=100)
    assert [plan.side(done) for done in (0.0, LARGE[0] - 0.01, LARGE[0], 1.0)] == [100, 100, 150, 150]
    assert plan.recipe(150, 1.0).size == 150


def test_repeated_pixels_are_uneven_and_noise_is_even() -> None:
    noise = torch.rand(1, 3, 135, 130, generator=torch.Generator().manual_seed(1))
    twice = noise[..., :65].repeat_interleave(2, dim=3)
    assert unevenness(noise) < 0.002
    # Along rows, every second difference is 0: a variance of 1 there, and of 0 along columns.
    assert abs(float(unevenness(twice)) - 0.5) < 0.01
