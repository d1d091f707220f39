"""Nearest neighbours: each place of a painting resembles a place of the style.

Kolkin et al., "Neural Neighbor Style Transfer" (2022), with features of VGG19 that are matched layer by layer. A Gram
matrix averages over a whole picture. A neighbour is one place of the style, so whole strokes are taken over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from engine.recipe import Layer

NEIGHBOUR_LAYERS: Final[tuple[Layer, ...]] = ("relu2_1", "relu3_1", "relu3_3", "relu4_1")
ROWS: Final = 4096
"""The most places of the styles in a bank."""
PLACES: Final = 1024
"""The most places of a painting that are compared in one step."""
SIDE: Final = 32
"""√:data:`PLACES`."""
_LEAST_NORM: Final = 0.1
"""The least norm by which a centred row is divided, relative to the rows before they are centred. It lets the rows of a
plain style count for little, instead of making their noise as long as all other rows.
"""
_EPSILON: Final = 1e-8


class Places:
    """Chooses the places of a painting that are compared: other ones at each step, spread evenly.

    The painting is divided into a grid of cells, and each cell gives one place. The places of a step follow from the
    seed and the step, so they are the same again when a painting resumes there.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        # A tensor, so that a CUDA graph that was recorded at one step reads the places of the next.
        self._within = torch.zeros((2, PLACES), device=device)
        self.begin_step(0)

    def begin_step(self, step: int) -> None:
        """Choose the places of a step, counted over all scales."""
        generator = torch.Generator().manual_seed((self._seed + step) % 2**63)
        self._within.copy_(torch.rand((2, PLACES), generator=generator))

    def __call__(self, height: int, width: int) -> Tensor:
        """Distinct indices into the flattened places of ``height`` rows, at most :data:`PLACES`."""
        down = min(height, max(SIDE, PLACES // width))
        across = min(width, PLACES // down)
        device = self._within.device
        cells = torch.arange(down * across, device=device)
        rows = _in_cell(cells // across, down, height, self._within[0, : len(cells)])
        columns = _in_cell(cells % across, across, width, self._within[1, : len(cells)])
        return rows * width + columns


def _in_cell(cell: Tensor, cells: int, length: int, within: Tensor) -> Tensor:
    """A position in each ``cell`` of a length that is divided into so many ``cells``; ``within`` is in [0, 1)."""
    first, end = cell * length // cells, (cell + 1) * length // cells
    return torch.minimum(first + (within * (end - first)).long(), end - 1)


class _Chosen(torch.autograd.Function):
    """Chooses some rows of a matrix by distinct indices. The gradient is deterministic: each row is written once."""

    @staticmethod
    def forward(context: Any, rows: Tensor, indices: Tensor) -> Tensor:
        context.save_for_backward(indices)
        context.total = len(rows)
        return rows.index_select(0, indices)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (indices,) = context.saved_tensors
        passed = gradient.new_zeros((context.total, gradient.shape[1]))
        passed[indices] = gradient
        return passed, None


def _summed(rows: Tensor, indices: Tensor, length: int) -> Tensor:
    """A matrix of ``length`` rows, each the sum of the ``rows`` with its index: in the same order each time.

    Autograd's gradient of an indexing adds in an order that depends on threads.
    """
    if rows.device.type != "cpu":  # a GPU adds in parallel by indices, and in order in a product
        chosen = indices == torch.arange(length, device=rows.device)[:, None]
        return (chosen.to(rows.dtype) @ rows).float()
    sums = torch.zeros((length, rows.shape[1]))
    return sums.index_add_(0, indices, rows.float())


def _unit(rows: Tensor, mean: Tensor, least: Tensor) -> Tensor:
    """Rows centred and divided by their norms, in float32."""
    centred = rows.float() - mean
    return centred / torch.maximum(centred.norm(dim=1, keepdim=True), least)


def rows_of(features: Tensor) -> Tensor:
    """Features of shape (1, channels, height, width) as a matrix with one row for each place."""
    return features.permute(0, 2, 3, 1).flatten(0, 2)


@dataclass(frozen=True, slots=True)
class Bank:
    """Places of the styles at one layer, among which neighbours are looked for."""

    mean: Tensor
    """The mean of the styles' rows, shape (channels,), float32. It is subtracted from each row."""
    least: Tensor
    """The least norm by which a centred row is divided, a scalar."""
    rows: Tensor
    """Centred and divided by their norms, shape (rows, channels), in the precision of the features."""

    @classmethod
    def of(cls, styles: Sequence[Tensor], shares: Sequence[float], seed: int) -> "Bank":
        """The bank of the styles' features, each of shape (1, channels, height, width).

        It has at most :data:`ROWS` rows, drawn at random. Each style has its share of them.
        """
        parts = [share / sum(shares) for share in shares]
        matrices = [rows_of(each) for each in styles]
        total = min([ROWS, *(len(each) / part for each, part in zip(matrices, parts, strict=True) if part)])
        mean = torch.zeros_like(matrices[0][0], dtype=torch.float32)
        square, chosen = torch.zeros_like(mean[0]), []
        for matrix, part in zip(matrices, parts, strict=True):
            if part:
                mean = mean + part * matrix.float().mean(dim=0)
                square += part * matrix.float().square().sum(dim=1).mean()
                order = torch.randperm(len(matrix), generator=torch.Generator().manual_seed(seed))
                chosen.append(matrix[order[: max(1, round(part * total))].to(matrix.device)])
        least = (_LEAST_NORM * square.sqrt()).clamp(min=_EPSILON)
        return cls(mean, least, _unit(torch.cat(chosen), mean, least).to(matrices[0].dtype))

    def distance(self, rows: Tensor) -> Tensor:
        """The mean of 1 - cos between neighbours: of each of ``rows`` in the bank, and of each row of the bank in them.

        The second half takes care that much of the style occurs: by the first one alone, a plain painting could consist
        of the plainest place of the style. The neighbour of a row x is the row y of the bank with the largest
        cos(x, y) - r(y) / 2, where r(y) is the largest cosine of y with any of ``rows``. Without r, few places of the
        style would be the neighbours of most places: hubs, see Conneau et al., "Word Translation Without Parallel Data"
        (ICLR 2018), equation 3. The choice of neighbours has no gradient.
        """
        unit = _unit(rows, self.mean, self.least)
        with torch.no_grad():
            short = unit.to(self.rows.dtype)
            # On a CPU in bfloat16, argmax takes five times as long, and the maximum over columns ten times.
            back = (self.rows @ short.T).max(dim=1)
            chosen = torch.addmm(back.values, short, self.rows.T, beta=-0.5).max(dim=1).indices
            nearest = self.rows[chosen]
            sums = _summed(self.rows, back.indices, len(rows))
        return 1 - ((unit * nearest).sum() / len(rows) + (unit * sums).sum() / len(self.rows)) / 2


def places_in(cover: Tensor) -> Tensor:
    """Indices of the flattened places of a part: at least one, of a ``cover`` from 0 to 1."""
    flat = cover.flatten()
    return (flat >= min(0.5, flat.max().item())).nonzero()[:, 0]


@dataclass(frozen=True, slots=True)
class NeighbourTerm:
    """The mean over the layers of :meth:`Bank.distance`."""

    weight: float
    banks: Mapping[Layer, Bank]
    places: Places
    inside: Mapping[Layer, Tensor] = field(default_factory=dict)
    """The places of a part of the painting, see :func:`places_in`; none for the whole painting."""

    @property
    def layers(self) -> frozenset[Layer]:
        """The layers of the banks."""
        return frozenset(self.banks)

    def __call__(self, features: Mapping[Layer, Tensor], image: Tensor) -> Tensor:
        """About 0 for a picture of the bank's places, at most 2."""
        distances = []
        for layer, bank in self.banks.items():
            places = self._places(layer, features[layer])
            distances.append(bank.distance(_Chosen.apply(rows_of(features[layer]), places)))
        return torch.stack(distances).mean()

    def _places(self, layer: Layer, features: Tensor) -> Tensor:
        if (inside := self.inside.get(layer)) is None:
            return self.places(*features.shape[-2:])
        return inside[self.places(len(inside), 1)]
