"""RGB colour spaces by their primaries and transfer functions.

The numbers are those of ITU-T H.273 (2021), to which PNG's ``cICP`` and AVIF's ``nclx`` refer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Curve = Callable[[Array], Array]
"""From a signal in [0, 1] to linear light, 1 being the white of a page."""
Point = tuple[float, float]
"""CIE 1931 x and y."""

REFERENCE_WHITE: Final = 203.0
"""cd/m² of the white of a page in HDR: ITU-R BT.2408-7, table 1."""

PQ_PEAK: Final = 10_000.0
"""cd/m² of the highest signal of PQ."""

_D65: Final[Point] = (0.3127, 0.3290)
_C: Final[Point] = (0.310, 0.316)
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_LARGEST: Final = 100.0
"""The largest factor from one channel to another. Those of real colour spaces are under 5."""

_PQ_M1, _PQ_M2 = 1305 / 8192, 2523 / 32
_PQ_C1, _PQ_C2, _PQ_C3 = 107 / 128, 2413 / 128, 2392 / 128


@dataclass(frozen=True, slots=True)
class Primaries:
    """Chromaticities of the white and of the three primaries."""

    white: Point
    red: Point
    green: Point
    blue: Point

    def to_xyz(self) -> Array:
        """The matrix from linear RGB to CIE XYZ, white having Y = 1 (SMPTE RP 177).

        :raises ValueError: the white is not within their triangle.
        """
        columns = np.array([(x, y, 1 - x - y) for x, y in (self.red, self.green, self.blue)]).T
        white = np.array((*self.white, 1 - sum(self.white)))
        if self.white[1] <= 0 or abs(np.linalg.det(columns)) < 1e-4:
            raise ValueError(f"no primaries: {self}")
        shares = np.linalg.solve(columns, white / self.white[1])
        if (shares <= 0).any():
            raise ValueError(f"the white is outside of the primaries: {self}")
        matrix: Array = columns * shares
        return matrix


BT709: Final = Primaries(_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_TO_XYZ: Final = BT709.to_xyz()

PRIMARIES: Final = {
    1: BT709,
    4: Primaries(_C, (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: Primaries(_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    8: Primaries(_C, (0.681, 0.319), (0.243, 0.692), (0.145, 0.049)),
    9: Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    10: Primaries((1 / 3, 1 / 3), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)),
    11: Primaries((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: Primaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    22: Primaries(_D65, (0.630, 0.340), (0.295, 0.605), (0.155, 0.077)),
}
"""H.273, table 2 (ColourPrimaries)."""


def srgb(signal: Array) -> Array:
    """IEC 61966-2-1."""
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def power(exponent: float) -> Curve:
    """A pure power."""
    return lambda signal: signal**exponent


def pq(signal: Array) -> Array:
    """SMPTE ST 2084, BT.2100-2 table 4: light of the display."""
    root = signal ** (1 / _PQ_M2)
    light = (np.maximum(root - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * root)) ** (1 / _PQ_M1)
    return light * (PQ_PEAK / REFERENCE_WHITE)


def pq_signal(light: Array) -> Array:
    """The inverse of :func:`pq`."""
    root = (light * (REFERENCE_WHITE / PQ_PEAK)) ** _PQ_M1
    signal: Array = ((_PQ_C1 + _PQ_C2 * root) / (1 + _PQ_C3 * root)) ** _PQ_M2
    return signal


def hlg(signal: Array) -> Array:
    """BT.2100-2 table 5: light of the scene, in [0, 1]. The caller applies the display's system gamma."""
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)


def _smpte240(signal: Array) -> Array:
    return np.where(signal < 0.0913, signal / 4, ((signal + 0.1115) / 1.1115) ** (1 / 0.45))


CURVES: Final[dict[int, Curve]] = {
    # For these five, H.273 has the camera's curve. Such pictures are edited on displays with sRGB's curve, which
    # browsers use too.
    **dict.fromkeys((1, 6, 11, 14, 15), srgb),
    4: power(2.2),
    5: power(2.8),
    7: _smpte240,
    8: power(1),
    9: lambda signal: np.where(signal > 0, 10 ** (2 * signal - 2), 0),
    10: lambda signal: np.where(signal > 0, 10 ** (2.5 * signal - 2.5), 0),
    13: srgb,
    16: pq,
    17: lambda signal: signal**2.6 * (52.37 / 48),
    18: hlg,
}
"""H.273, table 3 (TransferCharacteristics)."""


@dataclass(frozen=True, slots=True, eq=False)
class ColourSpace:
    """The meaning of the levels of an RGB or grey picture."""

    to_srgb: Array
    """The matrix from its linear RGB to sRGB's. Its white becomes sRGB's white."""
    luminances: Array
    """The shares of red, green and blue in the luminance of white."""
    curves: tuple[Curve, Curve, Curve]
    """Of red, green and blue."""
    narrow: bool
    """Whether black is 16 and white 235 of 255."""

    @classmethod
    def of(cls, primaries: Primaries | Array, *curves: Curve, narrow: bool = False) -> Self:
        """A space with these ``primaries``, or with a matrix from linear RGB to CIE XYZ.

        :param curves: one, or one for each channel.
        :raises ValueError: no colours can have such primaries.
        """
        red, green, blue = curves * 3 if len(curves) == 1 else curves
        if primaries is BT709:
            return cls(np.eye(3), _TO_XYZ[1], (red, green, blue), narrow)
        own = primaries.to_xyz() if isinstance(primaries, Primaries) else primaries
        white, goal = _BRADFORD @ own.sum(axis=1), _BRADFORD @ _TO_XYZ.sum(axis=1)
        if not (white > 0).all() or own[1].sum() <= 0:
            raise ValueError(f"no white: {primaries}")
        adapted = np.linalg.inv(_BRADFORD) @ np.diag(goal / white) @ _BRADFORD @ own
        to_srgb = np.linalg.inv(_TO_XYZ) @ adapted
        if not (np.abs(to_srgb) < _LARGEST).all() or abs(np.linalg.det(to_srgb)) < 1 / _LARGEST:
            raise ValueError(f"no primaries: {primaries}")
        return cls(to_srgb, own[1] / own[1].sum(), (red, green, blue), narrow)

    @property
    def has_srgb_primaries(self) -> bool:
        """Whether its primaries and white are sRGB's, except for rounding."""
        return bool(np.allclose(self.to_srgb, np.eye(3), atol=5e-3))

    @property
    def has_srgb_curve(self) -> bool:
        """Whether its curves are sRGB's, so that the mean of two levels is the same colour in both."""
        return self.curves == (srgb, srgb, srgb)

    @property
    def is_srgb(self) -> bool:
        """Whether its pixels are sRGB's as they are."""
        return self.has_srgb_curve and not self.narrow and self.has_srgb_primaries

    def linear(self, levels: Literal[256, 65_536]) -> list[NDArray[np.float32]]:
        """For each channel, the linear light of every level of 8 or of 16 bits."""
        black, white = (16 * levels // 256, 235 * levels // 256) if self.narrow else (0, levels - 1)
        signal = np.clip((np.arange(levels) - black) / (white - black), 0, 1)
        return [curve(signal).astype(np.float32) for curve in self.curves]


SRGB: Final = ColourSpace.of(BT709, srgb)
