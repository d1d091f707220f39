"""Enough of a painting to go on from where it was: the image, the optimiser's state, the scale and the step."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A painting between two steps. Restored on the same device, it ends in the same bytes as without a break.

    With L-BFGS it does not: its history, twenty images, would make each checkpoint twenty times as large.
    """

    size: int
    """The longer side of the painting, in pixels: smaller than ordered where the memory was too little."""
    scale: int
    """Index of the scale that was worked on."""
    step: int
    """Steps done within that scale."""
    elapsed: float
    """Seconds of work so far."""
    image: Tensor
    """Shape (1, 3, height, width), float32."""
    before: Tensor
    """The image some steps ago, to see whether it still changes; of the same shape."""
    state: Mapping[str, Tensor]
    """The optimiser's: see :mod:`engine.optim.optimisers`."""

    def to_bytes(self) -> bytes:
        """Serialise; 48 bytes a pixel with Adam's state."""
        buffer = BytesIO()
        torch.save({name: getattr(self, name) for name in self.__slots__}, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Undo :meth:`to_bytes`. Reads tensors and numbers alone (``weights_only``), so the bytes can't run code."""
        return cls(**torch.load(BytesIO(data), weights_only=True))
