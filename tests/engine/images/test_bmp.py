"""BMP as browsers read it: headers, bit fields, runs, alpha, and truncated files."""

import random
import struct
from collections.abc import Sequence

import pytest

from engine.errors import PictureDamaged, PictureError, PictureTransparent, PictureTruncated
from engine.images.codec import Picture, decode

WIDTH, HEIGHT = 40, 33
Masks = tuple[int, int, int, int]
NO_FIELDS = 0
FIELDS = 3
ALPHA_FIELDS = 6


def bmp(
    bits: int,
    pixels: bytes,
    *,
    header: int = 40,
    compression: int = NO_FIELDS,
    masks: Sequence[int] = (),
    palette: bytes = b"",
    colours: int = 0,
    height: int = HEIGHT,
    width: int = WIDTH,
    gap: int = 0,
    start: int | None = None,
) -> bytes:
    """A file with any header; ``masks`` are in it if they fit, otherwise after it."""
    if header == 12:
        fields = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        fields = struct.pack(
            "<IiiHHIIiiII", header, width, height, 1, bits, compression, len(pixels), 2835, 2835, colours, 0
        )
        fields += struct.pack(f"<{len(masks)}I", *masks)
        fields = fields[:header].ljust(header, b"\0") if header != 40 else fields
    if start is None:
        start = 14 + len(fields) + len(palette) + gap
    head = struct.pack("<2sIHHI", b"BM", 14 + len(fields) + len(palette) + gap + len(pixels), 0, 0, start)
    return head + fields + palette + b"\xaa" * gap + pixels


def padded(row: bytes) -> bytes:
    return row + bytes(-len(row) % 4)


