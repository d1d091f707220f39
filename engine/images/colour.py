"""Oklab: Björn Ottosson, "A perceptual color space for image processing" (2020)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_LINEAR_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_LMS_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)

_LEAST_VARIANCE = 1e-6
"""Variance of colours along a direction in Oklab. A picture with less counts as plain along it."""


def _mixed(pixels: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix.to(pixels), pixels)


def oklab(srgb: Tensor) -> Tensor:
    """Convert gamma-encoded sRGB in [0, 1], shape (batch, 3, height, width), to L in [0, 1], a and b."""
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    lms = _mixed(linear, torch.tensor(_LINEAR_TO_LMS)).clamp(min=0) ** (1 / 3)
    return _mixed(lms, torch.tensor(_LMS_TO_LAB))


def srgb(oklab: Tensor) -> Tensor:
    """Undo :func:`oklab`; colours outside of sRGB are clipped to it."""
    lms = _mixed(oklab, torch.linalg.inv(torch.tensor(_LMS_TO_LAB))) ** 3
    linear = _mixed(lms, torch.linalg.inv(torch.tensor(_LINEAR_TO_LMS))).clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def with_colours_of(painting: Tensor, content: Tensor) -> Tensor:
    """Lightness from ``painting``, hue and chroma from ``content``; both sRGB in [0, 1] and of one shape."""
    return srgb(torch.cat((oklab(painting)[:, :1], oklab(content)[:, 1:]), dim=1))


@dataclass(frozen=True, slots=True)
class Palette:
    """Mean and covariance of colours in Oklab."""

    mean: Tensor
    """Shape (3,)."""
    covariance: Tensor
    """Shape (3, 3)."""

    @classmethod
    def of(cls, image: Tensor) -> "Palette":
        """The palette of an sRGB image of shape (1, 3, height, width) in [0, 1]."""
        colours = oklab(image)[0].flatten(1).double()
        return cls(colours.mean(dim=1), torch.cov(colours, correction=0))

    @classmethod
    def blended(cls, palettes: Sequence["Palette"], shares: Sequence[float]) -> "Palette":
        """The palette of all pictures' colours together; ``shares`` need not sum to 1."""
        parts = [share / sum(shares) for share in shares]
        mean = torch.stack([part * each.mean for part, each in zip(parts, palettes, strict=True)]).sum(dim=0)
        moments = [
            part * (each.covariance + torch.outer(each.mean - mean, each.mean - mean))
            for part, each in zip(parts, palettes, strict=True)
        ]
        return cls(mean, torch.stack(moments).sum(dim=0))


def recoloured(image: Tensor, palette: Palette, own: Palette | None = None) -> Tensor:
    """Move the colours of an sRGB image of shape (1, 3, height, width) to ``palette``, by a linear map in Oklab.

    Of all such maps, it is the one that moves colours least: Pitié and Kokaram, "The linear Monge-Kantorovitch linear
    colour mapping" (CVMP 2007). Colours outside of sRGB are clipped to it.

    ``own`` is the palette that is moved, the image's own by default. With one for all frames of a clip, equal colours
    stay equal.
    """
    own = own or Palette.of(image)
    # Clamped, so that noise along a nearly plain direction is not amplified.
    values, vectors = torch.linalg.eigh(own.covariance)
    values = values.clamp(min=_LEAST_VARIANCE)
    root, inverse = (vectors @ torch.diag(each) @ vectors.T for each in (values.sqrt(), values.rsqrt()))
    values, vectors = torch.linalg.eigh(root @ palette.covariance @ root)
    matrix = inverse @ vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T @ inverse
    colours = oklab(image)[0].flatten(1).double()
    moved = palette.mean[:, None] + matrix @ (colours - own.mean[:, None])
    return srgb(moved.to(image).reshape(image.shape))
