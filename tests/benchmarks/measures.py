"""Quality measures of a painting that no contestant optimises, each with its formula.

All of them take the finished picture, 8 bits a channel, in float32. The style picture is scaled so that its longer
side is the painting's.

Distances are relative to the pair: 1 is the distance between the content and the style picture. :func:`flat` patches
and :func:`grain` are found in one picture alone. Content and style can have them, too (a wall is plain), so
:class:`Judge` compares them with theirs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

from engine.images.colour import oklab
from engine.recipe import Layer
from engine.vgg.vgg19 import VGG19

STYLE_LAYERS: Final[tuple[Layer, ...]] = ("relu2_2", "relu3_4", "relu4_4")
"""Held out: no objective here uses them, neither the peers' nor ours, unless a recipe asks for them."""
RELATION_LAYERS: Final[tuple[Layer, ...]] = ("relu3_4", "relu4_4")
"""Held out as well: what self-similarity is computed from. With ``detail`` a recipe of ours goes down the same
formula at another layer, so the measure is kinder to it than to those who don't.
"""
PLACES: Final = 1024
"""How many places of a layer are compared with one another at most, on a regular grid."""
WINDOW, SIGMA = 11, 1.5
QUANTILES: Final = 4096
PATCH: Final = 8
FLAT: Final = 3 / 255
"""Standard deviation of luminance, its grain smoothed away, under which a patch shows nothing to the eye."""
SMOOTHED: Final = 1.0
"""By a Gaussian of this deviation in pixels: it takes white noise of 10 grey levels under :data:`FLAT`, and leaves
lines 4 pixels apart three tenths of their height.
"""
PLAINEST: Final = 0.25
"""The share of a picture's patches that count as plain: those with the least of the finest band."""
GREY: Final = 0.04
"""Distance of a patch's mean colour from the grey axis of Oklab under which it has none to the eye; red has 0.26."""
CORNER: Final = 0.375
"""Cycles a pixel, in both directions, from which on a frequency is in the corner of the spectrum; 0.5 is the most."""
_TINY: Final = 1e-6


# --- Statistics of features ---


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (channels,) and covariance (channels, channels) of ``features`` (1, channels, height, width) over places.

    The covariance is the Gram matrix of the features without their mean, divided by the number of places. Taken
    apart, the two can't outvote each other: in a plain Gram matrix the mean is nearly everything.
    """
    rows = features[0].float().flatten(1).T
    mean = rows.mean(dim=0)
    rows = rows - mean
    return mean, rows.T @ rows / len(rows)


def style_distance(features: Tensor, style: Tensor) -> float:
    """From one layer to the style's: √(½(‖μ − μₛ‖² / ‖μₛ‖² + ‖Σ − Σₛ‖² / ‖Σₛ‖²)), Frobenius norms."""
    return distance(statistics(features), statistics(style))


def distance(found: tuple[Tensor, Tensor], style: tuple[Tensor, Tensor]) -> float:
    """The same for two results of :func:`statistics`."""
    terms = [
        (ours - theirs).square().sum() / theirs.square().sum().clamp(min=_TINY)
        for ours, theirs in zip(found, style, strict=True)
    ]
    return math.sqrt(float(sum(terms)) / 2)


def relations(features: Tensor) -> Tensor:
    """How unlike each place is to each other one: cosine distances (n, n), each column divided by its sum.

    Kolkin et al., "Style Transfer by Relaxed Optimal Transport and Self-Similarity" (CVPR 2019), equation 7. What a
    place looks like doesn't matter, only which others look like it: a picture may be recoloured and keep it.

    Args:
        features: (1, channels, height, width); of more than :data:`PLACES` places each k-th in both directions counts.
    """
    places = F.normalize(_spread(features)[0].float().flatten(1), dim=0)
    distances = (1 - places.T @ places).clamp(min=0)
    return distances / distances.sum(dim=0).clamp(min=_TINY)


