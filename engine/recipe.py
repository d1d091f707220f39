"""The recipe: everything that determines a painting except the bytes of its pictures."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Layer = Literal[
    "conv1_1", "conv1_2", "relu1_1", "relu1_2",
    "conv2_1", "conv2_2", "relu2_1", "relu2_2",
    "conv3_1", "conv3_2", "conv3_3", "conv3_4", "relu3_1", "relu3_2", "relu3_3", "relu3_4",
    "conv4_1", "conv4_2", "conv4_3", "conv4_4", "relu4_1", "relu4_2", "relu4_3", "relu4_4",
    "conv5_1", "conv5_2", "conv5_3", "conv5_4", "relu5_1", "relu5_2", "relu5_3", "relu5_4",
]  # fmt: skip
Method = Literal["gatys", "neighbours", "instant"]
Precision = Literal["auto", "float32", "bfloat16"]
Colours = Literal["style", "matched", "content"]
Start = Literal["content", "matched", "noise"]
Optimiser = Literal["adam", "gauss-newton", "lbfgs"]
Pooling = Literal["max", "average"]
Balance = Literal["fixed", "dynamic"]
Where = Literal["everything", "subject", "background", "faces", "not-faces", "mask", "not-mask", "opaque"]
Rest = Literal["photo", "style"]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

P_co = TypeVar("P_co", covariant=True)
Q = TypeVar("Q")

SMALLEST_SIZE: Final = 64
LARGEST_SIZE: Final = 4096
LARGEST_CLIP: Final = 384
"""The longest side of a clip, in pixels."""
MOST_FRAMES: Final = 48
"""Of a clip."""
SWAPPED: Final[Mapping[Where, Where]] = {
    "subject": "background",
    "background": "subject",
    "faces": "not-faces",
    "not-faces": "faces",
    "mask": "not-mask",
    "not-mask": "mask",
}
"""The rest of each part of a picture. That of ``opaque`` can't be seen."""
DEFAULT_CONTENT_LAYERS: Final[Mapping[Layer, float]] = {"relu4_2": 1.0}
DEFAULT_STYLE_LAYERS: Final[Mapping[Layer, float]] = {
    "relu1_1": 1.0,
    "relu2_1": 1.0,
    "relu3_1": 1.0,
    "relu4_1": 1.0,
    "relu5_1": 1.0,
}


@dataclass(frozen=True, slots=True)
class Inputs(Generic[P_co]):
    """The pictures that a painting is made of: as bytes, as the names of blobs, or decoded."""

    content: P_co
    styles: tuple[P_co, ...]
    """At least one."""
    mask: P_co | None = None
    """The mask picture of :attr:`Recipe.where`."""

    def __iter__(self) -> Iterator[P_co]:
        """The content, then the styles, then the mask if there is one."""
        yield self.content
        yield from self.styles
        if self.mask is not None:
            yield self.mask

    def map(self, change: Callable[[P_co], Q]) -> "Inputs[Q]":
        """These pictures, each changed."""
        return Inputs(
            change(self.content), tuple(map(change, self.styles)), None if self.mask is None else change(self.mask)
        )


