"""What a training is to do, and how far it is. Imports no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from engine.networks.file import WIDEST
from engine.recipe import Layer, Recipe

STEPS: Final = 40_000
"""The steps after which a training ends, if its minutes do not end it before."""
CROP: Final = 128
"""The side, in pixels, of the squares of photos that a network is trained on at first."""
LARGE: Final = 0.8, 1.5
"""The share of the training after which the squares are larger, and how many times. Small ones take less time, and
teach most of what large ones do."""
EASED: Final = 0.6
"""The share of the training in which the objective's strength falls to its last value."""
MARGIN: Final = 8
"""Pixels that are painted beyond the squares that the objective sees, which begin at another pixel each time. Where
VGG19's squares of two pixels always met the same ones of a network's, it would learn a weave."""
EVENED: Final = 0.65, 100.0
"""The share of the training after which unevenness is a loss, too, and its weight. Strokes are learned before."""
STYLE_SIDE: Final = 512
"""The longer side, in pixels, of the style pictures meanwhile: strokes as in a painting of 512 px."""
LAYERS: Final[Mapping[Layer, float]] = {"relu1_1": 1.0, "relu2_1": 1.0, "relu3_1": 1.0, "relu4_1": 1.0}
"""The style layers of the objective. relu5_1 has few places in such a square, and takes a fifth of the time."""
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
    batch: int = 1
    """Photos in each step."""
    crop: int = CROP
    strength: tuple[float, float] = (72.0, 50.0)
    """Of the objective at first and from :data:`EASED` on, as :attr:`engine.recipe.Recipe.strength`. With a low one all
    the time, a network stays near the photo, and learns strokes late."""
    seed: int = 0
    widths: tuple[int, int] = WIDEST
    """The widths of a new network: see :class:`engine.networks.file.Card`."""
    learning_rate: float = 1e-3
    """The highest of Adam, for a new network. A fine-tuning takes half of it for the convolutions."""

    def done(self, step: int, seconds: float) -> float:
        """The share of the training that is done, from 0 to 1, after ``step`` steps and ``seconds``."""
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(step / self.steps, by_time))

    def rate(self, done: float) -> float:
        """The learning rate: a linear rise over the first 1 %, then cosine annealing to nearly 0."""
        return self.learning_rate * min(1.0, 0.1 + done / 0.01) * max(0.01, (1 + math.cos(math.pi * done)) / 2)

    def side(self, done: float) -> int:
        """The side, in pixels, of the squares of photos."""
        after, times = LARGE
        return round(self.crop * times) if done >= after else self.crop

    def recipe(self, side: int, done: float) -> Recipe:
        """Whose objective is minimised in squares of ``side`` pixels."""
        first, last = self.strength
        strength = last + (first - last) * max(0.0, 1 - done / EASED)
        return Recipe(size=side, stroke=min(4.0, STYLE_SIDE / side), strength=strength, style_layers=LAYERS)


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
