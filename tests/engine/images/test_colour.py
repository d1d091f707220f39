"""Oklab against its definition, computed in numpy and float64."""

import colorsys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.images.colour import Palette, oklab, recoloured, srgb, with_colours_of

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
def test_oklab_agrees_with_published_values(
    colour: tuple[float, float, float], lab: tuple[float, float, float]
) -> None:
    assert oklab(pixels(colour)).flatten().tolist() == pytest.approx(lab, abs=2e-4)


def test_any_colour_agrees_with_the_definition() -> None:
    colours = [tuple(each) for each in np.random.default_rng(4).random((200, 3)).tolist()]
    found = oklab(pixels(*colours))[0, :, 0].T.double().numpy()
    np.testing.assert_allclose(found, [defined(colour) for colour in colours], atol=5e-4)


def test_greys_have_no_chroma() -> None:
    greys = [(level / 255,) * 3 for level in range(256)]
    lightness, *colour = oklab(pixels(*greys))[0, :, 0]
    assert (lightness.diff() > 0).all()
    assert max(each.abs().max().item() for each in colour) < 1e-4


def test_srgb_inverts_oklab() -> None:
    image = rand(1)
    torch.testing.assert_close(srgb(oklab(image)), image, rtol=0, atol=1e-4)


def test_every_level_of_a_channel_is_restored() -> None:
    colours = [(level / 255, 0.0, 1 - level / 255) for level in range(256)]
    back = srgb(oklab(pixels(*colours)))
    assert torch.equal((back * 255).round(), (pixels(*colours) * 255).round())


def test_colours_outside_of_srgb_are_clipped() -> None:
    back = srgb(torch.tensor([0.7, 0.4, 0.4]).reshape(1, 3, 1, 1))
    assert back.isfinite().all()
    assert 0 <= back.min() <= back.max() <= 1


def test_recoloured_paintings_have_their_own_lightness_and_the_contents_hue() -> None:
    painting, content = rand(2) * 0.2 + 0.45, rand(3) * 0.2 + 0.4  # pale, so that nothing is clipped
    found = oklab(with_colours_of(painting, content))
    torch.testing.assert_close(found[:, 0], oklab(painting)[:, 0], rtol=0, atol=1e-3)
    torch.testing.assert_close(found[:, 1:], oklab(content)[:, 1:], rtol=0, atol=1e-3)


def test_a_blue_painting_of_an_orange_content_is_orange() -> None:
    orange, blue = (0.8, 0.5, 0.2), (0.2, 0.4, 0.9)
    red, green, blue_ = with_colours_of(pixels(blue), pixels(orange)).flatten().tolist()
    hue = colorsys.rgb_to_hsv(red, green, blue_)[0]
    assert hue == pytest.approx(colorsys.rgb_to_hsv(*orange)[0], abs=0.03)


def test_a_grey_content_gives_a_grey_painting() -> None:
    red, green, blue = with_colours_of(rand(5), torch.full((1, 3, 16, 16), 0.5))[0]
    assert max((red - green).abs().max().item(), (green - blue).abs().max().item()) < 2 / 255


# --- Palettes ---


def colours(image: Tensor) -> Array:
    """Each pixel's Oklab by the definition, one a row."""
    found: Array = np.array([defined((r, g, b)) for r, g, b in image[0].flatten(1).T.double().tolist()])
    return found


def statistics(image: Tensor) -> tuple[Array, Array]:
    """Mean and covariance by their sums."""
    lab = colours(image)
    mean: Array = lab.sum(axis=0) / len(lab)
    covariance: Array = (lab - mean).T @ (lab - mean) / len(lab)
    return mean, covariance


def tinted(seed: int, mean: tuple[float, float, float], spread: float) -> Tensor:
    """Random colours around ``mean``, with different deviations of the channels."""
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2)
    mixed = torch.einsum("ij,bjhw->bihw", torch.tensor([[1.0, 0.3, 0.0], [0.2, 0.8, 0.1], [0.5, 0.0, 0.4]]), noise)
    return torch.tensor(mean).reshape(1, 3, 1, 1) + spread * mixed


