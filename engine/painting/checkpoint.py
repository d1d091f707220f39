"""The states of a painting that are saved: one between two steps, to resume it, and the final one, to build on it."""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar

import torch
from torch import Tensor

from engine.images.codec import fitted
from engine.optim.optimisers import optimiser
from engine.painting.pyramid import SCHEDULES
from engine.recipe import LARGEST_SIZE, SMALLEST_SIZE, Recipe

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A painting between two steps. Resumed on the same device, it ends in the same bytes as without a break.

    With L-BFGS it does not: a checkpoint lacks its history, which is twenty times as large as the image. Takes 48 bytes
    per pixel with Adam, 24 with L-BFGS.
    """

    recipe: str
    """The :attr:`engine.recipe.Recipe.id` of the painting's recipe."""
    continued: int
    """The size of the image that the painting started from; 0 if it started from its pictures."""
    size: int
    """The longer side of the painting, in pixels: less than the recipe's where the memory was too small."""
    scale: int
    """Index of the scale."""
    step: int
    """Steps done within that scale."""
    elapsed: float
    """Seconds of work so far."""
    image: Tensor
    """Shape (1, 3, height, width), float32, in [0, 1]."""
    before: Tensor
    """The image up to ten steps ago, to detect that it no longer changes. Same shape."""
    state: Mapping[str, Tensor]
    """The optimiser's, see :meth:`engine.optim.optimisers.Optimiser.state`."""

    def validate(self, recipe: Recipe, content: tuple[int, int]) -> None:
        """Check that the painting of ``recipe`` and of a content of (width, height) pixels can resume from here.

        Raises:
            ValueError: it can't.
            Exception: a field has another type than above.
        """
        if self.recipe != recipe.id:
            raise ValueError(f"recipe {self.recipe}, not {recipe.id}")
        pyramid = SCHEDULES[recipe.method].scales(recipe.size, recipe.steps, self.continued, recipe.strength)
        if not 0 <= self.scale < len(pyramid):
            raise ValueError(f"scale {self.scale} of {len(pyramid)}")
        if not SMALLEST_SIZE <= self.size <= recipe.size:
            raise ValueError(f"{self.size} px of {recipe.size}")
        shrunk = self.size < recipe.size
        left = pyramid[self.scale :] if shrunk else pyramid[self.scale : self.scale + 1]
        if not 0 < self.step <= sum(scale.steps for scale in left):
            raise ValueError(f"step {self.step} of a scale")
        if not self.elapsed >= 0:
            raise ValueError(f"{self.elapsed} s")
        for tensor in (self.image, self.before):
            _validate_image(tensor, torch.float32, content, self.size if shrunk else pyramid[self.scale].size)
            if not tensor.isfinite().all():
                raise ValueError("an image with values that are not finite")
        optimiser(recipe.optimiser, self.image, dict(self.state))


@dataclass(frozen=True, slots=True)
class FinalState:
    """The image at the end of a painting, from which another painting can start. Takes 3 bytes per pixel.

    8 bits per channel are enough: the first steps of the next painting change each pixel by several grey levels. The
    moments of Adam are left out. They would take 24 bytes per pixel, and forget their past within ten steps.
    """

    size: int
    """The longer side in pixels."""
    image: Tensor
    """Shape (1, 3, height, width), uint8. The optimiser's image, before colours are taken from the content."""
    strength: float
    """Of the painting's recipe; 0 if unknown."""
    stroke: float
    """Of the painting's recipe; 0 if unknown."""

    @classmethod
    def of(cls, recipe: Recipe, image: Tensor) -> "FinalState":
        """The state for an ``image``, shape (1, 3, height, width) in [0, 1], of the recipe's size."""
        pixels = image.mul(255).round().to(torch.uint8).cpu()
        return cls(recipe.size, pixels, recipe.strength, recipe.stroke)

    def validate(self, content: tuple[int, int]) -> None:
        """Check that a painting of a content of (width, height) pixels can start from here.

        Raises:
            ValueError: the aspect ratio differs.
            Exception: a field has another type than above.
        """
        if not SMALLEST_SIZE <= self.size <= LARGEST_SIZE:
            raise ValueError(f"{self.size} px")
        if not 0 <= self.strength <= 100 or not 0 <= self.stroke < math.inf:
            raise ValueError(f"strength {self.strength}, stroke {self.stroke}")
        _validate_image(self.image, torch.uint8, content, self.size)


