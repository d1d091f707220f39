"""ICC profiles that are a matrix and curves, as colour spaces: ICC.1:2022.

LittleCMS, as Pillow has it, converts 8 bits for each channel alone. This is for pictures that have 16.
"""

import struct
from typing import Final

import numpy as np

from engine.colour_space import BT709, Array, ColourSpace, Curve, power

_MOST_TAGS: Final = 100
_PARAMETERS: Final = (1, 3, 4, 5, 7)
"""How many a parametric curve of each type has: 10.18, table 68."""


def space_of(profile: bytes) -> ColourSpace | None:
    """The colour space of a sound profile for RGB or for greys, if a matrix and curves are all that it is."""
    try:
        tags = _tags_of(profile)
        if profile[20:24] != b"XYZ " or {b"A2B0", b"A2B1", b"D2B0", b"D2B1"} & tags.keys():
            return None
        if profile[16:20] == b"GRAY":
            return ColourSpace.of(BT709, _curve(tags[b"kTRC"]))
        if profile[16:20] != b"RGB ":
            return None
        columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        return ColourSpace.of(
            np.array(columns).T / 65_536, *(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        )
    except (KeyError, ValueError, IndexError, struct.error):
        return None


def _tags_of(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > _MOST_TAGS:
        raise ValueError(f"{count} tags")
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * number) for number in range(count))
    return {name: profile[start : start + size] for name, start, size in entries}


def _curve(tag: bytes) -> Curve:
    match tag[:4]:
        case b"curv":
            (count,) = struct.unpack_from(">I", tag, 8)
            values = np.frombuffer(tag, ">u2", count, 12)
            if count < 2:
                return power(float(values[0]) / 256 if count else 1)
            return _sampled(values / 65_535)
        case b"para":
            (kind,) = struct.unpack_from(">H", tag, 8)
            numbers = struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)
            return _parametric(kind, [number / 65_536 for number in numbers])
    raise ValueError(f"no curve: {tag[:4]!r}")


def _sampled(values: Array) -> Curve:
    return lambda signal: np.interp(signal, np.linspace(0, 1, len(values)), values)


def _parametric(kind: int, numbers: list[float]) -> Curve:
    exponent, factor, offset, slope, start, above, below = (*numbers, *[0.0] * (7 - len(numbers)))
    if kind == 0:
        factor = 1.0
    elif kind < 3:  # without a linear part: the third number is what both parts lie above 0
        if factor == 0:
            raise ValueError("a curve without a slope")
        slope, start, above, below = 0.0, -offset / factor, slope, slope

    def curve(signal: Array) -> Array:
        with np.errstate(all="ignore"):
            curved = np.maximum(factor * signal + offset, 0) ** exponent + above
            light = np.where(signal >= start, curved, slope * signal + below)
        clipped: Array = np.clip(np.nan_to_num(light), 0, 1)
        return clipped

    return curve
