"""What the optimisation needs to know of a style picture, kept from one painting to the next."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from threading import Lock
from typing import Final

import torch
from torch import Tensor

from engine.losses.gram import gram_matrix
from engine.recipe import Layer, Pooling
from engine.vgg.vgg19 import VGG19

KEPT: Final = 32
"""Pictures at one size each whose statistics are kept: 2.4 MB each with the default layers."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one picture at one size."""

    grams: dict[Layer, Tensor]
    """See :func:`engine.losses.gram.gram_matrix`."""
    energies: dict[Layer, Tensor]
    """Mean squares of the activations, scalars."""


_Key = tuple[VGG19, Pooling, frozenset[Layer], frozenset[Layer], tuple[int, ...], bytes]

_kept: OrderedDict[_Key, Statistics] = OrderedDict()
_lock = Lock()


@torch.no_grad()
def statistics(
    network: VGG19,
    image: Tensor,
    grams: Collection[Layer],
    energies: Collection[Layer],
    pooling: Pooling,
    check: Callable[[], None],
) -> Statistics:
    """Compute the statistics of ``image``, shape (1, 3, height, width) in [0, 1], or remember them.

    ``check`` may end the computation: see :meth:`engine.vgg.vgg19.VGG19.features`.
    """
    pixels = hashlib.sha256(image.cpu().contiguous().numpy().tobytes()).digest()
    key = (network, pooling, frozenset(grams), frozenset(energies), tuple(image.shape), pixels)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    features = network.features(image, {*grams, *energies}, check, pooling=pooling)
    found = Statistics(
        {layer: gram_matrix(features[layer]) for layer in grams},
        {layer: features[layer].float().square().mean() for layer in energies},
    )
    with _lock:
        _kept[key] = found
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return found
