"""The part of a photograph that is painted: see :attr:`engine.recipe.Recipe.where`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from engine.images.codec import Picture, fitted
from engine.recipe import Recipe, Where
from engine.segmentation.blazeface import Face, faces
from engine.segmentation.u2net import saliency

_DILATION: Final = 9 / 512
_FEATHER: Final = 0.02
"""How far what was found is grown, and the width of its soft edge, as shares of the longer side."""
_SALIENT: Final = 0.5
"""From this saliency on, a place belongs to the subject."""
_SOFT: Final = (0.3, 0.7)
"""The saliencies from which on a place belongs to the mask a little, and wholly."""
_SHARES: Final = (0.01, 0.95)
"""The least and the most of a photograph that its subject covers. Else it has none."""
_CONFIDENCE: Final = 0.8
"""The least mean saliency of a subject. With less, the network saw nothing that stands out."""
_FACE: Final = 1.5
"""The size of the ellipse over a face, relative to the box around it."""
_TINT: Final = (255, 0, 160)
_TINT_OF_REST: Final = (0, 90, 255)
_TINTED: Final = 0.55
"""The colours that show the mask, and their share: pink for the part, and blue for the rest where it has a style."""


@dataclass(frozen=True, slots=True)
class Mask:
    """How much each pixel is painted, for a painting at its full size and at smaller ones."""

    cover: Tensor
    """Shape (1, 1, height, width), from 0 for the photo to 1 for the painting, on the CPU."""

    def at(self, height: int, width: int) -> Tensor:
        """The same at another size: of a scale, or of a layer's activations."""
        if self.cover.shape[-2:] == (height, width):
            return self.cover
        return F.interpolate(self.cover, (height, width), mode="bilinear", antialias=True, align_corners=False)

    def blended(self, content: Tensor, image: Tensor) -> Tensor:
        """The content with the image where it is painted; both of shape (1, 3, height, width). Exact at 0 and at 1."""
        cover = self.at(*content.shape[-2:]).to(content)
        return torch.where(cover == 1, image, content + cover * (image - content))

    @property
    def rest(self) -> "Mask":
        """The mask of everything else."""
        return Mask(1 - self.cover)

    @property
    def share(self) -> float:
        """The share of the picture that is painted."""
        return self.cover.mean().item()

    def tinted(self, photo: Image.Image, *, rest: bool = False) -> Image.Image:
        """A photo of the mask's aspect, with a tint where it is painted. With ``rest``, the rest has another tint."""
        cover = self.at(photo.height, photo.width)[0, 0].numpy()[..., None]
        tint = cover * _TINT + (1 - cover) * (_TINT_OF_REST if rest else np.array(photo))
        return Image.fromarray((np.array(photo) * (1 - _TINTED) + tint * _TINTED).round().astype(np.uint8))


def find(content: Picture, given: Picture | None, recipe: Recipe) -> Mask | None:
    """The mask of a painting; None where the content lacks what ``recipe.where`` names, or where it names everything.

    Args:
        content: the photo.
        given: the mask picture, for ``mask`` and ``not-mask``. It is stretched to the photo.
        recipe: of the painting.
    """
    width, height = fitted(content.rgb.size, recipe.size)
    spread = recipe.spread / 100
    cover: Tensor | None = None
    match recipe.where:
        case "everything":
            pass
        case "mask" | "not-mask":
            if given is not None:
                drawn = _drawn(given, width, height)
                shape = drawn if recipe.where == "mask" else 1 - drawn
                # What the member left out stays the photo to the pixel: the soft edge is within the part.
                part = _grown(shape, spread)
                inner = _feathered(_grown_by(part, -2 * _feather(part)))
                cover = inner if inner.max() > _SALIENT else part  # thin lines are nothing but edge
        case "opaque":
            if content.alpha is not None:
                cover = _feathered(_grown(_gray(content.alpha, width, height), _FEATHER / 2 + spread))
        case where:
            # What is found is grown, whether it is painted or kept: no edge of a subject or a face is half painted.
            kept = where in {"background", "not-faces"}
            if (found := _FOUND[where](content, height, width)) is not None:
                grown = _feathered(_grown(found, _DILATION - spread if kept else _DILATION + spread))
                cover = 1 - grown if kept else grown
    return Mask(cover) if cover is not None and cover.max() > _SALIENT else None


