"""Pixels of PNGs that Pillow does not read completely: with 16 bits, and with a transparent colour."""

import struct

import pytest

from engine.images.codec import decode
from tests.engine.images import corpus


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    values = [0, 255, 257, 32_896, 65_535] * 8
    rows = b"".join(b"\0" + struct.pack(">40H", *values) for _ in range(40))
    picture = decode(corpus.png(40, 40, 16, 0, rows))
    assert [picture.rgb.getpixel((x, 0)) for x in range(5)] == [(level,) * 3 for level in (0, 1, 1, 128, 255)]


@pytest.mark.parametrize(("colour", "values"), [(2, (51_400, 2_570, 23_130)), (6, (51_400, 2_570, 23_130, 65_535))])
def test_sixteen_bit_colours_are_scaled(colour: int, values: tuple[int, ...]) -> None:
    row = b"\0" + struct.pack(f">{len(values)}H", *values) * 40
    assert decode(corpus.png(40, 40, 16, colour, row * 40)).rgb.getpixel((0, 0)) == (200, 10, 90)


@pytest.mark.parametrize(
    ("depth", "colour", "clear", "solid", "key"),
    [
        (1, 0, b"\x00", b"\xff", struct.pack(">H", 0)),
        (2, 0, b"\x55", b"\xff", struct.pack(">H", 1)),
        (4, 0, b"\x77", b"\xff", struct.pack(">H", 7)),
        (8, 0, b"\x4d", b"\xff", struct.pack(">H", 77)),
        (16, 0, b"\x12\x34", b"\x12\x35", struct.pack(">H", 0x1234)),
        (8, 2, b"\x01\x02\x03", b"\x01\x02\x04", struct.pack(">3H", 1, 2, 3)),
        (16, 2, b"\x01\0\x02\0\x03\0", b"\x01\0\x02\0\x04\0", struct.pack(">3H", 256, 512, 768)),
        (16, 2, b"\x01\x09\x02\0\x03\0", b"\x01\x08\x02\0\x03\0", struct.pack(">3H", 265, 512, 768)),
    ],
)
def test_the_transparent_colour_is_found_at_each_depth(
    depth: int, colour: int, clear: bytes, solid: bytes, key: bytes
) -> None:
    samples = {0: 1, 2: 3}[colour]
    length = 40 * depth * samples // 8
    rows = (b"\0" + (clear * length)[:length]) * 20 + (b"\0" + (solid * length)[:length]) * 20
    picture = decode(corpus.png(40, 40, depth, colour, rows, corpus.chunk(b"tRNS", key)))
    assert picture.alpha is not None
    assert picture.alpha.getpixel((3, 3)) == 0
    assert picture.alpha.getpixel((3, 30)) == 255