def packed(levels: Sequence[Sequence[tuple[int, ...]]], masks: Masks, bits: int) -> bytes:
    """Rows from the last to the first, with each pixel's levels at the bits of the masks."""
    rows = []
    for row in reversed(levels):
        values = [
            sum(level * (mask & -mask) for level, mask in zip(pixel, masks, strict=True) if mask) for pixel in row
        ]
        rows.append(padded(b"".join(value.to_bytes(bits // 8, "little") for value in values)))
    return b"".join(rows)


def levels_under(masks: Masks) -> list[list[tuple[int, ...]]]:
    """Random levels that fit under the masks."""
    chance = random.Random(1)
    most = [(1 << mask.bit_count()) - 1 for mask in masks]
    return [[tuple(chance.randint(0, each) for each in most) for _ in range(WIDTH)] for _ in range(HEIGHT)]


def eight_bits(level: int, mask: int) -> int:
    """All ones are 255; of more than eight bits, the high ones count."""
    width = mask.bit_count()
    return level >> width - 8 if width >= 8 else round(255 * level / (2**width - 1)) if width else 0


def colours(picture: Picture) -> list[list[tuple[int, ...]]]:
    data = picture.rgb.tobytes()
    values = [tuple(data[at : at + 3]) for at in range(0, len(data), 3)]
    return [values[at : at + WIDTH] for at in range(0, len(values), WIDTH)]


def alphas(picture: Picture) -> list[list[int]]:
    assert picture.alpha is not None
    data = picture.alpha.tobytes()
    return [list(data[at : at + WIDTH]) for at in range(0, len(data), WIDTH)]


PLAIN_16 = (0x7C00, 0x3E0, 0x1F, 0)
PLAIN_32 = (0xFF0000, 0xFF00, 0xFF, 0)


@pytest.mark.parametrize(
    ("bits", "header", "compression", "masks"),
    [
        (16, 40, NO_FIELDS, PLAIN_16),
        (32, 40, NO_FIELDS, PLAIN_32),
        (16, 40, FIELDS, (0xF800, 0x7E0, 0x1F, 0)),
        (16, 52, FIELDS, (0x1F, 0x7E0, 0xF800, 0)),
        (16, 40, FIELDS, (0xF00, 0xF0, 0xF, 0)),
        (16, 108, FIELDS, (0xF00, 0xF0, 0xF, 0)),
        (16, 56, FIELDS, (0b11, 0b11100, 0b1100000, 0)),
        (16, 124, FIELDS, (0x1, 0x1FFE, 0x4000, 0)),
        (32, 40, FIELDS, (0xFF000000, 0xFF0000, 0xFF00, 0)),
        (32, 52, FIELDS, (0xFF, 0xFF00, 0xFF0000, 0)),
        (32, 124, FIELDS, (0x3FF00000, 0xFFC00, 0x3FF, 0)),
        (32, 56, FIELDS, (0x7FF, 0x3FF800, 0xFFC00000, 0)),
        (32, 108, FIELDS, (0xF0, 0xFFFF00, 0x1F000000, 0)),
        (32, 124, FIELDS, (0xFF00, 0, 0xFF, 0)),
    ],
)
def test_colours_are_read_by_any_masks(bits: int, header: int, compression: int, masks: Masks) -> None:
    levels = levels_under(masks)
    given = masks[:3] if compression else ()
    picture = decode(bmp(bits, packed(levels, masks, bits), header=header, compression=compression, masks=given))
    expected = [
        [tuple(eight_bits(level, mask) for level, mask in zip(pixel[:3], masks[:3], strict=True)) for pixel in row]
        for row in levels
    ]
    assert colours(picture) == expected
    assert picture.alpha is None
    assert picture.shown is None


@pytest.mark.parametrize(
    ("bits", "header", "compression", "masks"),
    [
        (16, 108, FIELDS, (0xF00, 0xF0, 0xF, 0xF000)),
        (16, 56, FIELDS, (0x7C00, 0x3E0, 0x1F, 0x8000)),
        (16, 124, NO_FIELDS, (0x7C00, 0x3E0, 0x1F, 0x8000)),
        (16, 40, ALPHA_FIELDS, (0xF, 0xF0, 0xF00, 0xF000)),
        (32, 124, FIELDS, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, 124, NO_FIELDS, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, 108, NO_FIELDS, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, 56, FIELDS, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
        (32, 40, ALPHA_FIELDS, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
        (32, 124, FIELDS, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000)),
    ],
)
def test_alpha_is_read_by_its_mask(bits: int, header: int, compression: int, masks: Masks) -> None:
    levels = levels_under(masks)
    picture = decode(bmp(bits, packed(levels, masks, bits), header=header, compression=compression, masks=masks))
    assert alphas(picture) == [[eight_bits(pixel[3], masks[3]) for pixel in row] for row in levels]


@pytest.mark.parametrize(
    ("bits", "header", "compression", "masks"),
    [
        (32, 124, FIELDS, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, 108, NO_FIELDS, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (16, 56, FIELDS, (0xF00, 0xF0, 0xF, 0xF000)),
        (32, 40, ALPHA_FIELDS, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    ],
)
def test_alpha_of_0_everywhere_means_no_alpha(bits: int, header: int, compression: int, masks: Masks) -> None:
    levels = [[(*pixel[:3], 0) for pixel in row] for row in levels_under(masks)]
    picture = decode(bmp(bits, packed(levels, masks, bits), header=header, compression=compression, masks=masks))
    assert picture.alpha is None
    assert colours(picture)[2][3] == tuple(eight_bits(*each) for each in zip(levels[2][3][:3], masks[:3], strict=True))


@pytest.mark.parametrize(("header", "compression"), [(40, NO_FIELDS), (40, FIELDS), (52, FIELDS)])
def test_the_fourth_byte_without_a_mask_is_not_used_as_alpha(header: int, compression: int) -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    given = masks[:3] if compression else ()
    data = bmp(32, packed(levels_under(masks), masks, 32), header=header, compression=compression, masks=given)
    assert decode(data).alpha is None


def test_a_mask_of_alpha_outside_the_pixel_is_ignored() -> None:
    rows = b"".join(padded(bytes([7, 8, 9]) * WIDTH) for _ in range(HEIGHT))
    picture = decode(bmp(24, rows, header=124, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    assert picture.alpha is None
    assert colours(picture)[0][0] == (9, 8, 7)


@pytest.mark.parametrize("alpha", [0xFF, 0xFFFFFFFF, 0xFF0000])
def test_without_bit_fields_a_mask_of_alpha_that_overlaps_a_colour_is_ignored(alpha: int) -> None:
    levels = levels_under(PLAIN_32)
    masks = (0xFF00, 0xFF0000, 0xFF000000, alpha)  # the masks of the colours are ignored
    picture = decode(bmp(32, packed(levels, PLAIN_32, 32), header=124, compression=NO_FIELDS, masks=masks))
    assert picture.alpha is None
    assert colours(picture) == [[tuple(pixel[:3]) for pixel in row] for row in levels]


@pytest.mark.parametrize(
    "masks",
    [
        (0xFF0000, 0xFF00, 0x1FF, 0),
        (0xFF0000, 0xFF00, 0xFF, 0xFF0000),
        (0xF0F000, 0xF00, 0xFF, 0),
        (0x5, 0x10, 0x20, 0),
    ],
)
def test_masks_that_overlap_or_have_holes_are_refused(masks: Masks) -> None:
    with pytest.raises(PictureDamaged, match="masks"):
        decode(bmp(32, bytes(4 * WIDTH * HEIGHT), header=124, compression=FIELDS, masks=masks))


# --- Order, gaps, headers, palettes ---


def striped() -> tuple[list[tuple[int, int, int]], list[bytes]]:
    """A colour for each row, from the top, and its row of 24 bits."""
    rows = [(5 * y, 255 - 3 * y, 17 * y % 256) for y in range(HEIGHT)]
    return rows, [padded(bytes(rows[y][::-1]) * WIDTH) for y in range(HEIGHT)]


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
def test_a_top_down_picture_is_upright(header: int) -> None:
    expected, rows = striped()
    down = decode(bmp(24, b"".join(rows), header=header, height=-HEIGHT))
    up = decode(bmp(24, b"".join(reversed(rows)), header=header))
    assert [row[0] for row in colours(down)] == expected
    assert colours(up) == colours(down)
    assert down.rgb.size == (WIDTH, HEIGHT)


def test_a_top_down_picture_with_a_palette_or_bit_fields_is_upright() -> None:
    rows = b"".join(padded(bytes([y]) * WIDTH) for y in range(HEIGHT))
    palette = b"".join(bytes([0, 0, 7 * level % 256, 0]) for level in range(256))
    picture = decode(bmp(8, rows, palette=palette, height=-HEIGHT))
    assert [row[0][0] for row in colours(picture)] == [7 * y % 256 for y in range(HEIGHT)]
    masks = (0xFF, 0xFF00, 0xFF0000, 0)
    rows = b"".join(struct.pack("<I", y) * WIDTH for y in range(HEIGHT))
    picture = decode(bmp(32, rows, compression=FIELDS, masks=masks[:3], height=-HEIGHT))
    assert [row[0][0] for row in colours(picture)] == list(range(HEIGHT))


def test_a_gap_before_the_pixels_is_skipped_and_an_offset_of_0_means_no_gap() -> None:
    expected, rows = striped()
    pixels = b"".join(reversed(rows))
    for data in (bmp(24, pixels, gap=33), bmp(24, pixels, start=0)):
        assert [row[0] for row in colours(decode(data))] == expected
    masks = (0xF800, 0x7E0, 0x1F, 0)
    pixels = packed(levels_under(masks), masks, 16)
    plain = decode(bmp(16, pixels, compression=FIELDS, masks=masks[:3]))
    assert colours(decode(bmp(16, pixels, compression=FIELDS, masks=masks[:3], start=0))) == colours(plain)
    assert colours(decode(bmp(16, pixels, compression=FIELDS, masks=masks[:3], start=54))) == colours(plain)


@pytest.mark.parametrize(
    ("bits", "header"),
    [(2, 40), (2, 124), *((bits, header) for bits in (1, 4, 8) for header in (12, 40, 64, 124))],
)
def test_pixels_have_the_colours_of_the_palette(bits: int, header: int) -> None:
    most = 1 << bits
    colour = {index: (index * 11 % 256, 200 - index % 200, index * 5 % 256) for index in range(most)}
    entry = 3 if header == 12 else 4
    palette = b"".join(bytes(value[::-1]) + bytes(entry - 3) for value in colour.values())
    chance = random.Random(bits)
    indices = [[chance.randrange(most) for _ in range(WIDTH)] for _ in range(HEIGHT)]
    rows = []
    for row in reversed(indices):
        value = sum(index << bits * (WIDTH - 1 - x) for x, index in enumerate(row))
        rows.append(padded(value.to_bytes(WIDTH * bits // 8, "big")))
    picture = decode(bmp(bits, b"".join(rows), header=header, palette=palette))
    assert colours(picture) == [[colour[index] for index in row] for row in indices]


def test_an_index_beyond_the_palette_is_black() -> None:
    rows = padded(bytes([0, 1, 2, 3, 200] * 8)) * HEIGHT
    palette = bytes([1, 2, 3, 0, 4, 5, 6, 0])
    for data in (bmp(8, rows, palette=palette), bmp(8, rows, palette=palette, colours=2)):
        assert colours(decode(data))[0][:5] == [(3, 2, 1), (6, 5, 4), (0, 0, 0), (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("header", [12, 16, 20, 36, 42, 46, 64])
def test_headers_of_os2_are_read(header: int) -> None:
    expected, rows = striped()
    assert [row[0] for row in colours(decode(bmp(24, b"".join(reversed(rows)), header=header)))] == expected


@pytest.mark.parametrize(
    "data",
    [
        bmp(24, bytes(120 * HEIGHT), header=64, height=-HEIGHT),
        bmp(32, bytes(160 * HEIGHT), header=64),
        bmp(3, bytes(999)),
        bmp(24, bytes(999), compression=FIELDS),
        bmp(1, bytes(999), header=64, compression=3),
        bmp(0, bytes(999), compression=4),
        bmp(24, bytes(120 * HEIGHT), start=20),
    ],
)
def test_files_that_browsers_do_not_show_are_refused(data: bytes) -> None:
    with pytest.raises(PictureDamaged):
        decode(data)


# --- Runs ---

PALETTE = b"".join(bytes([level, 0, 255 - level, 0]) for level in range(256))


def rle(compression: int, bits: int, runs: bytes) -> bytes:
    return bmp(bits, runs, compression=compression, palette=PALETTE[: 4 << bits])


def red(picture: Picture, y: int) -> list[int]:
    return [pixel[0] for pixel in colours(picture)[y]]


def test_runs_of_bytes_are_decoded() -> None:
    row = bytes([30, 9, 0, 5, 1, 2, 3, 4, 5, 0, 5, 77])  # 30 times 9; five as they are, and padding; 5 times 77
    picture = decode(rle(1, 8, (row + b"\0\0") * HEIGHT + b"\0\1"))
    assert red(picture, 20) == [255 - index for index in [9] * 30 + [1, 2, 3, 4, 5] + [77] * 5]
    assert picture.alpha is None


def test_runs_of_half_bytes_are_decoded() -> None:
    row = bytes([31, 0x3A, 0, 5, 0x12, 0x34, 0x50, 0, 4, 0x77])  # by turns 3 and 10; five as they are, and padding
    picture = decode(rle(2, 4, (row + b"\0\0") * HEIGHT + b"\0\1"))
    assert red(picture, 20) == [255 - index for index in [3, 10] * 15 + [3, 1, 2, 3, 4, 5] + [7] * 4]
    assert picture.alpha is None


def test_runs_of_colours_are_decoded() -> None:
    row = bytes([35, 1, 2, 3, 0, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 2, 4, 5, 6])  # three as they are, and padding
    picture = decode(bmp(24, (row + b"\0\0") * HEIGHT + b"\0\1", header=64, compression=4))
    assert colours(picture)[7] == [(3, 2, 1)] * 35 + [(6, 5, 4), (9, 8, 7), (12, 11, 10)] + [(6, 5, 4)] * 2


def test_pixels_that_runs_skip_are_transparent() -> None:
    """The first row, which is the lowest, ends early; one and a half rows are skipped; the rest is not painted."""
    whole = bytes([WIDTH, 9, 0, 0])
    runs = bytes([10, 9, 0, 0]) + whole + bytes([0, 2, 20, 1, 20, 9, 0, 0]) + whole * 20 + b"\0\1"
    picture = decode(rle(1, 8, runs))
    alpha = alphas(picture)[::-1]
    assert alpha[0] == [255] * 10 + [0] * 30
    assert alpha[1] == [255] * 40
    assert alpha[2] == [0] * 40
    assert alpha[3] == [0] * 20 + [255] * 20
    assert alpha[23] == [255] * 40
    assert alpha[24:] == [[0] * 40] * 9
    assert picture.shown is None


def test_runs_end_with_their_row_and_jumps_out_of_the_picture_are_refused() -> None:
    picture = decode(rle(1, 8, bytes([255, 9, 0, 0]) * HEIGHT))
    assert red(picture, 0) == [246] * WIDTH
    for jump in (bytes([0, 2, 41, 0]), bytes([0, 2, 0, 33])):
        with pytest.raises(PictureDamaged, match="leave"):
            decode(rle(1, 8, jump + bytes([40, 9, 0, 0]) * HEIGHT))


def test_runs_without_any_pixel_are_refused_as_transparent() -> None:
    with pytest.raises(PictureTransparent):
        decode(rle(1, 8, b"\0\1"))


# --- Truncated files ---


def test_missing_rows_of_a_truncated_file_are_transparent() -> None:
    expected, rows = striped()
    up, down = bmp(24, b"".join(reversed(rows))), bmp(24, b"".join(rows), height=-HEIGHT)
    for lost in (1, 60, 120, 121, 1200):
        gone = -(-lost // 120)
        for data, there in ((up, range(gone, HEIGHT)), (down, range(HEIGHT - gone))):
            picture = decode(data[:-lost])
            assert picture.shown == pytest.approx(1 - gone / HEIGHT)
            assert [row[0] == 255 for row in alphas(picture)] == [y in there for y in range(HEIGHT)]
            assert all(colours(picture)[y][0] == expected[y] for y in there)
    with pytest.raises(PictureTruncated) as refused:
        decode(up[: -120 * 12])
    assert refused.value.shown == pytest.approx(21 / 33)


def test_rows_after_truncated_runs_are_transparent() -> None:
    row = bytes([WIDTH, 9, 0, 0])
    assert decode(rle(1, 8, row * (HEIGHT - 1) + row[:2])).shown is None  # only the end is missing
    picture = decode(rle(1, 8, row * 25))
    assert picture.shown == pytest.approx(25 / 33)
    assert [each[0] for each in alphas(picture)] == [0] * 8 + [255] * 25
    with pytest.raises(PictureTruncated):
        decode(rle(1, 8, row * 20))


def test_a_truncated_header_is_refused() -> None:
    data = bmp(16, bytes(80 * HEIGHT), compression=FIELDS, header=124, masks=(0xF00, 0xF0, 0xF, 0xF000))
    for length in range(20, 138):
        with pytest.raises(PictureError):
            decode(data[:length])


def test_scaling_down_keeps_alpha() -> None:
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    levels = [[(200, 0, 100, 255 if x < WIDTH // 2 else 0) for x in range(WIDTH)] for _ in range(HEIGHT)]
    picture = decode(bmp(32, packed(levels, masks, 32), header=124, masks=masks), longer_side=20)
    assert picture.alpha is not None
    assert (picture.alpha.getpixel((2, 5)), picture.alpha.getpixel((17, 5))) == (255, 0)
    assert picture.rgb.getpixel((2, 5)) == (200, 0, 100)
