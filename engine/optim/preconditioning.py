"""Low frequencies first: an image's spectrum with the weights by which its optimisation is better conditioned."""

import torch
from torch import Tensor


def spectral_filter(image: Tensor, power: float) -> Tensor:
    """What multiplies each frequency's amplitude by frequency^-``power``, by 1 on average.

    Natural pictures have most of their energy in low frequencies, and a gradient on the pixels serves the high ones
    first. Olah, Mordvintsev and Schubert, "Feature Visualization" (Distill 2017), section on preconditioning.

    Args:
        image: of shape (1, 3, height, width); nothing but its shape and device count.
        power: 0 leaves everything as it is; a negative one undoes a positive one but for a factor.

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
    """Multiply the amplitudes of an image, shape (1, 3, height, width), by ``weights``."""
    passed: Tensor = torch.fft.irfft2(torch.fft.rfft2(image) * weights, s=image.shape[-2:])
    return passed
