"""The targets of a painting at each scale: its content, its styles, and the objective that they make."""

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.images.codec import Picture, fitted
from engine.images.colour import Palette, recoloured
from engine.losses.gram import blended, gram_matrix
from engine.losses.neighbours import NEIGHBOUR_LAYERS, Bank, NeighbourTerm, Places
from engine.losses.objective import Objective
from engine.losses.structure import SELF_SIMILARITY_LAYER
from engine.losses.terms import (
    ContentTerm,
    Plainness,
    StructureTerm,
    StyleTerm,
    Term,
    TotalVariation,
    target,
    weighted_mean,
)
from engine.painting.pyramid import Scale
from engine.painting.strength import detail_weight, neighbour_weights, normalisation, style_weight
from engine.painting.style_statistics import Statistics, statistics
from engine.recipe import LARGEST_SIZE, Recipe
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


class Targets:
    """A content and its styles, on the device of a network."""

    def __init__(
        self,
        content: Picture,
        styles: Sequence[Picture],
        recipe: Recipe,
        network: VGG19,
        check: Callable[[], None],
    ) -> None:
        """Nothing is computed yet.

        ``check`` is called between the layers of the network, see :meth:`engine.vgg.vgg19.VGG19.features`. The methods
        raise what it raises.
        """
        self._content = content
        self._styles = styles
        self._recipe = recipe
        self._network = network
        self._check = check
        self.places = Places(recipe.seed, network.device)
        """Where ``neighbours`` compares a painting with its styles."""
        self._shares = recipe.style_shares or (1.0,) * len(styles)
        neighbours, grams = neighbour_weights(recipe.strength)
        self._neighbour_weight = recipe.style_weight * neighbours if recipe.method == "neighbours" else 0.0
        self.style_weight = recipe.style_weight * (grams if self._neighbour_weight else style_weight(recipe.strength))
        """0 where the result is the content."""

    def content_at(self, size: int) -> Tensor:
        """The content, shape (1, 3, height, width), RGB in [0, 1], with a longer side of ``size`` pixels."""
        return self._tensor(self._content, size)

    def start_at(self, size: int) -> Tensor:
        """The content as ``recipe.start`` has it, shaped as :meth:`content_at`.

        For ``matched`` its colours move to the styles' palette: all the way from a strength of
        :data:`MATCHED_FROM` on, and in proportion below it.
        """
        image = self.content_at(size)
        if self._recipe.start != "matched":
            return image
        palettes = [Palette.of(self._style(style, size)) for style in self._styles]
        share = min(1.0, self._recipe.strength / MATCHED_FROM)
        return image.lerp(recoloured(image, Palette.blended(palettes, self._shares)), share)

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
        texture = sum(
            share * _texture(self._style(style, size)) for style, share in zip(self._styles, self._shares, strict=True)
        ) / sum(self._shares)
        return (image + self._recipe.noise * min(1.0, texture / GRAIN) * learning_rate_factor * noise).clamp(0, 1)

    @torch.no_grad()
    def objective(self, scale: Scale) -> Objective:
        """The objective at a scale. Takes about as long as a step."""
        recipe = self._recipe
        image = self.content_at(scale.size)
        detail = detail_weight(recipe.detail)
        layers = {*recipe.content_layers, *recipe.style_layers, *((SELF_SIMILARITY_LAYER,) if detail else ())}
        content = self._network.features(image, layers, self._check, pooling=recipe.pooling)
        content_grams = {layer: gram_matrix(content[layer]) for layer in recipe.style_layers}
        structure = StructureTerm.of(detail, content, image) if detail else None
        activations = {layer: content[layer].float() for layer in recipe.content_layers}
        del content
        pictures = [self._style(style, scale.size) for style in self._styles]
        styles = [self._statistics(picture) for picture in pictures]
        grams = blended([each.grams for each in styles], self._shares)
        energies = blended([each.energies for each in styles], self._shares)
        grain = self._grain()
        style_targets = {
            layer: target(grams[layer], content_grams[layer].square().mean(), grain.grams[layer].square().mean())
            for layer in recipe.style_layers
        }
        distances = {layer: style_targets[layer].distance(content_grams[layer]) for layer in recipe.style_layers}
        divisor, rate_factor = normalisation(weighted_mean(distances, recipe.style_layers).item())
        weight = self.style_weight * scale.style_factor
        uniform = all(
            each[0].flatten(1).var(dim=1, correction=0).max() < _UNIFORM_VARIANCE for each in (image, *pictures)
        )
        plain_weight = (_UNIFORM_SHARE if uniform else _PLAIN_SHARE) * weight
        terms: dict[str, Term | None] = {
            "content": ContentTerm(
                recipe.content_weight,
                {layer: target(each, energies[layer], grain.energies[layer]) for layer, each in activations.items()},
                recipe.content_layers,
            ),
            "style": StyleTerm(weight / divisor, style_targets, recipe.style_layers, recipe.balance),
            "neighbours": None if uniform else self._neighbours(pictures),
            "structure": structure,
            "plainness": Plainness.of(plain_weight, pictures, self._shares, image),
            "total_variation": TotalVariation(recipe.total_variation) if recipe.total_variation else None,
        }
        return Objective(
            {name: term for name, term in terms.items() if term is not None},
            1.0 if recipe.start == "noise" else rate_factor,
        )

    def _neighbours(self, styles: Sequence[Tensor]) -> NeighbourTerm | None:
        """The term of ``neighbours`` for style pictures at the painting's scale; None for another method."""
        if not self._neighbour_weight:
            return None
        recipe = self._recipe
        features = [
            self._network.features(style, NEIGHBOUR_LAYERS, self._check, pooling=recipe.pooling) for style in styles
        ]
        banks = {
            layer: Bank.of([each[layer] for each in features], self._shares, recipe.seed) for layer in NEIGHBOUR_LAYERS
        }
        return NeighbourTerm(self._neighbour_weight, banks, self.places)

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
        return recoloured(image, Palette.of(self.content_at(size)))

    def _tensor(self, picture: Picture, size: int) -> Tensor:
        rgb = picture.rgb.resize(fitted(picture.rgb.size, size), Image.Resampling.LANCZOS)
        pixels = torch.from_numpy(np.array(rgb)).to(self._network.device).permute(2, 0, 1)
        return pixels[None].float() / 255


def _texture(image: Tensor) -> float:
    """The standard deviation of the white noise that has the same differences between neighbouring pixels."""
    across = (image[..., :, 1:] - image[..., :, :-1]).square().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).square().mean()
    return math.sqrt((across + down).item() / 4)