class Recipe(BaseModel):
    """The parameters of a painting. The same recipe on the same pictures and device gives the same bytes.

    Frozen. ``model_dump_json`` and ``model_validate_json`` convert it to JSON and back. A value out of range raises
    ``pydantic.ValidationError``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[9] = 9
    """The version of the fields' meaning. It increases when the same fields give another picture. A recipe of an older
    version is read as one of this version, so that a job that waited during an upgrade is painted.
    """

    method: Method = "gatys"
    """See :data:`engine.painting.methods.METHODS`. ``gatys``: Gatys, Ecker and Bethge, "Image Style Transfer Using
    Convolutional Neural Networks" (CVPR 2016). ``neighbours``: each place of the painting also resembles a place of the
    style (Kolkin et al., "Neural Neighbor Style Transfer", 2022), which takes whole strokes over. ``instant``: the
    objective of ``gatys``, at most at half the size; the painting is enlarged and takes its finest detail from the
    content. For previews and quick tries.
    """

    size: int = Field(default=512, ge=SMALLEST_SIZE, le=LARGEST_SIZE)
    """The longer side of the painting, in pixels."""

    steps: int = Field(default=120, ge=1, le=10_000)
    """Steps of the optimiser, over all scales together."""

    optimiser: Optimiser = "adam"
    """Adam (Kingma and Ba, ICLR 2015), or L-BFGS (Liu and Nocedal, Mathematical Programming 1989).
    ``gauss-newton``: Adam, with a gradient of the style loss that allows for its curvature, see
    :class:`engine.losses.curvature.Curvature`.
    """

    start: Start = "matched"
    """The image to start from: the content, the content in the styles' palette, or noise."""

    tolerance: Weight = 0.1
    """The painting ends early when ten steps at its full size change it by less than this, in grey levels of 255 and on
    average over the pixels. 0 disables this.
    """

    strength: float = Field(default=50, ge=0, le=100)
    """0 returns the content, 100 is nearly pure style. See :func:`engine.painting.strength.style_weight`."""

    detail: float = Field(default=0, ge=0, le=100)
    """The weight of edges (Laplacians, Li et al., ACM MM 2017) and self-similarity (Kolkin et al., CVPR 2019), which
    keep the content's structure in addition to ``content_layers``. See :func:`engine.painting.strength.detail_weight`.
    """

    stroke: float = Field(default=1, ge=0.25, le=4)
    """The size of strokes: the longer side of the style pictures divided by that of the painting."""

    content_weight: Weight = 1.0
    style_weight: Weight = 1.0
    """Factors on the two losses, in addition to ``strength``."""

    content_layers: Mapping[Layer, Weight] = DEFAULT_CONTENT_LAYERS
    style_layers: Mapping[Layer, Weight] = DEFAULT_STYLE_LAYERS
    """The layers of each loss, with their weights."""

    balance: Balance = "fixed"
    """``dynamic`` shifts the style layers' weights at each step to the layers that are farthest from their target."""

    style_shares: tuple[Weight, ...] = ()
    """A weight for each style picture, in their order; empty for equal weights. Their Gram matrices are averaged."""

    colours: Colours = "style"
    """``style``: the styles' own. ``matched``: the styles are recoloured to the content's palette first (Gatys et al.,
    "Controlling Perceptual Factors", CVPR 2017). ``content``: each pixel keeps the content's hue and chroma, and takes
    the painting's lightness (in Oklab).
    """

    where: Where = "everything"
    """The part of the content that is painted. ``subject`` and ``background``: what stands out in it, and the rest.
    ``mask`` and ``not-mask``: the white parts of the mask picture and the black ones; those that are not transparent
    and those that are, if it has transparency. ``opaque``: what is not transparent. See
    :func:`engine.painting.masks.find`.
    """

    spread: float = Field(default=0, ge=-10, le=10)
    """How far that part is widened on all sides, in percent of the longer side; narrowed, if it is negative."""

    rest: Rest = "photo"
    """What everything else is: the ``photo`` as it is, or painted in the last ``style`` alone. Then the other styles
    are for the part that ``where`` names.
    """

    total_variation: Weight = 0.0
    """The weight of the total variation, which smooths the picture."""

    pooling: Pooling = "max"
    """The pooling of VGG19, which was trained with ``max``. ``average`` is smoother (Gatys et al., CVPR 2016)."""

    noise: float = Field(default=0.01, ge=0, le=1)
    """The standard deviation, for pixels in [0, 1], of noise on the first image. Strokes in flat areas grow from it."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """The seed of that noise, and of ``start="noise"``."""

    precision: Precision = "auto"
    """The precision of the activations. ``auto``: bfloat16 where the device computes in it, else float32."""

    continues: str = Field(default="", pattern="^([0-9a-f]{64})?$")
    """The name of the blob of another painting's final state, from which this painting starts. It then takes only the
    steps of :func:`engine.painting.pyramid.scales`. Empty for a painting that starts from its pictures.
    """

    frames: int = Field(default=1, ge=1, le=MOST_FRAMES)
    """The most frames of a moving content that are painted: see :func:`engine.images.animation.decode_frames`. 1 paints
    the first one as a picture.
    """

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, fields: Any) -> Any:
        older = isinstance(fields, dict) and fields.get("version") in (1, 2, 3, 4, 5, 6, 7, 8)
        return fields | {"version": 9} if older else fields

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if not any(self.content_layers.values()):
            raise ValueError("content_layers needs a layer with a weight above 0")
        if not any(self.style_layers.values()):
            raise ValueError("style_layers needs a layer with a weight above 0")
        if self.style_shares and not any(self.style_shares):
            raise ValueError("style_shares needs a share above 0")
        if self.rest == "style" and self.where == "everything":
            raise ValueError("rest needs a part of the picture: set where, too")
        if self.frames > 1 and (self.method == "instant" or self.size > LARGEST_CLIP):
            raise ValueError(
                f"several frames need the method gatys or neighbours, and a size of at most {LARGEST_CLIP} px"
            )
        return self

    @property
    def longest_style(self) -> int:
        """The longer side, in pixels, at which a style picture has to be decoded at most."""
        return min(LARGEST_SIZE, round(self.size * max(1.0, self.stroke)))

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that identify this recipe."""
        fields = self.model_dump(mode="json")
        if not self.continues:
            del fields["continues"]  # recipes from before this field keep their ids
        if self.where == "everything":
            del fields["where"], fields["spread"], fields["rest"]  # likewise
        if self.frames == 1:
            del fields["frames"]  # likewise
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def whole(self) -> Self:
        """The same recipe for a painting that starts from its pictures."""
        return self.model_copy(update={"continues": ""})
