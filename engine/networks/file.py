"""Files of trained networks: safetensors, with the pictures of the styles and a model card inside.

The format has no code, only a header in JSON and numbers: https://github.com/huggingface/safetensors. All that a file
states is checked before any number is read. This module imports no torch, so that the bot can list styles.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import NetworkUnusable
from engine.recipe import Recipe

LARGEST_FILE: Final = 24 * 2**20
"""Bytes."""
LARGEST_HEADER: Final = 512 * 2**10
"""Bytes."""
LARGEST_PICTURE: Final = 512 * 2**10
"""Bytes of a style's picture."""
MOST_STYLES: Final = 64
WIDEST: Final = (64, 128)
"""The most channels at half and at a quarter of the size. They keep a network under two million parameters."""
BLOCKS: Final = 5
"""Residual blocks, at a quarter of the size."""
FULL_STRENGTH: Final = 50.0
"""The strength of a network's own painting. Below it, the content is mixed in."""
FORMAT: Final = "atelier-network-2"
_SIZES: Final = {"F16": 2, "U8": 1}
"""Bytes of a number, by safetensors' names of the types that these files have."""

Name = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[^\x00-\x1f\x7f]+$")]
Words = Annotated[str, Field(max_length=4000)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Card(BaseModel):
    """The model card: what a network can do, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    styles: Annotated[tuple[Name, ...], Field(min_length=1, max_length=MOST_STYLES)]
    """Their names, in the order of the normalisations' rows."""
    widths: tuple[Annotated[int, Field(ge=4, le=WIDEST[0])], Annotated[int, Field(ge=4, le=WIDEST[1])]]
    """The channels at half and at a quarter of the size."""
    photos: Words
    """What it was trained on."""
    licences: Words
    """The licences of the photos and the styles, as the person who trained the network stated them."""
    base: Words
    """The styles of the network that was fine-tuned; empty for a network that was trained from scratch."""
    steps: Annotated[int, Field(ge=0)]
    """Steps of the optimiser."""
    seconds: Number | None
    """The time of these steps. None where only their number ended the training: the file is then the same each time."""
    seed: int
    objective: Words
    """What was minimised."""
    figures: Mapping[Name, Number]
    """Losses, means over the last steps."""
    device: Words
    version: Words
    """The version of Atelier."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.styles)) < len(self.styles):
            raise ValueError("two styles have one name")
        return self


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A trained network, as bytes."""

    card: Card
    parameters: Mapping[str, bytes]
    """Half floats, little-endian, row by row. Their shapes are those of :func:`shapes`."""
    pictures: Sequence[bytes]
    """The picture of each style: an encoded one of at most :data:`LARGEST_PICTURE` bytes. Untrusted."""

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Read a file.

        Raises:
            NetworkUnusable: the file can't be used. The message says why.
        """
        if len(data) > LARGEST_FILE:
            raise NetworkUnusable(f"It has {len(data):,} bytes. At most {LARGEST_FILE:,} are allowed.")
        length = struct.unpack("<Q", data[:8])[0] if len(data) >= 8 else 0
        if not 2 <= length <= min(LARGEST_HEADER, len(data) - 8):
            raise NetworkUnusable("It is not in the format safetensors, or it is cut off.")
        try:
            header = json.loads(data[8 : 8 + length])
        except (ValueError, RecursionError) as error:
            raise NetworkUnusable("Its header is not JSON: it is not in the format safetensors.") from error
        metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
        if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
            raise NetworkUnusable("It was not written by this version of atelier train.")
        try:
            card = Card.model_validate_json(metadata.get("card", ""))
        except (ValidationError, TypeError) as error:
            raise NetworkUnusable("Its model card is damaged.") from error
        found = _tensors(header, memoryview(data)[8 + length :])
        expected = {name: ("F16", shape) for name, shape in shapes(len(card.styles), card.widths).items()}
        for index in range(len(card.styles)):
            _, shape, _ = found.get(f"picture.{index}", ("", (0,), b""))
            if len(shape) != 1 or not 0 < shape[0] <= LARGEST_PICTURE:
                raise NetworkUnusable(f"It has no picture of style {index + 1} of a usable size.")
            expected[f"picture.{index}"] = "U8", shape
        stated = {name: (kind, shape) for name, (kind, shape, _) in found.items()}
        if stated != expected:
            wrong = sorted({each for each in {*stated, *expected} if stated.get(each) != expected.get(each)})
            raise NetworkUnusable(f"Its tensor {wrong[0][:60]} is missing, left over or of another shape.")
        numbers = {name: bytes(found[name][2]) for name in expected}
        pictures = [numbers.pop(f"picture.{index}") for index in range(len(card.styles))]
        return cls(card, numbers, pictures)

    def write(self) -> bytes:
        """The bytes of the file. The same network gives the same bytes."""
        tensors = {name: ("F16", shape, self.parameters[name]) for name, shape in self.shapes.items()}
        for index, picture in enumerate(self.pictures):
            tensors[f"picture.{index}"] = "U8", (len(picture),), picture
        header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "card": self.card.model_dump_json()}}
        place = 0
        for name, (kind, shape, numbers) in tensors.items():
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + len(numbers)]}
            place += len(numbers)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # so that the numbers are aligned
        return struct.pack("<Q", len(text)) + text + b"".join(numbers for _, _, numbers in tensors.values())

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the parameters, by their names."""
        return shapes(len(self.card.styles), self.card.widths)

    def only(self, index: int) -> "NetworkFile":
        """The same network with one of its styles."""
        parameters = dict(self.parameters)
        for name, shape in self.shapes.items():
            if _is_of_style(name):
                row = 2 * shape[1]
                parameters[name] = parameters[name][index * row : (index + 1) * row]
        card = self.card.model_copy(update={"styles": (self.card.styles[index],)})
        return NetworkFile(card, parameters, [self.pictures[index]])


def is_network(data: bytes) -> bool:
    """Whether bytes look like a safetensors file. No picture begins like this."""
    return len(data) > 9 and data[8:9] == b"{" and struct.unpack("<Q", data[:8])[0] <= LARGEST_HEADER


def by_network(recipe: Recipe) -> bool:
    """Whether a network paints a recipe, if it is the only style.

    The picture of its style paints what it has not learned: other qualities, a higher strength, more detail, and the
    continuation of another painting.
    """
    if recipe.method != "instant" or recipe.detail or recipe.continues:
        return False
    return recipe.strength <= FULL_STRENGTH and bool(recipe.style_weight)


def picture_in(data: bytes) -> bytes:
    """The picture of the first style in a network's file; other bytes unchanged.

    Raises:
        NetworkUnusable: it looks like a network, and is none.
    """
    return NetworkFile.read(data).pictures[0] if is_network(data) else data


def shapes(styles: int, widths: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The parameters of :class:`engine.networks.network.StyleNetwork` with these arguments: shapes by names."""
    half, quarter = widths
    convolutions = {"stem": (half, 12), "down": (quarter, half), "to_half": (half, quarter)}
    found: dict[str, tuple[int, ...]] = _norm("picture", styles, 3)
    for name, (after, before) in convolutions.items():
        found |= {f"{name}.convolution.weight": (after, before, 3, 3)} | _norm(f"{name}.norm", styles, after)
    for index in range(BLOCKS):
        block = f"blocks.{index}"
        found |= {f"{block}.first.convolution.weight": (quarter, quarter, 3, 3)}
        found |= _norm(f"{block}.first.norm", styles, quarter)
        found |= {f"{block}.second.weight": (quarter, quarter, 3, 3)} | _norm(f"{block}.norm", styles, quarter)
    return found | {"to_full.weight": (12, half, 3, 3), "last.weight": (3, 6, 3, 3)}


def _norm(name: str, styles: int, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.scale": (styles, channels), f"{name}.shift": (styles, channels)}


def _is_of_style(name: str) -> bool:
    """Whether the parameter has a row for each style."""
    return name.endswith((".scale", ".shift"))


def _tensors(header: dict[str, Any], data: memoryview) -> dict[str, tuple[str, tuple[int, ...], memoryview]]:
    """Type, shape and bytes of each tensor. They fill the file without gaps, as the format demands.

    Raises:
        NetworkUnusable: they don't.
    """
    found = {}
    place = 0
    for name, stated in header.items():
        match stated:
            case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(end)]} if (
                kind in _SIZES and len(shape) <= 4 and all(type(each) is int and 0 < each < 2**24 for each in shape)
            ):
                if start != place or end - start != prod(shape) * _SIZES[kind] or end > len(data):
                    raise NetworkUnusable(f"Its tensor {name[:60]} has a wrong place or size.")
                found[name] = kind, tuple(shape), data[start:end]
                place = end
            case _:
                raise NetworkUnusable(f"Its tensor {name[:60]} is of another kind.")
    if place != len(data):
        raise NetworkUnusable("It ends with bytes that belong to no tensor.")
    return found
