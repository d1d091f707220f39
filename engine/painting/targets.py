"""What a painting is made from, as its recipe looks at it at each scale."""

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from engine.images.codec import Picture, fitted
from engine.images.colour import Palette, recoloured
from engine.losses.objective import Objective, Plainness, blended, gram_matrix, style_normalisation, target
from engine.losses.structure import SELF_SIMILARITY_LAYER, Structure
from engine.painting.pyramid import Scale, detail_weight, style_weight
from engine.painting.style_statistics import Statistics, statistics
from engine.recipe import LARGEST_SIZE, Recipe
from engine.vgg.vgg19 import VGG19

GRAIN: Final = 8 / 255
"""The standard deviation of grain that hardly shows, in units of the pixels' range."""
_PLAIN_SHARE: Final = 0.1
"""The weight of :class:`engine.losses.objective.Plainness`, relative to the style's. More of it suppresses strokes."""
_BARE_SHARE: Final = 100.0
"""The same where content and styles are all plain. Their Gram matrices show mostly the borders; colour is all there is.
"""
_BARE: Final = (1 / 255) ** 2
"""The variance of each colour channel under which a picture is plain: one grey level, squared."""
_GRAINED: Final = 96
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
        """``check`` is called between layers, see :meth:`engine.vgg.vgg19.VGG19.features`; what it raises gets
        through.
        """
        self._content = content
        self._styles = styles
        self._recipe = recipe
        self._network = network
        self._check = check
        self._shares = recipe.style_shares or (1.0,) * len(styles)
        self.style_weight = recipe.style_weight * style_weight(recipe.strength)
        """0 where the content is what the recipe asks for."""

    def content_at(self, size: int) -> Tensor:
        """The content, shape (1, 3, height, width), RGB in [0, 1], its longer side of ``size`` pixels."""
        return self._tensor(self._content, size)

    def first_image(self, size: int, learning_rate_factor: float) -> Tensor:
        """The image that the optimiser begins with, shaped like the content.

        Strokes begin from noise. Its amplitude is ``recipe.noise`` · min(1, texture of the styles / :data:`GRAIN`) ·
        ``learning_rate_factor``, see :attr:`engine.losses.objective.Objective.learning_rate_factor`.
        """
        image = self.content_at(size)
        noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(self._recipe.seed)).to(image)
        if self._recipe.start == "noise":
            return (0.5 + 0.2 * noise).clamp(0, 1)
        if self._recipe.start == "matched":
            palettes = [Palette.of(self._style(style, size)) for style in self._styles]
            image = recoloured(image, Palette.blended(palettes, self._shares))
        texture = sum(
            share * _texture(self._style(style, size)) for style, share in zip(self._styles, self._shares, strict=True)
        ) / sum(self._shares)
        return (image + self._recipe.noise * min(1.0, texture / GRAIN) * learning_rate_factor * noise).clamp(0, 1)

    @torch.no_grad()
    def objective(self, scale: Scale) -> Objective:
        """The losses that a painting goes down at that scale. Takes about as long as a step."""
        recipe = self._recipe
        image = self.content_at(scale.size)
        detail = detail_weight(recipe.detail)
        layers = {*recipe.content_layers, *recipe.style_layers, *((SELF_SIMILARITY_LAYER,) if detail else ())}
        content = self._network.features(image, layers, self._check, pooling=recipe.pooling)
        own = {layer: gram_matrix(content[layer]) for layer in recipe.style_layers}
        structure = Structure.of(content, image) if detail else None
        targets = {layer: content[layer].float() for layer in recipe.content_layers}
        del content
        pictures = [self._style(style, scale.size) for style in self._styles]
        styles = [
            statistics(
                self._network,
                picture,
                recipe.style_layers,
                recipe.content_layers,
                recipe.pooling,
                self._check,
            )
            for picture in pictures
        ]
        grams = blended([each.grams for each in styles], self._shares)
        energies = blended([each.energies for each in styles], self._shares)
        grain = self._grain()
        style = {
            layer: target(grams[layer], own[layer].square().mean(), grain.grams[layer].square().mean())
            for layer in recipe.style_layers
        }
        divisor, rate_factor = style_normalisation(own, style, recipe.style_layers)
        style_weight = self.style_weight * scale.style_factor
        bare = all(each[0].flatten(1).var(dim=1, correction=0).max() < _BARE for each in (image, *pictures))
        return Objective(
            content={layer: target(value, energies[layer], grain.energies[layer]) for layer, value in targets.items()},
            style=style,
            content_layers=recipe.content_layers,
            style_layers=recipe.style_layers,
            content_weight=recipe.content_weight,
            style_weight=style_weight / divisor,
            balance=recipe.balance,
            structure=structure,
            detail_weight=detail,
            variation_weight=recipe.total_variation,
            plainness=Plainness.of(pictures, self._shares, image),
            plain_weight=(_BARE_SHARE if bare else _PLAIN_SHARE) * style_weight,
            learning_rate_factor=1.0 if recipe.start == "noise" else rate_factor,
        )

    def _grain(self) -> Statistics:
        """The statistics of a grey picture with grain of :data:`GRAIN`: a floor for energies."""
        noise = torch.randn((1, 3, _GRAINED, _GRAINED), generator=torch.Generator().manual_seed(0))
        picture = (0.5 + GRAIN * noise).to(self._network.device)
        return statistics(
            self._network,
            picture,
            self._recipe.style_layers,
            self._recipe.content_layers,
            self._recipe.pooling,
            self._check,
        )

    def _style(self, picture: Picture, size: int) -> Tensor:
        """A style picture as its statistics are taken: its strokes in proportion to a painting of ``size``."""
        image = self._tensor(picture, min(LARGEST_SIZE, round(size * self._recipe.stroke)))
        if self._recipe.colours != "matched":
            return image
        return recoloured(image, Palette.of(self.content_at(size)))

    def _tensor(self, picture: Picture, size: int) -> Tensor:
        rgb = picture.rgb.resize(fitted(picture.rgb.size, size), Image.Resampling.LANCZOS)
        pixels: Tensor = pil_to_tensor(rgb).to(self._network.device)
        return pixels[None].float() / 255


def _texture(image: Tensor) -> float:
    """The standard deviation of white noise whose neighbouring pixels would differ as much."""
    across = (image[..., :, 1:] - image[..., :, :-1]).square().mean()
    down = (image[..., 1:, :] - image[..., :-1, :]).square().mean()
    return math.sqrt((across + down).item() / 4)