WARM, COLD = tinted(1, (0.6, 0.5, 0.35), 0.06), tinted(2, (0.4, 0.5, 0.65), 0.04)
MUTED, PALE = tinted(3, (0.5, 0.52, 0.5), 0.012), tinted(4, (0.62, 0.6, 0.58), 0.008)
"""Colours with little chroma, which varies by less than a hundredth."""


def test_a_palette_is_the_mean_and_the_covariance_of_the_colours() -> None:
    mean, covariance = statistics(WARM)
    palette = Palette.of(WARM)
    np.testing.assert_allclose(palette.mean.numpy(), mean, atol=5e-4)
    np.testing.assert_allclose(palette.covariance.numpy(), covariance, rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize("shares", [(1.0, 1.0), (1.0, 3.0), (20.0, 60.0), (0.0, 1.0)])
def test_a_blended_palette_is_the_palette_of_all_colours_together(shares: tuple[float, float]) -> None:
    parts = [round(4 * share / sum(shares)) for share in shares]
    together = torch.cat([image for image, part in zip((WARM, COLD), parts, strict=True) for _ in range(part)], dim=3)
    mean, covariance = statistics(together)
    palette = Palette.blended([Palette.of(WARM), Palette.of(COLD)], shares)
    np.testing.assert_allclose(palette.mean.numpy(), mean, atol=5e-4)
    np.testing.assert_allclose(palette.covariance.numpy(), covariance, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize(
    ("image", "other"),
    [(WARM, COLD), (COLD, WARM), (WARM, MUTED), (MUTED, COLD), (MUTED, PALE), (PALE, MUTED)],
    ids=["warm-cold", "cold-warm", "warm-muted", "muted-cold", "muted-pale", "pale-muted"],
)
def test_a_recoloured_picture_has_the_palette(image: Tensor, other: Tensor) -> None:
    found = recoloured(image, Palette.of(other))
    assert 0 < found.min() < found.max() < 1  # nothing was clipped
    mean, covariance = statistics(found)
    expected_mean, expected_covariance = statistics(other)
    np.testing.assert_allclose(mean, expected_mean, atol=1e-3)
    np.testing.assert_allclose(covariance, expected_covariance, rtol=0.03, atol=0.02 * np.trace(expected_covariance))


def test_recolouring_is_the_linear_map_that_changes_colours_least() -> None:
    """By Brenier's theorem that is the one whose matrix is symmetric and positive."""
    before, after = colours(WARM), colours(recoloured(WARM, Palette.of(COLD)))
    matrix, residue, _, _ = np.linalg.lstsq(before - before.mean(axis=0), after - after.mean(axis=0), rcond=None)
    assert residue.max() < 1e-3  # it is linear
    np.testing.assert_allclose(matrix, matrix.T, atol=0.02)
    assert np.linalg.eigvalsh(matrix).min() > 0.1


@pytest.mark.parametrize("image", [WARM, MUTED], ids=["warm", "muted"])
def test_a_picture_recoloured_to_its_own_palette_does_not_change(image: Tensor) -> None:
    torch.testing.assert_close(recoloured(image, Palette.of(image)), image, rtol=0, atol=2e-3)


def test_a_picture_recoloured_to_a_grey_palette_is_grey() -> None:
    grey = (torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(6)) * 0.4 + 0.3).expand(1, 3, 16, 16)
    red, green, blue = recoloured(WARM, Palette.of(grey))[0]
    assert max((red - green).abs().max().item(), (green - blue).abs().max().item()) < 2 / 255


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_plain_picture_stays_plain_in_any_palette(level: float) -> None:
    """Its noise is not amplified to fill the palette."""
    found = recoloured(torch.full((1, 3, 16, 16), level), Palette.of(WARM))
    assert found.isfinite().all()
    assert max(np.ptp(found[0, channel].numpy()) for channel in range(3)) < 1 / 255
    np.testing.assert_allclose(colours(found[..., :1, :1])[0], statistics(WARM)[0], atol=5e-3)


def test_recoloured_colours_outside_of_srgb_are_clipped() -> None:
    far = Palette(torch.tensor([0.8, 0.2, 0.2]).double(), 0.09 * torch.eye(3).double())
    found = recoloured(WARM, far)
    assert found.isfinite().all()
    assert found.min() == 0
    assert found.max() == pytest.approx(1)
