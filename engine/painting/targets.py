"""The targets of a painting at each scale: its content, its styles, and the objective that they make."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.images.codec import Picture, fitted
from engine.images.colour import Palette, recoloured
from engine.losses.curvature import Curvature
from engine.losses.gram import blended, gram_matrix
from engine.losses.neighbours import NEIGHBOUR_LAYERS, Bank, NeighbourTerm, Places, places_in
from engine.losses.objective import Objective
from engine.losses.structure import SELF_SIMILARITY_LAYER
from engine.losses.terms import (
    ContentTerm,
    Plainness,
    StructureTerm,
    StyleTerm,
    Term,
    TotalVariation,
    guide,
    guided,
    part_of,
    target,
    weighted_mean,
)
from engine.painting.masks import Mask
from engine.painting.pyramid import SCHEDULES, Scale
from engine.painting.strength import detail_weight, neighbour_weights, normalisation, style_weight
from engine.painting.style_statistics import Statistics, statistics
from engine.recipe import LARGEST_SIZE, Layer, Recipe
from engine.vgg.vgg19 import VGG19

GRAIN: Final = 8 / 255
"""The standard deviation of faint grain, for pixels in [0, 1]."""
MATCHED_FROM: Final = 50.0
"""The strength from which on ``start="matched"`` has only the styles' colours."""
_PLAIN_SHARE: Final = 0.1
"""The weight of :class:`engine.losses.terms.Plainness`, relative to the style's. A larger one suppresses strokes."""
_UNIFORM_SHARE: Final = 100.0
"""The same where content and styles are uniform. Their Gram matrices show mostly the padding at the borders."""
_UNIFORM_VARIANCE: Final = (1 / 255) ** 2
"""The variance of each colour channel below which a picture is uniform: one grey level, squared."""
_GRAIN_SIDE: Final = 96
"""The sides, in pixels, of the picture whose statistics stand for grain: enough for the deepest layers."""


@dataclass(frozen=True, slots=True)
class _Region:
    """A part of the picture, and the styles that it is painted in."""

    suffix: str
    """Ends the names of its terms."""
    styles: range
    """The indices of its styles."""
    mask: Mask | None
    """None for the whole picture."""

    def cover(self, size: torch.Size, device: torch.device) -> Tensor | None:
        """Its mask for a tensor of shape (…, height, width)."""
        return None if self.mask is None else self.mask.at(size[-2], size[-1]).to(device)


