"""Oklab against its definition, recomputed in numpy and float64."""

import colorsys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.colour import oklab, srgb, with_colours_of

Array = NDArray[np.float64]


def pixels(*colours: tuple[float, float, float]) -> Tensor:
    return torch.tensor(colours).T.reshape(1, 3, 1, -1)


def rand(seed: int) -> Tensor:
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def defined(colour: tuple[float, float, float]) -> Array:
    """Ottosson's definition by way of CIE XYZ, whose matrices (sRGB's, and his M1 and M2) the engine doesn't have."""
    linear = np.array([each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour])
    to_xyz = np.array(
        [
            [0.4123907993, 0.3575843394, 0.1804807884],
            [0.2126390059, 0.7151686788, 0.0721923154],
            [0.0193308187, 0.1191947798, 0.9505321522],
        ]
    )
    m1 = np.array(
        [
            [0.8189330101, 0.3618667424, -0.1288597137],
            [0.0329845436, 0.9293118715, 0.0361456387],
            [0.0482003018, 0.2643662691, 0.6338517070],
        ]
    )
    m2 = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    lab: Array = m2 @ np.cbrt(m1 @ (to_xyz @ linear))
    return lab


@pytest.mark.parametrize(
    ("colour", "lab"),
    [
        ((1, 1, 1), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((1, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 1, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 1), (0.45201, -0.03246, -0.31153)),
    ],
)
def test_published_values(colour: tuple[float, float, float], lab: tuple[float, float, float]) -> None:
    assert oklab(pixels(colour)).flatten().tolist() == pytest.approx(lab, abs=2e-4)


def test_any_colour_agrees_with_the_definition() -> None:
    colours = [tuple(each) for each in np.random.default_rng(4).random((200, 3)).tolist()]
    found = oklab(pixels(*colours))[0, :, 0].T.double().numpy()
    np.testing.assert_allclose(found, [defined(colour) for colour in colours], atol=5e-4)


def test_each_grey_has_no_colour() -> None:
    greys = [(level / 255,) * 3 for level in range(256)]
    lightness, *colour = oklab(pixels(*greys))[0, :, 0]
    assert (lightness.diff() > 0).all()
    assert max(each.abs().max().item() for each in colour) < 1e-4


def test_there_and_back() -> None:
    image = rand(1)
    torch.testing.assert_close(srgb(oklab(image)), image, rtol=0, atol=1e-4)


def test_every_level_of_a_channel_survives() -> None:
    colours = [(level / 255, 0.0, 1 - level / 255) for level in range(256)]
    back = srgb(oklab(pixels(*colours)))
    assert torch.equal((back * 255).round(), (pixels(*colours) * 255).round())


def test_colours_outside_of_srgb_are_clipped_to_it() -> None:
    back = srgb(torch.tensor([0.7, 0.4, 0.4]).reshape(1, 3, 1, 1))
    assert back.isfinite().all()
    assert 0 <= back.min() <= back.max() <= 1


def test_lightness_of_one_picture_and_hue_of_the_other() -> None:
    painting, content = rand(2) * 0.2 + 0.45, rand(3) * 0.2 + 0.4  # pale, so that nothing is clipped
    found = oklab(with_colours_of(painting, content))
    torch.testing.assert_close(found[:, 0], oklab(painting)[:, 0], rtol=0, atol=1e-3)
    torch.testing.assert_close(found[:, 1:], oklab(content)[:, 1:], rtol=0, atol=1e-3)


def test_a_blue_painting_of_an_orange_content_is_orange() -> None:
    orange, blue = (0.8, 0.5, 0.2), (0.2, 0.4, 0.9)
    red, green, blue_ = with_colours_of(pixels(blue), pixels(orange)).flatten().tolist()
    hue = colorsys.rgb_to_hsv(red, green, blue_)[0]
    assert hue == pytest.approx(colorsys.rgb_to_hsv(*orange)[0], abs=0.03)


def test_a_grey_content_makes_a_grey_painting() -> None:
    red, green, blue = with_colours_of(rand(5), torch.full((1, 3, 16, 16), 0.5))[0]
    assert max((red - green).abs().max().item(), (green - blue).abs().max().item()) < 2 / 255
