"""Shifts an image by a pixel from step to step, so that VGG19's pooling falls on other pixels each time."""

import torch
from torch import Tensor
from torch.nn import functional as F


class PoolingShift:
    """Shifts images by 0 or 1 pixel down and to the right. Each of the four shifts occurs once in four steps.

    Max pooling passes gradients to one pixel of each square of two by two. With the squares always at the same place,
    the optimiser treats even and odd rows differently, which shows as a weave. So it does with the four shifts in the
    same order each time, as the learning rate falls and the first of them counts most.
    """

    def __init__(self, device: torch.device) -> None:
        # Tensors, so that a CUDA graph that was recorded at one step reads the shift of the next.
        self._down, self._right = (torch.zeros((), dtype=torch.bool, device=device) for _ in range(2))

    def begin_step(self, step: int) -> None:
        """Choose the shift of a step of a scale, from 0: the same again when a painting resumes there.

        Every other four steps have the opposite shifts, in the order of the Thue-Morse sequence.
        """
        self._down.fill_(step.bit_count() % 2)
        self._right.fill_(((step // 4).bit_count() + step) % 2)

    def __call__(self, image: Tensor) -> Tensor:
        """Shift an image of shape (1, 3, height, width). The first row and column repeat where it leaves a gap."""
        image = torch.where(self._down, F.pad(image, (0, 0, 1, 0), mode="replicate")[..., :-1, :], image)
        return torch.where(self._right, F.pad(image, (1, 0, 0, 0), mode="replicate")[..., :-1], image)
