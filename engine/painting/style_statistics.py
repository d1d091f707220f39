"""The statistics of style pictures, in a cache that paintings share."""

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
"""The size of the cache. An entry is one picture at one size and takes 2.4 MB with the default layers."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The statistics of one picture at one size."""

    grams: dict[Layer, Tensor]
    """See :func:`engine.losses.gram.gram_matrix`, shape (1, channels, channels)."""
    energies: dict[Layer, Tensor]
    """The mean squares of the activations, scalars."""


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
    """The statistics of a picture: from the cache, or computed. Safe to call from several threads.

    Args:
        network: VGG19.
        image: shape (1, 3, height, width), RGB in [0, 1].
        grams: the layers whose Gram matrices are needed.
        energies: the layers whose energies are needed.
        pooling: of the network.
        check: called between layers. What it raises ends the computation.
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