@dataclass(frozen=True, slots=True)
class ClipCheckpoint:
    """The frames of a clip that are painted. Takes 3 bytes per pixel of them."""

    recipe: str
    """The :attr:`engine.recipe.Recipe.id` of the clip's recipe."""
    size: int
    """The longer side of the frames, in pixels."""
    finished: int
    """Stages of the work that are finished."""
    steps: int
    """Steps so far."""
    elapsed: float
    """Seconds of work so far."""
    hurried: bool
    """Whether frames took fewer steps after a request to finish."""
    frames: Tensor
    """Shape (frames, 3, height, width), uint8."""
    first_frame: Tensor
    """The bytes of a :class:`Checkpoint` of the first frame, uint8, while that is not finished; else empty."""

    def validate(self, recipe: Recipe, content: tuple[int, int], frames: int, stages: int) -> None:
        """Check that the clip of ``recipe``, of so many frames of (width, height) pixels, can resume from here.

        Raises:
            ValueError: it can't.
            Exception: a field has another type than above.
        """
        if self.recipe != recipe.id:
            raise ValueError(f"recipe {self.recipe}, not {recipe.id}")
        if not SMALLEST_SIZE <= self.size <= recipe.size:
            raise ValueError(f"{self.size} px of {recipe.size}")
        if not 0 <= self.finished <= stages or len(self.frames) != min(self.finished, frames):
            raise ValueError(f"{len(self.frames)} frames after {self.finished} of {stages} stages")
        if not self.elapsed >= 0 or self.steps < 0 or self.first_frame.dtype != torch.uint8:
            raise ValueError(f"{self.steps} steps in {self.elapsed} s")
        for frame in self.frames.split(1) if self.finished else ():
            _validate_image(frame, torch.uint8, content, self.size)


State = TypeVar("State", Checkpoint, FinalState, ClipCheckpoint)


def to_bytes(state: Checkpoint | FinalState | ClipCheckpoint) -> bytes:
    """Serialise a state."""
    buffer = BytesIO()
    torch.save({name: getattr(state, name) for name in state.__slots__}, buffer)
    return buffer.getvalue()


def from_bytes(data: bytes, kind: type[State]) -> State:
    """Undo :func:`to_bytes`. Reads only tensors and numbers (``weights_only``), so the bytes can't run code.

    Raises:
        TypeError: it is a state of another kind.
        Exception: whatever torch's unpickler and reader of zip files raise for other bytes.
    """
    fields = torch.load(BytesIO(data), weights_only=True)
    if fields.keys() == {"size", "image"}:  # of an older version
        fields |= {"strength": 0.0, "stroke": 0.0}
    return kind(**fields)


def usable(data: bytes | None, kind: type[State], validate: Callable[[State], None]) -> State | None:
    """The state in these bytes. None where there is none, or where it can't be used, which is logged.

    Args:
        data: what :func:`to_bytes` has made.
        kind: of the state.
        validate: raises if the painting can't go on from this state.
    """
    if data is None:
        return None
    try:
        state = from_bytes(data, kind)
        validate(state)
    except MemoryError:
        raise
    except Exception as error:  # torch.load raises whatever its unpickler or its zip reader does
        log.warning("a checkpoint can't be used, the painting starts over: %s: %s", type(error).__name__, error)
        return None
    return state


def _validate_image(image: Tensor, dtype: torch.dtype, content: tuple[int, int], size: int) -> None:
    width, height = fitted(content, size)
    if image.shape != (1, 3, height, width) or image.dtype != dtype:
        raise ValueError(f"{image.dtype} of {tuple(image.shape)} for {width} × {height} px")