def _drawn(mask: Picture, width: int, height: int) -> Tensor:
    """What a mask picture shows: its opaque parts, or else its light parts."""
    drawn = _gray(mask.rgb.convert("L") if mask.alpha is None or mask.shown else mask.alpha, width, height)
    # In a JPEG, black and white are a few levels off.
    return ((drawn - 0.05) / 0.9).clamp(0, 1)


def _subject(content: Picture, height: int, width: int) -> Tensor | None:
    found = saliency(_tensor(content.rgb))
    salient = found > _SALIENT
    share = salient.float().mean().item()
    if not _SHARES[0] <= share <= _SHARES[1] or found[salient].mean() < _CONFIDENCE:
        return None
    enlarged = F.interpolate(found, (height, width), mode="bilinear", antialias=True, align_corners=False)
    low, high = _SOFT
    return ((enlarged - low) / (high - low)).clamp(0, 1)


def _faces(content: Picture, height: int, width: int) -> Tensor | None:
    found = faces(_tensor(content.rgb))
    if not found:
        return None
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    inside = torch.stack([_ellipse(face, x, y) for face in found]).any(dim=0)
    return inside[None, None].float()


_FOUND: Final[dict[Where, Callable[[Picture, int, int], Tensor | None]]] = {
    "subject": _subject,
    "background": _subject,
    "faces": _faces,
    "not-faces": _faces,
}


def _ellipse(face: Face, x: Tensor, y: Tensor) -> Tensor:
    across, down = _FACE * (face.right - face.left) / 2, _FACE * (face.bottom - face.top) / 2
    middle = (face.left + face.right) / 2, (face.top + face.bottom) / 2
    return ((x - middle[0]) / across).square() + ((y - middle[1]) / down).square() <= 1


def _tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def _gray(picture: Image.Image, width: int, height: int) -> Tensor:
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.array(resized))[None, None].float() / 255


def _grown(shape: Tensor, share: float) -> Tensor:
    """Widen a shape on all sides by a share of the longer side, or narrow it by a negative one."""
    return _grown_by(shape, round(share * max(shape.shape[-2:])))


def _grown_by(shape: Tensor, pixels: int) -> Tensor:
    if not pixels:
        return shape
    around, sign = abs(pixels), 1 if pixels > 0 else -1
    # One direction after the other: the cost grows with the side and not with its square.
    across = F.max_pool2d(sign * shape, (1, 2 * around + 1), stride=1, padding=(0, around))
    return sign * F.max_pool2d(across, (2 * around + 1, 1), stride=1, padding=(around, 0))


def _feather(shape: Tensor) -> int:
    """A quarter of the width of the soft edge, in pixels."""
    return max(1, round(_FEATHER / 4 * max(shape.shape[-2:])))


def _feathered(shape: Tensor) -> Tensor:
    """A soft edge of :data:`_FEATHER`, half within the shape and half beyond it. Exactly 0 and 1 elsewhere."""
    # Two means of boxes, which together reach half of the feather in each direction.
    pixels = _feather(shape)
    for _ in range(2):
        for kernel, padding in (((1, 2 * pixels + 1), (0, pixels)), ((2 * pixels + 1, 1), (pixels, 0))):
            shape = F.avg_pool2d(shape, kernel, stride=1, padding=padding, count_include_pad=False)
    # The sums of the means are rounded.
    shape = torch.where(shape < 1e-4, torch.zeros_like(shape), shape)
    return torch.where(shape > 1 - 1e-4, torch.ones_like(shape), shape)
