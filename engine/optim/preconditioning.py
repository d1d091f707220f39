"""Preconditioning: weights on an image's spectrum that let low frequencies converge as fast as high ones."""

import torch
from torch import Tensor


def spectral_filter(image: Tensor, power: float) -> Tensor:
    """The weight frequency^-``power`` of each frequency, divided by the mean of the weights.

    Natural pictures have most of their energy in low frequencies, but a gradient on the pixels changes high frequencies
    most. Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill 2017), section on preconditioning.

    Args:
        image: shape (1, 3, height, width). Only its shape and device are read.
        power: 0 changes nothing. A negative power inverts a positive one, up to a factor.

    Returns:
        Shape (height, width // 2 + 1), for :func:`filtered`.
    """
    height, width = image.shape[-2:]
    down = torch.fft.fftfreq(height, device=image.device)[:, None]
    across = torch.fft.rfftfreq(width, device=image.device)[None]
    frequency = (down.square() + across.square()).sqrt().clamp(min=1 / max(height, width))
    weights: Tensor = frequency**-power
    mean = weights.mean()
    return weights.div(mean)


def filtered(image: Tensor, weights: Tensor) -> Tensor:
    """Multiply the spectrum of an image, shape (1, 3, height, width), by ``weights`` of :func:`spectral_filter`."""
    passed: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * weights, s=image.shape[-2:])
    return passed
