"""Colour spaces implemented independently, in float64 and in the opposite direction: from linear sRGB to levels.

Matrices are the published ones, so that none of them comes from the code under test: ITU-R BT.2087-0 for BT.2020, CSS
Color 4 (section 18) for Display P3 and ProPhoto RGB, Adobe RGB (1998) Color Image Encoding for Adobe RGB.
"""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.engine.images import corpus

Array = NDArray[np.float64]

TO_P3 = np.array([[0.8224621, 0.1775380, 0], [0.0331941, 0.9668058, 0], [0.0170827, 0.0723974, 0.9105199]])
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_ADOBE = np.array([[0.7151256, 0.2848744, 0], [0, 1, 0], [0, 0.0411619, 0.9588381]])
TO_PROPHOTO = np.array(
    [[0.5292770, 0.3301545, 0.1405685], [0.0983659, 0.8734707, 0.0281634], [0.0168753, 0.1176594, 0.8654652]]
)

ADOBE_CHRM = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
PROPHOTO_CHRM = (34570, 35850, 73470, 26530, 15960, 84040, 3660, 10)
SRGB_CHRM = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def chart(side: int = 48) -> NDArray[np.uint8]:
    """Levels of sRGB, shape (side, side, 3): ramps of grey and of pure colours, and a range of mixtures."""
    across, down = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    levels = np.stack([across, down, np.abs(across - down)], axis=2) * 255
    levels[:4] = np.linspace(0, 255, side)[None, :, None]
    levels[4:7] = np.linspace(0, 255, side)[None, :, None] * np.eye(3)[:, None, :]
    whole: NDArray[np.uint8] = np.rint(levels).astype(np.uint8)
    return whole


def linear(levels: NDArray[np.uint8]) -> Array:
    """IEC 61966-2-1, equations 5 and 6."""
    signal = levels / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def srgb_signal(light: Array) -> Array:
    """IEC 61966-2-1, equations 9 and 10."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def pq_signal(light: Array) -> Array:
    """SMPTE ST 2084, equation 5.2; the white of a page at 203 cd/m² (BT.2408)."""
    power = (light * 203 / 10_000) ** 0.1593017578125
    signal: Array = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    return signal


def hlg_signal(light: Array) -> Array:
    """BT.2100-2, table 5: light of a display of 1,000 cd/m², in BT.2020's primaries, back through OOTF and OETF."""
    display = light * 203 / 1000
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * np.where(luminance > 0, np.maximum(luminance, 1e-12) ** ((1 - 1.2) / 1.2), 0)[..., None]
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def levels_of(signal: Array, depth: int) -> NDArray[np.uint16]:
    """Of 8 or 16 bits."""
    levels: NDArray[np.uint16] = np.rint(np.clip(signal, 0, 1) * (2**depth - 1)).astype(np.uint16)
    return levels


def png_of(levels: NDArray[np.uint16], depth: int, *chunks: bytes, after: bytes = b"") -> bytes:
    """Of shape (height, width, channels): grey, grey and alpha, RGB or RGBA; ``after`` follows the pixels."""
    height, width, channels = levels.shape
    rows = levels.astype(">u2" if depth == 16 else "u1")
    data = corpus.png(
        width,
        height,
        depth,
        {1: 0, 2: 4, 3: 2, 4: 6}[channels],
        b"".join(b"\0" + row.tobytes() for row in rows),
        *chunks,
    )
    return data[:-12] + after + data[-12:]


def cicp(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    """A chunk."""
    return corpus.chunk(b"cICP", bytes((primaries, transfer, matrix, full)))


def gama(gamma: float) -> bytes:
    """A chunk."""
    return corpus.chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(numbers: tuple[int, ...]) -> bytes:
    """A chunk."""
    return corpus.chunk(b"cHRM", struct.pack(">8I", *numbers))


P3_ENDS = (0.68, 0.32, 0, 0.265, 0.69, 0.045, 0.15, 0.06, 0.79)
"""CIE x, y and z of SMPTE EG 432-1's primaries."""


def bmp_of(
    levels: NDArray[np.uint16] | NDArray[np.uint8],
    space: bytes,
    ends: Sequence[float] = (0,) * 9,
    gammas: Sequence[float] = (0,) * 3,
    profile: bytes = b"",
) -> bytes:
    """A file with a BITMAPV5HEADER, 24-bit pixels and a profile.

    :param space: bV5CSType, as in the file.
    :param ends: nine numbers.
    :param gammas: three exponents.
    """
    height, width, _ = levels.shape
    rows = levels[::-1, :, ::-1].astype("u1")
    pixels = b"".join(row.tobytes() + bytes(-3 * width % 4) for row in rows)
    info = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(pixels), 2835, 2835, 0, 0) + bytes(16) + space
    info += struct.pack("<9i", *(round(end * 2**30) for end in ends))
    info += struct.pack("<3I", *(round(gamma * 2**16) for gamma in gammas))
    info += struct.pack("<IIII", 4, 124 + len(pixels), len(profile), 0)
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels) + len(profile), 0, 0, 138) + info + pixels + profile


def nclx(data: bytes, primaries: int, transfer: int) -> bytes:
    """The AVIF with other numbers in each of its ``nclx``."""
    parts = data.split(b"colrnclx")
    assert len(parts) > 1
    return (b"colrnclx" + struct.pack(">HH", primaries, transfer)).join([parts[0], *(part[4:] for part in parts[1:])])
