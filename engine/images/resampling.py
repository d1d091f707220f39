"""Resizes images of pixels without a pattern that depends on whether a row is even or odd."""

import math

import torch
from torch import Tensor

ROLL_OFF = 0.75
"""The share of the frequencies that an enlargement passes whole. The highest ones hold what differs from row to row."""


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image of shape (1, 3, height, width) to ``size`` (width, height), clamped to [0, 1].

    See :func:`resampled`.
    """
    return resampled(image, size).clamp(0, 1)


def resampled(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image of shape (1, channels, height, width) to ``size`` (width, height), band-limited.

    Along each side, the discrete cosine transform is cut off or padded with zeros: sinc interpolation with reflected
    borders. Near edges the values may leave the image's range. In a bicubic enlargement by two, the differences between
    neighbours depend on whether their row or column is even or odd. An optimiser that starts there keeps this as a
    weave. An image of that size is returned as it is.
    """
    if image.shape[-2:] == (size[1], size[0]):
        return image
    across = _resampled(image, size[0])
    return _resampled(across.mT, size[1]).mT.contiguous()


def enlarged(image: Tensor, start: Tensor, size: tuple[int, int], share: float) -> Tensor:
    """Resize an image to ``size`` (width, height), with a share of the detail that it had no room for.

    Args:
        image: shape (1, 3, height, width), RGB in [0, 1].
        start: the image of the same scene that has the detail, in a larger size.
        size: of the result.
        share: of what ``start`` has at ``size`` and not at the size of ``image``, from 0 to 1.

    Returns:
        An image clamped to [0, 1]. One of that size is returned as it is.
    """
    now = image.shape[-1], image.shape[-2]
    if now == size:
        return image
    # Of one image at both sizes: the content, scaled to each of them, would have different aliasing. Enlarged after the
    # subtraction, edges that both have leave no halo.
    rest = resampled(image - share * resampled(start, now), size)
    return (rest + share * resampled(start, size)).clamp(0, 1)


def _resampled(rows: Tensor, points: int) -> Tensor:
    """Resample the last dimension at ``points`` places."""
    length = rows.shape[-1]
    spectrum = torch.fft.rfft(torch.cat((rows, rows.flip(-1)), dim=-1))[..., : min(length, points)]
    # The first sample is half a sample inside of the border, at both resolutions.
    shift = math.pi * (0.5 / points - 0.5 / length) * torch.arange(spectrum.shape[-1], device=rows.device)
    weights = torch.full_like(shift, points / length)
    if points > length:
        weights *= _roll_off(length, rows.device)
    spectrum = spectrum * torch.polar(weights, shift)
    found: Tensor = torch.fft.irfft(spectrum, 2 * points)
    return found[..., :points]


def _roll_off(length: int, device: torch.device) -> Tensor:
    """The raised cosine from :data:`ROLL_OFF` of the highest frequency on."""
    beyond = (torch.arange(length, device=device) / length - ROLL_OFF).clamp(min=0) / (1 - ROLL_OFF)
    return 0.5 + 0.5 * torch.cos(math.pi * beyond)
