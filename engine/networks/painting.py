"""Paints by a trained network: one pass instead of an optimisation."""

import time
from collections.abc import Generator, Sequence
from typing import Final

import torch
from PIL import Image
from torch import Tensor

from engine.images.codec import Picture, fitted, flattened
from engine.images.colour import Palette, recoloured, with_colours_of
from engine.images.compose import compose
from engine.images.encoding import encode_within
from engine.images.resampling import resampled, resized
from engine.networks.file import FULL_STRENGTH, NetworkFile, by_network, is_network
from engine.networks.network import NOISE, StyleNetwork
from engine.networks.pixels import picture_of, tensor_of
from engine.painting.checkpoint import FinalState, to_bytes
from engine.painting.masks import find
from engine.painting.memory import out_of_memory
from engine.painting.options import RunOptions
from engine.progress import THUMBNAIL_BYTES, Progress, Result, StopToken
from engine.recipe import Recipe
from engine.runtime.devices import Compute

_USUAL_NOISE: Final = 0.01
"""The default of ``recipe.noise``, for which a network gets the noise that it was trained with."""


def paints(recipe: Recipe, styles: Sequence[bytes]) -> bool:
    """Whether a recipe with these style files is painted by a network, which has to be the only style."""
    return len(styles) == 1 and is_network(styles[0]) and by_network(recipe)


def loaded(data: bytes, device: torch.device) -> StyleNetwork:
    """The network of a file, on a device. This takes about 10 ms, so no network is kept.

    Raises:
        NetworkUnusable: it is none.
    """
    return StyleNetwork.of(NetworkFile.read(data)).to(device)


def paint(
    content: Picture,
    mask: Picture | None,
    recipe: Recipe,
    network: StyleNetwork,
    compute: Compute,
    options: RunOptions = RunOptions(),
) -> Generator[Progress, None, Result]:
    """Paint ``content`` in the first style of a network. The result is as of :func:`engine.painting.loop.paint`.

    ``recipe.strength`` mixes the content in below :data:`FULL_STRENGTH`. ``recipe.stroke`` is the factor by which the
    content is reduced before the network paints it. ``recipe.colours`` have their usual meaning. The painting takes one
    step, so it needs no checkpoints: ``options.resume``, ``final_state`` and ``observe`` are not used.

    Raises:
        PaintingCancelled: ``options.stop`` was cancelled.
        OutOfMemory: the device has too little memory.
    """
    began = time.monotonic()
    (options.stop or StopToken()).check()
    with out_of_memory(recipe.size):
        size = fitted(content.rgb.size, recipe.size)
        image = tensor_of(content.rgb, size).to(compute.device)
        part = find(content, mask, recipe)
        painted = _painted(image, network, recipe, compute)
        picture = picture_of(painted if part is None else part.blended(image, painted))
        alpha = content.alpha and content.alpha.resize(size, Image.Resampling.LANCZOS)
        encoded = encode_within(picture, options.max_bytes, alpha=alpha)
        flat = picture if alpha is None else flattened(picture, alpha)
        state = options.save(to_bytes(FinalState.of(recipe, painted))) if options.save else None
    seconds = time.monotonic() - began
    yield Progress(
        step=1,
        steps=1,
        scale=recipe.size,
        loss=0,
        content_loss=0,
        style_loss=0,
        elapsed=seconds,
        remaining=0,
        device=compute.name,
    )
    return Result(
        picture=encoded.data,
        format=encoded.format,
        quality=encoded.quality,
        width=picture.width,
        height=picture.height,
        recipe=recipe,
        steps=1,
        seconds=seconds,
        ending="finished",
        shown=() if content.shown is None else (content.shown, None),
        not_found=part is None and recipe.where != "everything",
        checkpoint=state,
        thumbnail=compose("thumbnail", [flat], THUMBNAIL_BYTES),
    )


@torch.no_grad()
def _painted(image: Tensor, network: StyleNetwork, recipe: Recipe, compute: Compute) -> Tensor:
    """The painting of an image, shape (1, 3, height, width), in [0, 1]."""
    width, height = image.shape[-1], image.shape[-2]
    side = min(2 * recipe.size, max(64, round(recipe.size / recipe.stroke)))
    small = resized(image, fitted((width, height), side))
    # As for an optimisation: strokes in flat areas grow from noise, and another seed gives another painting.
    noise = torch.randn(small.shape, generator=torch.Generator().manual_seed(recipe.seed)).to(small)
    mix = torch.zeros(1, network.styles, device=image.device)
    mix[0, 0] = 1
    with torch.autocast(compute.device.type, compute.dtype, enabled=compute.dtype != torch.float32):
        painted = network(small, mix, NOISE * (recipe.noise / _USUAL_NOISE) * noise)
    if painted.shape != image.shape:
        detail = image - resampled(small, (width, height)) if side < recipe.size else 0
        painted = (resized(painted, (width, height)) + detail).clamp(0, 1)
    if recipe.colours == "matched":
        painted = recoloured(painted, Palette.of(image))
    elif recipe.colours == "content":
        painted = with_colours_of(painted, image)
    return image.lerp(painted, min(1.0, recipe.strength / FULL_STRENGTH))
