"""What determines a painting apart from the bytes of its pictures, and what it gives back."""

import hashlib
import json
from collections.abc import Iterator, Mapping
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
Method = Literal["gatys"]
Precision = Literal["auto", "float32", "bfloat16"]
Colours = Literal["style", "matched", "content"]
Start = Literal["content", "matched", "noise"]
Optimiser = Literal["adam", "lbfgs"]
Pooling = Literal["max", "average"]
Balance = Literal["fixed", "dynamic"]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

P = TypeVar("P")

SMALLEST_SIZE: Final = 64
LARGEST_SIZE: Final = 4096
DEFAULT_CONTENT_LAYERS: Final[Mapping[Layer, float]] = {"relu4_2": 1.0}
DEFAULT_STYLE_LAYERS: Final[Mapping[Layer, float]] = {
    "relu1_1": 1.0,
    "relu2_1": 1.0,
    "relu3_1": 1.0,
    "relu4_1": 1.0,
    "relu5_1": 1.0,
}


@dataclass(frozen=True, slots=True)
class Inputs(Generic[P]):
    """The pictures that a painting is made of: as bytes, as the names of blobs, or decoded."""

    content: P
    styles: tuple[P, ...]
    """At least one."""

    def __iter__(self) -> Iterator[P]:
        """The content, then the styles."""
        yield self.content
        yield from self.styles


class Recipe(BaseModel):
    """A painting's whole description. The same recipe on the same pictures and device gives the same picture.

    Frozen and validated; JSON both ways by ``model_dump_json`` and ``model_validate_json``. Raises
    ``pydantic.ValidationError`` for a value out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[3] = 3
    """Of the meaning of these fields: it grows when the same fields would paint another picture. A recipe of an older
    version is read as one of this version, so that a job which waited through an upgrade is painted.
    """

    method: Method = "gatys"
    """See :data:`engine.painting.methods.METHODS`. ``gatys``: Gatys, Ecker and Bethge, "Image Style Transfer Using
    Convolutional Neural Networks" (CVPR 2016).
    """

    size: int = Field(default=512, ge=SMALLEST_SIZE, le=LARGEST_SIZE)
    """The longer side of the painting, in pixels."""

    steps: int = Field(default=120, ge=1, le=10_000)
    """Steps of the optimiser in all, over all scales."""

    optimiser: Optimiser = "adam"
    """Adam (Kingma and Ba, ICLR 2015), or L-BFGS (Liu and Nocedal, Mathematical Programming 1989)."""

    start: Start = "content"
    """The first image: the content, the content in the styles' colours, or noise."""

    tolerance: Weight = 0.1
    """The painting ends early when ten steps at its full size changed it by less than this, on average, of 255 grey
    levels. 0: never.
    """

    strength: float = Field(default=50, ge=0, le=100)
    """0 gives the content back, 100 is nearly all style. See :func:`engine.painting.strength.style_weight`."""

    detail: float = Field(default=0, ge=0, le=100)
    """How much edges and the relations between places are held to the content's, beyond ``content_layers``: Laplacians
    (Li et al., ACM MM 2017) and self-similarity (Kolkin et al., CVPR 2019).
    """

    stroke: float = Field(default=1, ge=0.25, le=4)
    """The size of strokes: the style pictures' longer side, in longer sides of the painting, whatever its size."""

    content_weight: Weight = 1.0
    style_weight: Weight = 1.0
    """Factors on the two losses, on top of what ``strength`` says."""

    content_layers: Mapping[Layer, Weight] = DEFAULT_CONTENT_LAYERS
    style_layers: Mapping[Layer, Weight] = DEFAULT_STYLE_LAYERS
    """Features that are compared, each with its weight within its loss."""

    balance: Balance = "fixed"
    """Whether the style layers' weights stay as they are, or are shifted on the way to the layers that lag behind."""

    style_shares: tuple[Weight, ...] = ()
    """A weight for each style picture, in their order; empty for equal shares. Blended in the statistics."""

    colours: Colours = "style"
    """``style``: the styles' own. ``matched``: the styles are recoloured to the content's palette before they are
    looked at (Gatys et al., "Controlling Perceptual Factors", CVPR 2017). ``content``: each place keeps its own; only
    the lightness of the painting is taken (in Oklab).
    """

    total_variation: Weight = 0.0
    """Weight of the total variation, which smooths."""

    pooling: Pooling = "max"
    """Of VGG19. It was trained with ``max``; ``average`` gives smoother pictures (Gatys et al., CVPR 2016)."""

    noise: float = Field(default=0.01, ge=0, le=1)
    """Standard deviation (pixels go from 0 to 1) of the noise on the first image: it lets flat areas take strokes."""

    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of that noise, and of the noise that ``start`` may ask for."""

    precision: Precision = "auto"
    """Of the network's activations. ``auto``: bfloat16 where the device computes in it, else float32."""

    @model_validator(mode="before")
    @classmethod
    def _read_older(cls, fields: Any) -> Any:
        return fields | {"version": 3} if isinstance(fields, dict) and fields.get("version") in (1, 2) else fields

    @model_validator(mode="after")
    def _check_layers(self) -> Self:
        if not any(self.content_layers.values()):
            raise ValueError("content_layers needs a layer with a weight above 0")
        if not any(self.style_layers.values()):
            raise ValueError("style_layers needs a layer with a weight above 0")
        if self.style_shares and not any(self.style_shares):
            raise ValueError("style_shares needs a share above 0")
        return self

    @property
    def longest_style(self) -> int:
        """Pixels that are enough for the longer side of a style picture."""
        return min(LARGEST_SIZE, round(self.size * max(1.0, self.stroke)))

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that name this recipe to people."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:8]
