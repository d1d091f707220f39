"""The contestants, which are recipes of Atelier or peers, and the judging of their paintings."""

import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from json import JSONDecodeError, loads
from math import sqrt
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image

from engine.images.codec import fitted
from engine.painting.loop import paint
from engine.painting.reporter import Pace
from engine.recipe import Recipe
from engine.runtime.devices import choose
from engine.vgg import weights
from engine.vgg.vgg19 import load_cached
from tests.benchmarks import peers
from tests.benchmarks.contest import PEERS
from tests.benchmarks.measures import Judge, Measures
from tests.benchmarks.quality.pictures import Pair, image_of, scaled, tensor

Told = Callable[[int, int], None]
"""Called with the number of steps done and the number of all."""

OURS: Final = "ours"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to paint."""

    name: str
    recipe: Recipe | None
    """Atelier's; None for a peer, which is called as its class is."""


@dataclass(frozen=True, slots=True)
class Painted:
    """One painting and what it is worth."""

    contestant: str
    pair: Pair
    strength: float | None
    """Of the recipe; None for a peer."""
    image: Image.Image
    steps: int
    seconds: float
    """What painting took, the network already in memory. No measurement of speed: others may have been at work."""
    measures: Measures

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "contestant": self.contestant,
            "content_picture": self.pair.content.name,
            "style_picture": self.pair.style.name,
            "strength": self.strength,
            "width": self.image.width,
            "height": self.image.height,
            "steps": self.steps,
            "seconds": round(self.seconds, 2),
            **self.measures.numbers(),
            "style_layers": dict(self.measures.style_layers),
        }


def fields(told: Sequence[str]) -> dict[str, Any]:
    """A recipe's fields from ``KEY=VALUE`` each: a value is read as JSON where it is JSON, else as the text it is.

    Raises ``ValueError`` for what has no ``=``.
    """
    found: dict[str, Any] = {}
    for each in told:
        key, equals, value = each.partition("=")
        if not equals:
            raise ValueError(f"{each!r} is not KEY=VALUE")
        try:
            found[key.strip()] = loads(value)
        except JSONDecodeError:
            found[key.strip()] = value
    return found


def candidate(told: str) -> tuple[str, dict[str, Any]]:
    """A name and a recipe's fields from ``NAME:KEY=VALUE,KEY=VALUE``; commas within a JSON value part nothing."""
    name, colon, rest = told.partition(":")
    if not (colon and re.fullmatch(r"[\w.+-]+", name)):
        raise ValueError(f"{told!r} is not NAME:KEY=VALUE,KEY=VALUE")
    return name, fields(re.split(r",(?=\s*\w+=)", rest))


class Studio:
    """Has paintings made and judged, all of one size and on one device, and keeps their files."""

    def __init__(self, size: int, device: str, source: str, folder: Path) -> None:
        """``source`` of the weights; ``folder`` for the paintings."""
        self._size = size
        self._device_name = device
        self._device = choose(device).device
        self._source = source
        self._folder = folder
        self._judges: dict[tuple[str, tuple[int, int]], Judge] = {}
        self._network_of = cache(lambda peer: PEERS[peer].network(weights.load(source)))

    def paint(self, contestant: Contestant, pair: Pair, told: Told) -> Painted:
        """One painting, from files in memory to its measures."""
        recipe = contestant.recipe
        if recipe is None:
            image, steps, seconds = self._by_peer(contestant.name, pair, told)
        else:
            image, steps, seconds = self._by_us(recipe, pair, told)
        strength = None if recipe is None else recipe.strength
        at = "" if strength is None else f"-{strength:g}"
        self._folder.mkdir(parents=True, exist_ok=True)
        image.save(self._folder / f"{contestant.name}-{pair.name}{at}.png")
        measures = self.judge(pair, image.size)(tensor(image, self._device))
        return Painted(contestant.name, pair, strength, image, steps, seconds, measures)

    def judge(self, pair: Pair, size: tuple[int, int]) -> Judge:
        """Of paintings of ``pair`` of ``size`` (width, height)."""
        key = (pair.name, size)
        if key not in self._judges:
            content = pair.content.picture.rgb.resize(size, Image.Resampling.LANCZOS)
            style = scaled(pair.style.picture.rgb, max(size))
            network = load_cached(self._source, self._device, torch.float32)
            self._judges[key] = Judge(network, tensor(content, self._device), tensor(style, self._device))
        return self._judges[key]

    def itself(self, pair: Pair) -> dict[str, Painted]:
        """Content and style as if each were the painting: what the measures say of them. The style has the content's
        shape, so its strokes are not quite its own, and its style distance is not quite 0.
        """
        judge = self.judge(pair, fitted(pair.content.picture.rgb.size, self._size))
        found = {"the content": judge.content, "the style, stretched": judge.stretched}
        return {
            name: Painted(name, pair, None, to_pil_image(picture[0].cpu()), 0, 0.0, judge(picture))
            for name, picture in found.items()
        }

    def _by_us(self, recipe: Recipe, pair: Pair, told: Told) -> tuple[Image.Image, int, float]:
        compute = choose(self._device_name, recipe.precision)
        network = load_cached(self._source, compute.device, compute.dtype)
        pace = Pace(preview=None, checkpoint=None)
        painting = paint(pair.content.picture, [pair.style.picture], recipe, network, pace=pace)
        while True:
            try:
                progress = next(painting)
            except StopIteration as end:
                return image_of(end.value.picture), end.value.steps, end.value.seconds
            told(progress.step, progress.steps)

    def _by_peer(self, name: str, pair: Pair, told: Told) -> tuple[Image.Image, int, float]:
        """The style has the content's number of pixels and its own shape: sums over places are then comparable."""
        network = self._network_of(name)
        with tempfile.TemporaryDirectory() as folder:
            content = scaled(pair.content.picture.rgb, self._size)
            style = pair.style.picture.rgb
            factor = sqrt(content.width * content.height / (style.width * style.height))
            style = style.resize((round(style.width * factor), round(style.height * factor)), Image.Resampling.LANCZOS)
            files = peers.Pair(Path(folder) / "content.png", Path(folder) / "style.png")
            content.save(files.content)
            style.save(files.style)
            began = time.perf_counter()
            peer = PEERS[name](files, network, self._device)
            for step in range(1, peer.steps + 1):
                peer.step()
                told(step, peer.steps)
            pixels = peer.image.clamp(0, 1)[0].cpu()
        image: Image.Image = to_pil_image(pixels)
        return image, peer.steps, time.perf_counter() - began