class Targets:
    """A content and its styles, on the device of a network."""

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        recipe: Recipe,
        network: VGG19,
        check: Callable[[], None],
        mask: Mask | None = None,
        palette: Palette | None = None,
    ) -> None:
        """Nothing is computed yet.

        ``mask`` is the part that is painted; None for everything. ``palette`` is that of the content, or of the clip
        that the content is a frame of. ``check`` is called between the layers of the
        network, see :meth:`engine.vgg.vgg19.VGG19.features`. The methods raise what it raises.
        """
        self._content = content
        self._styles = styles
        self._recipe = recipe
        self._network = network
        self._check = check
        self._mask = mask
        self.places = Places(recipe.seed, network.device)
        """Where ``neighbours`` compares a painting with its styles."""
        self._palette = palette
        self._shares = recipe.style_shares or (1.0,) * len(styles)
        factors = SCHEDULES[recipe.method].style_layer_factors
        self._style_layers = {layer: weight * factors.get(layer, 1.0) for layer, weight in recipe.style_layers.items()}
        """The weights of the style layers."""
        every = range(len(styles))
        self._regions: tuple[_Region, ...] = (_Region("", every, mask),)
        """What is painted, and in which styles."""
        self.keeps_photo = mask is not None
        """Whether what is not in the part stays the content."""
        if mask is not None and recipe.rest == "style" and len(styles) > 1:
            self._regions = (_Region("", every[:-1], mask), _Region("_rest", every[-1:], mask.rest))
            self.keeps_photo = False
        neighbours, grams = neighbour_weights(recipe.strength)
        self._neighbour_weight = recipe.style_weight * neighbours if recipe.method == "neighbours" else 0.0
        self.style_weight = recipe.style_weight * (grams if self._neighbour_weight else style_weight(recipe.strength))
        """0 where the result is the content."""

    def content_at(self, size: int) -> Tensor:
        """The content, shape (1, 3, height, width), RGB in [0, 1], with a longer side of ``size`` pixels."""
        return self._tensor(self._content, size)

    def blend(self, size: int) -> Callable[[Tensor], Tensor]:
        """Puts the content around the part that is painted, in an image shaped as :meth:`content_at`.

        A painting is blended before its losses are computed, and in the end: what is not painted has no gradient, and
        its pixels are those of the content.
        """
        if self._mask is None or not self.keeps_photo:
            return lambda image: image
        content = self.content_at(size)
        mask = Mask(self._mask.at(*content.shape[-2:]).to(content))  # once, and not at each step
        return partial(mask.blended, content)

    def start_at(self, size: int) -> Tensor:
        """The content as ``recipe.start`` has it, shaped as :meth:`content_at`.

        For ``matched`` its colours move to the styles' palette: all the way from a strength of
        :data:`MATCHED_FROM` on, and in proportion below it.
        """
        image = self.content_at(size)
        if self._recipe.start != "matched":
            return image
        share = min(1.0, self._recipe.strength / MATCHED_FROM)
        started = image
        for region in self._regions:
            palettes = [Palette.of(self._style(self._styles[index], size)) for index in region.styles]
            matched = image.lerp(
                recoloured(image, Palette.blended(palettes, self._shares_of(region)), self._palette), share
            )
            # Where the photo stays, the start makes no difference.
            cover = region.cover(image.shape, image.device)
            started = matched if len(self._regions) == 1 or cover is None else started.lerp(matched, cover)
        return started

    def first_image(self, size: int, learning_rate_factor: float) -> Tensor:
        """The image that the optimiser starts from, shaped as the content.

        Strokes grow from noise. Its standard deviation is ``recipe.noise`` · min(1, texture / :data:`GRAIN`) ·
        ``learning_rate_factor``, where the texture is that of the styles: a plain style has no strokes.

        Args:
            size: the longer side in pixels.
            learning_rate_factor: see :attr:`engine.losses.objective.Objective.learning_rate_factor`.
        """
        image = self.start_at(size)
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(self._recipe.seed)).to(image)
        if self._recipe.start == "noise":
            return (0.5 + 0.2 * noise).clamp(0, 1)
        texture = self._texture([self._style(style, size) for style in self._styles])
        return (image + self._recipe.noise * min(1.0, texture / GRAIN) * learning_rate_factor * noise).clamp(0, 1)

    def _texture(self, styles: Sequence[Tensor]) -> float:
        """The mean of :func:`_texture` of the styles' pictures, by their shares."""
        return sum(share * _texture(style) for style, share in zip(styles, self._shares, strict=True)) / sum(
            self._shares
        )

    @torch.no_grad()
    def objective(self, scale: Scale) -> Objective:
        """The objective at a scale. Takes about as long as a step."""
        recipe = self._recipe
        image = self.content_at(scale.size)
        detail = detail_weight(recipe.detail)
        layers = {*recipe.content_layers, *recipe.style_layers, *((SELF_SIMILARITY_LAYER,) if detail else ())}
        content = self._network.features(image, layers, self._check, pooling=recipe.pooling)
        structure = StructureTerm.of(detail, content, image) if detail else None
        activations = {layer: content[layer].float() for layer in recipe.content_layers}
        pictures = [self._style(style, scale.size) for style in self._styles]
        styles = [self._statistics(picture) for picture in pictures]
        energies = blended([each.energies for each in styles], self._shares)
        grain = self._grain()
        uniform = all(
            each[0].flatten(1).var(dim=1, correction=0).max() < _UNIFORM_VARIANCE for each in (image, *pictures)
        )
        # A plain style's Gram matrices have one direction. To strengthen the others would add noise.
        curved = recipe.optimiser == "gauss-newton" and self._texture(pictures) >= GRAIN
        style_terms: dict[str, Term | None] = {}
        plainness: dict[str, Term | None] = {}
        rate_factor = 0.0
        for region in self._regions:
            # A Gram matrix of a part has larger gradients at each pixel, which the weight makes up for.
            share = 1.0 if region.mask is None else region.mask.share
            weight = self.style_weight * scale.style_factor * share
            shares = self._shares_of(region)
            grams = blended([styles[index].grams for index in region.styles], shares)
            term, factor = self._style_term(region, weight, grams, content, grain, curved)
            cover = region.cover(image.shape, image.device)
            style_terms[f"style{region.suffix}"] = term
            style_terms[f"neighbours{region.suffix}"] = None if uniform else self._neighbours(region, pictures, image)
            plainness[f"plainness{region.suffix}"] = Plainness.of(
                (_UNIFORM_SHARE if uniform else _PLAIN_SHARE) * weight,
                [pictures[index] for index in region.styles],
                shares,
                image,
                None if cover is None else part_of(cover),
            )
            rate_factor = max(rate_factor, factor)
        del content
        terms: dict[str, Term | None] = {
            "content": ContentTerm(
                recipe.content_weight,
                {layer: target(each, energies[layer], grain.energies[layer]) for layer, each in activations.items()},
                recipe.content_layers,
            ),
            **style_terms,
            "structure": structure,
            **plainness,
            "total_variation": TotalVariation(recipe.total_variation) if recipe.total_variation else None,
        }
        return Objective(
            {name: term for name, term in terms.items() if term is not None},
            1.0 if recipe.start == "noise" else rate_factor,
        )

    def _neighbours(self, region: _Region, pictures: Sequence[Tensor], image: Tensor) -> NeighbourTerm | None:
        """The term of ``neighbours`` in a region, at the scale of ``image``; None for another method."""
        if not self._neighbour_weight:
            return None
        recipe = self._recipe
        features = [
            self._network.features(pictures[index], NEIGHBOUR_LAYERS, self._check, pooling=recipe.pooling)
            for index in region.styles
        ]
        shares = self._shares_of(region)
        banks = {layer: Bank.of([each[layer] for each in features], shares, recipe.seed) for layer in NEIGHBOUR_LAYERS}
        if region.mask is None:
            return NeighbourTerm(self._neighbour_weight, banks, self.places)
        height, width = image.shape[-2:]
        inside = {}
        for layer in NEIGHBOUR_LAYERS:
            halvings = int(layer.removeprefix("relu")[0]) - 1
            cover = region.mask.at(height >> halvings, width >> halvings)
            inside[layer] = places_in(cover).to(image.device)
        return NeighbourTerm(self._neighbour_weight * region.mask.share, banks, self.places, inside)

    def _style_term(
        self,
        region: _Region,
        weight: float,
        grams: Mapping[Layer, Tensor],
        content: Mapping[Layer, Tensor],
        grain: Statistics,
        curved: bool,
    ) -> tuple[StyleTerm, float]:
        """The term of a region, and its factor of the learning rate, for the activations of the ``content``.

        With ``curved`` its gradient allows for the curvature.
        """
        layers = self._style_layers
        covers = {layer: region.cover(content[layer].shape, content[layer].device) for layer in layers}
        guides = {layer: guide(cover) for layer, cover in covers.items() if cover is not None}
        own = {layer: gram_matrix(guided(content[layer], guides.get(layer))) for layer in layers}
        targets = {
            layer: target(grams[layer], own[layer].square().mean(), grain.grams[layer].square().mean())
            for layer in layers
        }
        distances = {layer: targets[layer].distance(own[layer]) for layer in layers}
        if curved:
            curvatures = {
                layer: Curvature.of(grams[layer], own[layer] - grams[layer], self._network.dtype) for layer in layers
            }
            targets = {layer: replace(each, curvature=curvatures[layer]) for layer, each in targets.items()}
        divisor, rate_factor = normalisation(weighted_mean(distances, layers).item())
        return StyleTerm(weight / divisor, targets, layers, self._recipe.balance, guides), rate_factor

    def _shares_of(self, region: _Region) -> Sequence[float]:
        """How much of each style of a region: equal shares where only styles of others have some."""
        shares = [self._shares[index] for index in region.styles]
        return shares if any(shares) else [1.0] * len(shares)

    def _statistics(self, image: Tensor) -> Statistics:
        recipe = self._recipe
        return statistics(self._network, image, recipe.style_layers, recipe.content_layers, recipe.pooling, self._check)

    def _grain(self) -> Statistics:
        """The statistics of a grey picture with grain of :data:`GRAIN`, a lower bound for energies."""
        noise = torch.randn((1, 3, _GRAIN_SIDE, _GRAIN_SIDE), generator=torch.Generator().manual_seed(0))
        return self._statistics((0.5 + GRAIN * noise).to(self._network.device))

    def _style(self, picture: Picture, size: int) -> Tensor:
        """A style picture for a painting of ``size``: its own size is ``recipe.stroke`` times as large."""
        image = self._tensor(picture, min(LARGEST_SIZE, round(size * self._recipe.stroke)))
        if self._recipe.colours != "matched":
            return image
        return recoloured(image, self._palette or Palette.of(self.content_at(size)))

    def _tensor(self, picture: Picture, size: int) -> Tensor:
        rgb = picture.rgb.resize(fitted(picture.rgb.size, size), Image.Resampling.LANCZOS)
        pixels = torch.from_numpy(np.array(rgb)).to(self._network.device).permute(2, 0, 1)
        return pixels[None].float() / 255


def _texture(image: Tensor) -> float:
    """The standard deviation of the white noise that has the same differences between neighbouring pixels."""
    across = (image[..., :, 1:] - image[..., :, :-1]).square().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).square().mean()
    return math.sqrt((across + down).item() / 4)
