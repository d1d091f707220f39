"""Resizes images without a pattern that depends on whether a row is even or odd, and removes such a pattern."""

import math

import torch
from torch import Tensor

ROLL_OFF = 0.75
"""The share of the frequencies that an enlargement passes whole. The highest ones hold what differs from row to row."""
MOST_EVENED = 0.1
"""The most that :func:`evened` changes a difference between two pixels by, relative to it."""
_TINY = 1e-9
"""Keeps a division by the differences of a plain image finite."""


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


def evened(image: Tensor) -> Tensor:
    """The image with the same contrast between neighbours that begin at an even pixel as between the others.

    They differ by a percent or so in a painting, as an enlarged image has the edges of the smaller one, which lie
    between its pixels. One factor on all differences within pairs of pixels makes the means of the absolute differences
    equal, along both sides. A pixel changes by less than a percent of its difference from the next one.

    Args:
        image: shape (1, channels, height, width), in [0, 1].

    Returns:
        An image of the same shape, in [0, 1].
    """
    return _evened(_evened(image).mT).mT.contiguous().clamp(0, 1)


def _evened(rows: Tensor) -> Tensor:
    """The same along the last dimension, without the clamp."""
    whole = rows.shape[-1] // 2 * 2
    pairs = rows[..., :whole].unflatten(-1, (-1, 2))
    within = pairs[..., 1] - pairs[..., 0]
    between = pairs[..., 1:, 0] - pairs[..., :-1, 1]
    # A factor of 1 + share within pairs takes share · (half of both pairs' differences) from the difference between.
    taken = (between.sign() * (within[..., 1:] + within[..., :-1])).mean() / 2
    even, odd = within.abs().mean(), between.abs().mean()
    share = ((odd - even) / (even + taken).clamp(min=_TINY)).nan_to_num().clamp(-MOST_EVENED, MOST_EVENED)
    change = share / 2 * within
    return torch.cat((torch.stack((-change, change), dim=-1).add_(pairs).flatten(-2), rows[..., whole:]), dim=-1)


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
