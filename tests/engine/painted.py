"""Small paintings, from decoded pictures to encoded bytes, and measures of a painting."""

import io
import math
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from engine.images.codec import Picture, fitted
from engine.painting.checkpoint import Checkpoint, from_bytes, to_bytes
from engine.painting.loop import PREVIEW_QUALITY, paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.progress import Progress, Result
from engine.recipe import Inputs, Layer, Recipe
from engine.vgg import weights
from engine.vgg.vgg19 import VGG19
from tests.engine.images import corpus

Array = NDArray[np.float64]

EVERY_STEP = Pace(progress=0, preview=None, checkpoint=None)
ALL = Pace(progress=0, preview=0, first_preview=0, checkpoint=0)

CONTENT = Picture(corpus.scene(96, 64))
STYLE = Picture(corpus.stripes(96, 80))
INPUTS = Inputs(CONTENT, (STYLE,))
_OPTIONS = {each.name for each in fields(RunOptions)}


@cache
def narrow_network(dtype: torch.dtype) -> VGG19:
    """VGG19 with the first eighth of the channels of each layer, on the CPU."""
    parameters = weights.load("embedded")
    before = 3
    for index in weights.CONVOLUTIONS.values():
        weight, bias = (parameters[f"{index}.{name}"] for name in ("weight", "bias"))
        after = len(bias) // 8
        gain = math.sqrt(weight.shape[1] / before)  # so that sums of fewer channels deviate as much
        parameters |= {f"{index}.weight": gain * weight[:after, :before], f"{index}.bias": bias[:after]}
        before = after
    return VGG19(parameters, torch.device("cpu"), dtype)


class SavedStates(dict[str, bytes]):
    """Saves states under numbers, in memory."""

    def save(self, data: bytes) -> str:
        name = f"checkpoint {len(self)}"
        self[name] = data
        return name

    @property
    def last(self) -> bytes:
        return list(self.values())[-1]


@dataclass
class Painted:
    """A painting that ended, and its events."""

    result: Result
    events: list[Progress] = field(default_factory=list)

    @property
    def image(self) -> Image.Image:
        return Image.open(io.BytesIO(self.result.picture))

    @property
    def pixels(self) -> Array:
        return levels(self.image)

    @property
    def losses(self) -> list[float]:
        return [event.loss for event in self.events]


def drained(painting: Generator[Progress, None, Result]) -> Painted:
    events = []
    while True:
        try:
            events.append(next(painting))
        except StopIteration as end:
            return Painted(end.value, events)


def painted(
    network: VGG19,
    content: Picture = CONTENT,
    styles: Sequence[Picture] = (STYLE,),
    mask: Picture | None = None,
    **chosen: Any,
) -> Painted:
    """``chosen`` are fields of the recipe and of :class:`RunOptions`."""
    options: dict[str, Any] = {"pace": EVERY_STEP}
    options |= {name: chosen.pop(name) for name in _OPTIONS & chosen.keys()}
    recipe = Recipe(**({"size": 64, "steps": 12} | chosen))
    return drained(paint(Inputs(content, tuple(styles), mask), recipe, network, RunOptions(**options)))


def images(network: VGG19, steps: int, **fields: Any) -> list[Tensor]:
    """The exact image after each of the first ``steps`` steps of a painting."""
    saved = SavedStates()
    inputs = Inputs(fields.pop("content", CONTENT), tuple(fields.pop("styles", [STYLE])))
    recipe = Recipe(**({"size": 64, "steps": 12} | fields))
    painting = paint(inputs, recipe, network, RunOptions(pace=ALL, save=saved.save))
    for _ in range(steps):
        next(painting)
    painting.close()
    return [read(each).image for each in saved.values()]


def saved_after(steps: int, network: VGG19, recipe: Recipe, content: Picture = CONTENT) -> bytes:
    """The checkpoint of a painting after this number of steps."""
    saved = SavedStates()
    painting = paint(Inputs(content, (STYLE,)), recipe, network, RunOptions(pace=ALL, save=saved.save))
    for _ in range(steps):
        next(painting)
    painting.close()
    return saved.last


def read(data: bytes) -> Checkpoint:
    """A state that was saved between two steps."""
    state = from_bytes(data, Checkpoint)
    assert isinstance(state, Checkpoint)
    return state


def remade(checkpoint: bytes, **fields: Any) -> bytes:
    return to_bytes(replace(read(checkpoint), **fields))


class RecordingNetwork:
    """A network that records the sizes of its inputs."""

    def __init__(self, network: VGG19) -> None:
        self._network = network
        self.sizes: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def features(
        self, image: Tensor, layers: Collection[Layer], check: Callable[[], None], **options: Any
    ) -> dict[Layer, Tensor]:
        self.sizes.append((image.shape[-1], image.shape[-2]))
        return self._network.features(image, layers, check, **options)


# --- Measures of a picture ---


def shown(picture: Picture, size: int = 64) -> Image.Image:
    return picture.rgb.resize(fitted(picture.rgb.size, size), Image.Resampling.LANCZOS)


def levels(image: Image.Image) -> Array:
    return np.asarray(image.convert("RGB"), dtype=np.float64)


def tensor(image: Image.Image) -> Tensor:
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


HELD_OUT: tuple[Layer, ...] = ("relu2_2", "relu3_4", "relu4_4")
"""Layers that no recipe of these tests optimises."""


def layer_distances(
    network: VGG19, image: Image.Image, style: Image.Image, layers: Sequence[Layer]
) -> dict[Layer, float]:
    """Between the correlations of the channels, relative to the style's, layer by layer."""

    def correlations(each: Image.Image) -> dict[Layer, Tensor]:
        with torch.no_grad():
            found = network.features(tensor(each), layers)
        return {
            name: torch.einsum("bchw,bdhw->cd", found[name], found[name]) / found[name][0, 0].numel() for name in layers
        }

    ours, theirs = correlations(image), correlations(style)
    return {name: float((ours[name] - theirs[name]).norm() / theirs[name].norm()) for name in layers}


def style_distance(network: VGG19, image: Image.Image, style: Image.Image) -> float:
    """At layers that were not optimised."""
    return sum(layer_distances(network, image, style, HELD_OUT).values()) / len(HELD_OUT)


def local_contrast(pixels: Array) -> float:
    """Mean difference of a pixel from the mean of its neighbours, in levels."""
    around = (pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]) / 4
    return float(abs(pixels[1:-1, 1:-1] - around).mean())


def same_but_for_jpeg(preview: bytes, image: Image.Image) -> bool:
    """Whether the preview is this image, as Pillow writes a JPEG of that quality."""
    expected = corpus.saved(image, "JPEG", quality=PREVIEW_QUALITY, subsampling=0)
    return Image.open(io.BytesIO(preview)).tobytes() == Image.open(io.BytesIO(expected)).tobytes()
