"""What a training is to do, and how far it is. Imports no torch."""

import math
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from engine.networks.file import WIDEST
from engine.recipe import Recipe

STEPS: Final = 40_000
"""The steps after which a training ends, if its minutes do not end it before."""
CROP: Final = 192
"""The side, in pixels, of the squares of photos that a network is trained on."""
STYLE_SIDE: Final = 512
"""The longer side, in pixels, of the style pictures meanwhile: strokes as in a painting of 512 px."""
NORMS_SHARE: Final = 0.4
"""The share of a fine-tuning in which only the normalisations are trained."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to train, and at what."""

    minutes: float | None = None
    """The time of the training, without pauses. The learning rate falls with it. None for a training that ends after
    ``steps`` only: the same plan with the same pictures then gives the same network."""
    steps: int = STEPS
    """The most steps of the optimiser."""
    batch: int = 2
    """Photos in each step."""
    crop: int = CROP
    strength: float = 60.0
    """Of the objective, as :attr:`engine.recipe.Recipe.strength`."""
    seed: int = 0
    widths: tuple[int, int] = WIDEST
    """Of a new network: see :class:`engine.networks.file.Card`."""
    learning_rate: float = 1e-3
    """The highest of Adam, for a new network. A fine-tuning takes half of it for the convolutions."""

    def done(self, step: int, seconds: float) -> float:
        """The share of the training that is done, from 0 to 1, after ``step`` steps and ``seconds``."""
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(step / self.steps, by_time))

    def rate(self, done: float) -> float:
        """The learning rate: a linear rise over the first 1 %, then cosine annealing to nearly 0."""
        return self.learning_rate * min(1.0, 0.1 + done / 0.01) * max(0.01, (1 + math.cos(math.pi * done)) / 2)

    @property
    def recipe(self) -> Recipe:
        """Whose objective is minimised."""
        return Recipe(size=self.crop, stroke=min(4.0, STYLE_SIDE / self.crop), strength=self.strength)


@dataclass(frozen=True, slots=True)
class Trained:
    """One step of a training."""

    step: int
    done: float
    """The share of the training that is done, from 0 to 1."""
    seconds: float
    """Spent in training so far, without pauses."""
    loss: float
    content_loss: float
    style_loss: float
    """The losses, means over the last steps. See :class:`engine.losses.objective.Losses`."""


@dataclass(frozen=True, slots=True)
class TrainingOrder:
    """Everything that a worker needs for a training. The files are untrusted."""

    plan: Plan
    styles: tuple[bytes, ...]
    """The pictures, at least one."""
    photos: tuple[bytes, ...]
    """Pictures. Without any, the network is trained on the styles' pictures and on drawn ones."""
    base: bytes
    """The file of the network to fine-tune; empty for a new network."""

    @property
    def key(self) -> bytes:
        """32 bytes that identify the order. Equal ones differ in nothing but in the end of the training."""
        parts = (
            repr(replace(self.plan, minutes=None, steps=STEPS)).encode(),
            self.base,
            *self.styles,
            b"",
            *self.photos,
        )
        return sha256(b"".join(sha256(each).digest() for each in parts)).digest()


@dataclass(frozen=True, slots=True)
class TrainedChunk:
    """What a worker returns after some steps."""

    state: bytes
    """See :meth:`engine.networks.training.Training.state`."""
    trained: tuple[Trained, ...]
    """The steps."""
