"""Enough of a painting to go on from where it was: the image, Adam's state, the scale and the step."""

from dataclasses import dataclass
from io import BytesIO

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A painting between two steps. Restored on the same device, it ends in the same bytes as without a break."""

    scale: int
    """Index of the scale that was worked on."""
    step: int
    """Steps done within that scale."""
    adam_step: float
    """Adam's own count over all scales, for its bias correction."""
    elapsed: float
    """Seconds of work so far."""
    image: Tensor
    first_moment: Tensor
    second_moment: Tensor
    """Each of shape (1, 3, height, width), float32."""

    def to_bytes(self) -> bytes:
        """Serialise; 36 bytes a pixel."""
        buffer = BytesIO()
        torch.save({name: getattr(self, name) for name in self.__slots__}, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Undo :meth:`to_bytes`. Reads tensors and numbers alone (``weights_only``), so the bytes can't run code."""
        return cls(**torch.load(BytesIO(data), weights_only=True))