def relation_distance(first: Tensor, second: Tensor) -> float:
    """Between two of :func:`relations`: half the sum of |D − D'| over a column, averaged over columns; 0 to 1."""
    return float((first - second).abs().sum(dim=0).mean() / 2)


def nearest_distances(features: Tensor, style: Tensor) -> tuple[float, float]:
    """Patches both ways at one layer: the mean of 1 − cos from each place of the painting to the most similar one of
    the style, and from each place of the style to the most similar one of the painting.

    The first is small where each place looks like the style, the second where all of the style occurs. Both pictures'
    features (1, channels, height, width) are centred by the style's mean; places are those of :func:`relations`.
    """
    mean = style[0].float().mean(dim=(1, 2), keepdim=True)
    ours, theirs = (F.normalize(_spread(each)[0].float().sub(mean).flatten(1), dim=0) for each in (features, style))
    cosines = ours.T @ theirs
    return float(1 - cosines.amax(dim=1).mean()), float(1 - cosines.amax(dim=0).mean())


def _spread(features: Tensor) -> Tensor:
    step = math.ceil(math.sqrt(features.shape[-2] * features.shape[-1] / PLACES))
    return features[..., ::step, ::step]


# --- Pixels ---


def luminance(picture: Tensor) -> Tensor:
    """(1, 1, height, width) from sRGB (1, 3, height, width), as it is coded: Rec. 601's luma."""
    return (picture * picture.new_tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def ssim(first: Tensor, second: Tensor) -> float:
    """Structural similarity of the luminance, −1 to 1: Wang, Bovik, Sheikh and Simoncelli (IEEE TIP 13, 2004).

    Gaussian windows of 11 × 11 and σ 1.5, K₁ 0.01, K₂ 0.03, averaged over all windows that fit; no scaling before.
    """
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * SIGMA**2))
    weights = (weights / weights.sum()).to(first)
    x, y = luminance(first), luminance(second)

    def windowed(values: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(values, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))

    mean_x, mean_y = windowed(x), windowed(y)
    variance_x, variance_y = windowed(x * x) - mean_x**2, windowed(y * y) - mean_y**2
    covariance = windowed(x * y) - mean_x * mean_y
    low, high = 0.01**2, 0.03**2
    similarity = ((2 * mean_x * mean_y + low) * (2 * covariance + high)) / (
        (mean_x**2 + mean_y**2 + low) * (variance_x + variance_y + high)
    )
    return float(similarity.mean())


def axes() -> Tensor:
    """Directions (31, 3) through the corners, faces and edges of an icosahedron, of length 1.

    They are spread evenly: the mean of v vᵀ over them is a third of the identity, as over all directions.
    """
    golden = (1 + math.sqrt(5)) / 2
    signs = [(a, b) for a, b in product((1, -1), repeat=2)]
    corners = [(0.0, float(a), b * golden) for a, b in signs]
    faces = [(0.0, a / golden, b * golden) for a, b in signs]
    edges = [(a * golden / 2, b * golden**2 / 2, 0.5 * c) for a, b in signs for c in (1, -1)]
    found = [v[shift:] + v[:shift] for group in (corners, faces, edges) for v in group for shift in range(3)]
    found += [(float(a), float(b), float(c)) for a, b, c in product((1, -1), repeat=3)]
    found += [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    one_each = [v for v in found if next(c for c in v if c) > 0]
    return F.normalize(torch.tensor(one_each, dtype=torch.float64), dim=1)


def colour_distance(first: Tensor, second: Tensor) -> float:
    """Sliced Wasserstein-2 distance between the colours of two pictures of any sizes, in Oklab, times √3.

    Rabin et al., "Wasserstein Barycenter and its Application to Texture Mixing" (2011): the mean, over directions, of
    the squared differences between sorted projections. Times √3 it reads as colours do: two pictures that differ by
    one shift of all their colours are as far apart as the shift is long. Black and white are 1 apart.
    """
    squares = (_quantiles(first) - _quantiles(second)).square()
    return math.sqrt(3 * float(squares.mean()))


def _quantiles(picture: Tensor) -> Tensor:
    """(directions, :data:`QUANTILES`) of the projected colours."""
    colours = oklab(picture)[0].flatten(1)
    ordered = (axes().to(colours) @ colours).sort(dim=1).values
    count = ordered.shape[1]
    at = ((torch.arange(QUANTILES, device=ordered.device) + 0.5) / QUANTILES * count - 0.5).clamp(0, count - 1)
    below = at.floor().long()
    share = (at - below).to(ordered)
    return ordered[:, below].lerp(ordered[:, (below + 1).clamp(max=count - 1)], share)


# --- Blemishes ---


def flat(picture: Tensor) -> float:
    """Share of patches of 8 × 8 pixels that are flat (:data:`FLAT`) and grey (:data:`GREY`): nothing painted there."""
    smooth = gaussian_blur(luminance(picture), [7, 7], [SMOOTHED, SMOOTHED])
    patches = F.unfold(smooth, PATCH, stride=PATCH)[0].T
    chroma = F.avg_pool2d(oklab(picture)[:, 1:], PATCH).norm(dim=1).flatten()
    return float(((patches.std(dim=-1, correction=0) < FLAT) & (chroma < GREY)).float().mean())


def grain(picture: Tensor) -> float:
    """Root mean square, in grey levels of 255, of the luminance's frequencies above :data:`CORNER` in both directions:
    the corner of the spectrum, where checkerboards and single odd pixels are, and little that a brush or a lens makes.
    """
    levels = 255 * luminance(picture)[0, 0]
    height, width = levels.shape
    window = torch.outer(*(torch.hann_window(side, periodic=True).to(levels) for side in (height, width)))
    energy = torch.fft.fft2((levels - levels.mean()) * window).abs().square()
    rows, columns = (torch.fft.fftfreq(side).abs().to(levels) >= CORNER for side in (height, width))
    # Parseval: the sum over the spectrum, divided by the number of pixels, is that over the windowed pixels.
    return math.sqrt(float(energy[rows][:, columns].sum()) / (height * width) / float(window.square().sum()))


def fine(picture: Tensor) -> Tensor:
    """Root mean square of the finest band in each patch of 8 × 8 pixels, in grey levels of 255: what a Gaussian of
    :data:`SMOOTHED` takes away, over all three colour channels.
    """
    band = 255 * (picture - gaussian_blur(picture, [7, 7], [SMOOTHED, SMOOTHED]))
    return F.avg_pool2d(band.square().mean(dim=1, keepdim=True), PATCH).sqrt()


def speckle(picture: Tensor, content: Tensor, style: Tensor) -> float:
    """Fine grain or dots where neither content nor style has any: the mean, in grey levels of 255, over the plainest
    quarter of the content's patches, of how much :func:`fine` of the picture exceeds both the content's there and that
    of the style's plainest quarter. Strokes as fine as the style's plain places have them do not count.
    """
    found, there = fine(picture), fine(content)
    plain = there <= there.quantile(PLAINEST)
    return float((found - there.maximum(fine(style).quantile(PLAINEST)))[plain].clamp(min=0).mean())


def weaves(picture: Tensor) -> tuple[float, float]:
    """For rows and for columns: the mean absolute difference of neighbours where the first one is even, minus that
    where it is odd, divided by the mean of both.
    """
    found = []
    for direction in (-2, -1):
        differences = picture.diff(dim=direction).abs().movedim(direction, 0)
        even, odd = differences[::2].mean(), differences[1::2].mean()
        found.append(float((even - odd) / ((even + odd) / 2).clamp(min=_TINY)))
    return found[0], found[1]


def weave(picture: Tensor) -> float:
    """The larger of :func:`weaves`, without its sign. A pattern of two pixels, as an enlargement leaves it, has much.

    A photograph of 512 pixels has up to 0.03, by chance: a few long edges fall on even or on odd pixels.
    """
    return max(map(abs, weaves(picture)))


def added_weave(picture: Tensor, content: Tensor) -> float:
    """:func:`weave` without what the content's edges explain: how far :func:`weaves` are outside of the range from 0 to
    the content's, the larger of both directions.
    """
    return max(
        max(found - max(0.0, there), min(0.0, there) - found, 0.0)
        for found, there in zip(weaves(picture), weaves(content), strict=True)
    )


# --- Judging ---


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one painting. Lower is better everywhere but for ``ssim`` and, where strokes are wanted, ``grain``."""

    style: float
    """:func:`style_distance`, the mean over :data:`STYLE_LAYERS`: 1 for the content, 0 for the style picture."""
    relations: float
    """:func:`relation_distance` from the content, the mean over :data:`RELATION_LAYERS`: 0 for the content, 1 for the
    style picture.
    """
    ssim: float
    """:func:`ssim` with the content: 1 for the content."""
    colours: float
    """:func:`colour_distance` to the style, not divided by anything."""
    flat: float
    """:func:`flat` beyond the style's: what is plain in the content, as a wall, is to be painted over."""
    grain: float
    """:func:`grain`, divided by the larger of the content's and the style's."""
    weave: float
    """:func:`weave`."""
    added_weave: float
    """:func:`added_weave`."""
    speckle: float
    """:func:`speckle`."""


class Judge:
    """Measures paintings of one content in one style at one size."""

    def __init__(self, network: VGG19, content: Tensor, style: Tensor) -> None:
        """``network`` computes in float32; ``content`` (1, 3, height, width) is of the paintings' size, ``style`` has
        their longer side; both in [0, 1], with sides of at least 32 pixels.
        """
        self._network = network
        self.content = content
        self._style = style
        # To ask how far a picture's places are from the content's, it must have as many: the style is stretched.
        self.stretched = F.interpolate(style, content.shape[-2:], mode="bicubic", antialias=True).clamp(0, 1)
        """The style picture in the content's size."""
        self._content_features = self._features(content)
        self._style_features = self._features(style)
        self._style_of_content = self._style_distances(self._content_features)
        self._relations_of_style = self._relation_distance(self._features(self.stretched))

    def __call__(self, painting: Tensor) -> Measures:
        """Measure ``painting``, of the content's shape and in [0, 1]."""
        if painting.shape != self.content.shape:
            raise ValueError(f"a painting of {tuple(painting.shape)} for a content of {tuple(self.content.shape)}")
        features = self._features(painting)
        distances = zip(self._style_distances(features), self._style_of_content, strict=True)
        return Measures(
            style=fmean(found / max(whole, _TINY) for found, whole in distances),
            relations=self._relation_distance(features) / max(self._relations_of_style, _TINY),
            ssim=ssim(painting, self.content),
            colours=colour_distance(painting, self._style),
            flat=max(0.0, flat(painting) - flat(self._style)),
            grain=grain(painting) / max(grain(self.content), grain(self._style), _TINY),
            weave=weave(painting),
            added_weave=added_weave(painting, self.content),
            speckle=speckle(painting, self.content, self._style),
        )

    @torch.no_grad()
    def _features(self, picture: Tensor) -> dict[Layer, Tensor]:
        return self._network.features(picture, {*STYLE_LAYERS, *RELATION_LAYERS})

    def patches(self, painting: Tensor) -> tuple[float, float]:
        """:func:`nearest_distances` of ``painting``, averaged over :data:`STYLE_LAYERS`."""
        features = self._features(painting)
        both = [nearest_distances(features[layer], self._style_features[layer]) for layer in STYLE_LAYERS]
        return fmean(there for there, _ in both), fmean(back for _, back in both)

    def _style_distances(self, features: Mapping[Layer, Tensor]) -> list[float]:
        return [style_distance(features[layer], self._style_features[layer]) for layer in STYLE_LAYERS]

    def _relation_distance(self, features: Mapping[Layer, Tensor]) -> float:
        return fmean(
            relation_distance(relations(features[layer]), relations(self._content_features[layer]))
            for layer in RELATION_LAYERS
        )
