"""Colour information in files, and the conversion to sRGB."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from engine.images.codec import decode
from tests.engine.images import colour_truth as truth
from tests.engine.images import corpus
from tests.engine.images.colour_truth import P3_ENDS, Array, bmp_of, chrm, cicp, gama, levels_of, nclx, png_of

CHART = truth.chart()
LIGHT = truth.linear(CHART)

SPACES: dict[str, tuple[list[bytes], Array]] = {
    "Display P3": ([cicp(12, 13)], truth.srgb_signal(LIGHT @ truth.TO_P3.T)),
    "Display P3, narrow range": (
        [cicp(12, 13, full=0)],
        (16 + 219 * truth.srgb_signal(LIGHT @ truth.TO_P3.T)) / 255,
    ),
    "linear BT.709": ([cicp(1, 8)], LIGHT),
    "PQ": ([cicp(9, 16)], truth.pq_signal(LIGHT @ truth.TO_BT2020.T)),
    "HLG": ([cicp(9, 18)], truth.hlg_signal(LIGHT @ truth.TO_BT2020.T)),
    "gamma of 1": ([gama(1)], LIGHT),
    "gamma of 1.8": ([gama(1 / 1.8)], LIGHT ** (1 / 1.8)),
    "Adobe RGB": ([gama(1 / 2.19921875), chrm(truth.ADOBE_CHRM)], (LIGHT @ truth.TO_ADOBE.T) ** (1 / 2.19921875)),
    "ProPhoto RGB, with a white of D50": (
        [chrm(truth.PROPHOTO_CHRM), gama(1 / 1.8)],
        (LIGHT @ truth.TO_PROPHOTO.T) ** (1 / 1.8),
    ),
}
"""By name, the chunks of a PNG, and the signal that stands for :data:`CHART`."""


def difference(data: bytes, expected: NDArray[np.uint8] = CHART) -> Array:
    """For each value of each pixel, in levels."""
    return np.abs(np.asarray(decode(data).rgb).astype(float) - expected)


def colour_of(data: bytes) -> tuple[int, ...]:
    """Of a picture that has only one."""
    colours = decode(data).rgb.getcolors()
    assert colours is not None
    ((_, colour),) = colours
    assert isinstance(colour, tuple)
    return colour


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("channels", [3, 4])
def test_a_png_is_converted_to_srgb(name: str, channels: int) -> None:
    chunks, signal = SPACES[name]
    if channels == 4:
        signal = np.concatenate([signal, np.ones_like(signal[..., :1])], axis=2)
    scaled = 257 / 256 if "narrow" in name else 1  # 16 bits of narrow range are 256 times those of 8
    assert difference(png_of(levels_of(signal / scaled, 16), 16, *chunks)).max() <= 1
    coarse = difference(png_of(levels_of(signal, 8), 8, *chunks))
    assert coarse.mean() < 2  # 8 bits of linear light have few dark greys


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("chunk", [gama(1), cicp(12, 8), cicp(9, 8)])
def test_a_grey_png_is_converted_to_srgb_and_stays_grey(depth: int, channels: int, chunk: bytes) -> None:
    levels = levels_of(truth.linear(CHART)[:, :, :channels], depth)
    if channels == 2:
        levels[..., 1] = 2**depth - 1
    expected = np.rint(255 * truth.srgb_signal(levels[..., :1] / (2**depth - 1))).repeat(3, axis=2)
    assert difference(png_of(levels, depth, chunk), expected.astype(np.uint8)).max() <= 1


@pytest.mark.parametrize("chunks", [[gama(1)], [cicp(9, 16)]])
def test_a_palette_is_converted_to_srgb_and_keeps_its_transparency(chunks: list[bytes]) -> None:
    colours = CHART[::4, ::4].reshape(-1, 3)
    light = truth.linear(colours)
    signal = light if len(chunks[0]) == 16 else truth.pq_signal(light @ truth.TO_BT2020.T)
    palette = corpus.chunk(b"PLTE", levels_of(signal, 8).astype("u1").tobytes())
    clear = corpus.chunk(b"tRNS", bytes([0] + [255] * (len(colours) - 1)))
    rows = b"".join(b"\0" + bytes([number] * 40) for number in range(len(colours)))
    picture = decode(corpus.png(40, len(colours), 8, 3, rows, *chunks, palette, clear))
    same = decode(png_of(levels_of(signal, 8)[:, None].repeat(40, axis=1), 8, *chunks))
    assert np.array_equal(np.asarray(picture.rgb)[1:], np.asarray(same.rgb)[1:])
    assert picture.alpha is not None
    assert np.array_equal(np.asarray(picture.alpha)[:, 0] > 0, np.arange(len(colours)) > 0)


@pytest.mark.parametrize("depth", [8, 16])
def test_translucent_colours_are_converted_before_they_are_composited_on_white(depth: int) -> None:
    levels = np.full((40, 40, 4), 2**depth // 4, dtype=np.uint16)
    levels[..., 3] = 2 ** (depth - 1)
    colour = 255 * truth.srgb_signal(np.array(levels[0, 0, 0] / (2**depth - 1)))
    picture = decode(png_of(levels, depth, gama(1)))
    assert picture.alpha is not None
    assert picture.alpha.getextrema() == (128, 128)
    assert np.abs(np.asarray(picture.rgb) - (colour * 128 + 255 * 127) / 255).max() <= 1


def test_scaling_gives_the_same_in_each_colour_space() -> None:
    chequered = np.zeros((128, 128, 3), dtype=np.uint8)
    chequered[::2, ::2] = chequered[1::2, 1::2] = (200, 90, 3)
    expected = np.asarray(decode(png_of(chequered.astype(np.uint16), 8), longer_side=50).rgb).astype(float)
    light = truth.linear(chequered)
    pq = truth.pq_signal(light @ truth.TO_BT2020.T)
    for data in (
        png_of(levels_of(light, 8), 8, gama(1)),
        png_of(levels_of(light, 16), 16, gama(1)),
        png_of(levels_of(pq, 8), 8, cicp(9, 16)),
    ):
        assert np.abs(np.asarray(decode(data, longer_side=50).rgb) - expected).max() <= 4


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kept", [0.9, 1.0])
def test_a_truncated_png_keeps_its_colours_and_its_sixteen_bits(channels: int, kept: float) -> None:
    light = truth.linear(CHART[:4].repeat(12, axis=0))[..., : 1 if channels < 3 else 3]
    light = light * np.random.default_rng(0).uniform(0.9, 1, (48, 48, 1))  # else it is compressed to next to nothing
    expected = 255 * truth.srgb_signal(light)
    if channels in {2, 4}:
        light = np.concatenate([light, np.ones_like(light[..., :1])], axis=2)
    levels = levels_of(light, 16)
    whole = png_of(levels, 16, gama(1))
    picture = decode(whole[: round(len(whole) * kept) - 12])
    assert picture.shown is not None
    got = np.asarray(picture.rgb)[:32].astype(float)
    assert np.abs(got - expected[:32]).max() <= 1


# --- Precedence ---


ICC = corpus.chunk(b"iCCP", b"swapped\0\0" + zlib.compress(corpus.swapped_profile()))
BROKEN_ICC = corpus.chunk(b"iCCP", b"broken\0\0" + zlib.compress(bytes(200)))
RGB = corpus.chunk(b"sRGB", b"\0")
LINEAR = gama(1)
P3 = cicp(12, 13)


def with_bad_crc(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


PLAIN = np.full((40, 40, 3), (200, 100, 30), dtype=np.uint16)


@pytest.mark.parametrize(
    ("chunks", "same_as"),
    [
        ([LINEAR, RGB, ICC, P3], [P3]),
        ([P3, ICC, RGB, LINEAR], [P3]),
        ([LINEAR, chrm(truth.ADOBE_CHRM), RGB, ICC], [ICC]),
        ([LINEAR, RGB], []),
        ([BROKEN_ICC, RGB, LINEAR], []),
        ([BROKEN_ICC, LINEAR], [LINEAR]),
        ([with_bad_crc(ICC), LINEAR], [LINEAR]),
        ([corpus.chunk(b"iCCP", b"name\0\1" + zlib.compress(corpus.swapped_profile())), LINEAR], [LINEAR]),
        ([corpus.chunk(b"iCCP", b"name\0\0" + zlib.compress(corpus.swapped_profile())[:-9]), LINEAR], [LINEAR]),
        ([cicp(12, 13, matrix=1), LINEAR], [LINEAR]),
        ([cicp(3, 13), LINEAR], [LINEAR]),
        ([cicp(12, 2), LINEAR], [LINEAR]),
        ([cicp(12, 13, full=2), LINEAR], [LINEAR]),
        ([corpus.chunk(b"cICP", b"\x0c\x0d\0"), LINEAR], [LINEAR]),
        ([with_bad_crc(P3), LINEAR], [LINEAR]),
        ([LINEAR, gama(1 / 1.8)], [LINEAR]),
        ([gama(0)], []),
        ([corpus.chunk(b"gAMA", b"\0\1")], []),
        ([corpus.chunk(b"gAMA", b"\xff" * 4)], []),
        ([corpus.chunk(b"sRGB", b"\x09"), LINEAR], [LINEAR]),
        ([chrm(truth.ADOBE_CHRM)], []),
        ([gama(0.45455)], []),
        ([gama(0.45455), chrm(truth.SRGB_CHRM)], []),
        ([LINEAR, chrm((0,) * 8)], [LINEAR]),
        ([LINEAR, chrm((2**32 - 1,) * 8)], [LINEAR]),
        ([LINEAR, chrm((31270, 32900, 10000, 10000, 20000, 20000, 30000, 30000))], [LINEAR]),
        ([LINEAR, chrm((90000, 5000, *truth.SRGB_CHRM[2:]))], [LINEAR]),
        ([LINEAR, chrm((20000, 33000, *truth.SRGB_CHRM[2:]))], [LINEAR]),
        ([LINEAR, chrm((31270, 0, *truth.SRGB_CHRM[2:]))], [LINEAR]),
        ([LINEAR, chrm((31270, 32900, 31271, 32900, 31270, 32901, 31269, 32899))], [LINEAR]),
        ([LINEAR, corpus.chunk(b"cHRM", bytes(31))], [LINEAR]),
        ([corpus.chunk(b"PLTE", bytes(6)), LINEAR], []),
        ([corpus.chunk(b"nOne", b"")] * 20 + [LINEAR], [LINEAR]),
    ],
)
def test_colour_chunks_of_a_png_have_a_precedence(chunks: list[bytes], same_as: list[bytes]) -> None:
    assert colour_of(png_of(PLAIN, 8, *chunks)) == colour_of(png_of(PLAIN, 8, *same_as))


def test_each_chunk_of_the_test_above_gives_another_colour() -> None:
    """Otherwise the test of the precedence could not fail."""
    assert len({colour_of(png_of(PLAIN, 8, *chunks)) for chunks in ([], [P3], [ICC], [LINEAR])}) == 4


def test_chunks_after_the_pixels_are_ignored() -> None:
    for chunk in (P3, ICC, LINEAR):
        assert colour_of(png_of(PLAIN, 8, after=chunk)) == (200, 100, 30)


@pytest.mark.parametrize("gamma", [0.00016, 0.01, 100.0, 6250.0])
def test_an_extreme_gamma_is_decoded(gamma: float) -> None:
    assert difference(png_of(levels_of(LIGHT, 16), 16, gama(gamma), chrm(truth.ADOBE_CHRM))).shape == CHART.shape


# --- ICC profiles with a cicp tag ---


def with_cicp(profile: bytes, code: bytes) -> bytes:
    """The profile with one more tag (ICC.1:2022, 9.2.17)."""
    (count,) = struct.unpack_from(">I", profile, 128)
    table = bytearray(profile[132 : 132 + 12 * count])
    for at in range(4, len(table), 12):
        struct.pack_into(">I", table, at, struct.unpack_from(">I", table, at)[0] + 12)
    body = profile[132 + 12 * count :]
    body += bytes(-(len(profile) + 12) % 4)
    table += b"cicp" + struct.pack(">II", 132 + len(table) + 12 + len(body), 12)
    made = profile[4:128] + struct.pack(">I", count + 1) + table + body + b"cicp" + bytes(4) + code
    return struct.pack(">I", len(made) + 4) + made


@pytest.mark.parametrize("format", ["PNG", "WEBP", "JPEG", "AVIF"])
def test_the_cicp_tag_of_a_profile_takes_precedence_over_its_curves(format: str) -> None:
    profile = with_cicp(corpus.swapped_profile(), b"\x09\x10\0\1")
    assert ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space == "RGB "  # it is valid
    signal = levels_of(truth.pq_signal(truth.linear(PLAIN.astype(np.uint8)) @ truth.TO_BT2020.T), 8)
    data = corpus.saved(Image.fromarray(signal.astype("u1")), format, icc_profile=profile, quality=95)
    assert np.abs(np.asarray(decode(data).rgb).astype(int) - PLAIN).max() <= (3 if format in {"PNG", "WEBP"} else 8)


def test_the_colour_space_in_exif_is_ignored() -> None:
    exif = Image.Exif()
    exif[0xA001] = 0xFFFF  # ColorSpace: uncalibrated
    exif.get_ifd(0xA005)[1] = "R03"  # Adobe RGB
    plain = Image.fromarray(PLAIN.astype("u1"))
    for format in ("JPEG", "PNG", "WEBP"):
        assert colour_of(corpus.saved(plain, format, exif=exif)) == colour_of(corpus.saved(plain, format))


# --- AVIF ---


def avif(signal: Array, **options: object) -> bytes:
    image = Image.fromarray(levels_of(signal, 8).astype("u1"))
    return corpus.saved(image, "AVIF", quality=98, subsampling="4:4:4", **options)


AVIFS = {
    "P3": (12, 13, truth.srgb_signal(LIGHT @ truth.TO_P3.T)),
    "PQ": (9, 16, truth.pq_signal(LIGHT @ truth.TO_BT2020.T)),
    "HLG": (9, 18, truth.hlg_signal(LIGHT @ truth.TO_BT2020.T)),
    "BT.709 as browsers show it": (1, 1, CHART / 255),
    "BT.2020 as browsers show it": (9, 14, truth.srgb_signal(LIGHT @ truth.TO_BT2020.T)),
    "unspecified": (2, 2, CHART / 255),
    "unknown": (3, 300, CHART / 255),
}


@pytest.mark.parametrize("name", AVIFS)
def test_an_avif_is_converted_to_srgb(name: str) -> None:
    primaries, transfer, signal = AVIFS[name]
    bound = 4 if name == "PQ" else 3  # YUV of 8 bits, which is all that Pillow writes, is coarse for PQ
    data = nclx(avif(signal), primaries, transfer)
    assert difference(data).mean() < bound
    alpha = Image.fromarray(levels_of(signal, 8).astype("u1")).convert("RGBA")
    alpha.putpixel((0, 0), (0, 0, 0, 0))
    data = nclx(corpus.saved(alpha, "AVIF", quality=98, subsampling="4:4:4"), primaries, transfer)
    assert difference(data)[4:, 4:].mean() < bound


def test_the_nclx_of_an_animated_avif_may_be_in_the_track_only() -> None:
    signal = AVIFS["P3"][2]
    second = Image.new("RGB", (48, 48))
    data = nclx(avif(signal, save_all=True, append_images=[second]), 12, 13)
    assert data.count(b"colrnclx") == 2
    assert difference(data).mean() < 3
    head, rest = data.split(b"colrnclx", 1)
    assert difference(head + b"freenclx" + rest).mean() < 3  # only the track has it


def test_an_avif_has_the_colours_of_its_primary_picture() -> None:
    """The first colour property belongs to no picture."""
    data = nclx(avif(AVIFS["P3"][2]), 12, 13)
    other = struct.pack(">I4s4sHHHB", 19, b"colr", b"nclx", 1, 8, 6, 0x80)
    made = bytearray(data)
    for box in (b"meta", b"iprp", b"ipco"):
        at = made.index(box) - 4
        struct.pack_into(">I", made, at, struct.unpack_from(">I", made, at)[0] + len(other))
    at = made.index(b"iloc") - 4
    end = at + struct.unpack_from(">I", made, at)[0]
    struct.pack_into(">I", made, end - 8, struct.unpack_from(">I", made, end - 8)[0] + len(other))
    at = made.index(b"ipma")
    made[at + 15 : at + 19] = bytes(place + 1 for place in made[at + 15 : at + 19])
    at = made.index(b"ipco") + 4
    made[at:at] = other
    assert difference(bytes(made)).mean() < 3


def test_a_valid_profile_takes_precedence_over_nclx() -> None:
    signal = PLAIN / 255
    swapped = nclx(avif(signal, icc_profile=corpus.swapped_profile()), 12, 8)
    assert np.abs(np.asarray(decode(swapped).rgb).astype(int) - PLAIN[..., ::-1]).max() <= 6
    broken = nclx(avif(signal, icc_profile=b"broken" * 40), 12, 13)
    only = nclx(avif(signal), 12, 13)
    assert colour_of(broken) == colour_of(only) != colour_of(avif(signal))


# --- BMP ---


P3_XYZ = (0.4866, 0.2290, 0, 0.2657, 0.6917, 0.0451, 0.1982, 0.0793, 1.0439)
"""The columns of SMPTE EG 432-1's matrix."""
CALIBRATED = bytes(4)


@pytest.mark.parametrize("ends", [P3_ENDS, P3_XYZ])
def test_a_calibrated_bmp_is_converted_to_srgb(ends: tuple[float, ...]) -> None:
    signal = (LIGHT @ truth.TO_P3.T) ** (1 / 1.8)
    data = bmp_of(levels_of(signal, 8), CALIBRATED, ends, (1.8, 1.8, 1.8))
    assert difference(data).mean() < 1


def test_a_bmp_has_a_gamma_for_each_channel() -> None:
    gammas = (1.0, 1.8, 2.6)
    signal = LIGHT ** (1 / np.array(gammas))
    ends = (0.64, 0.33, 0.03, 0.30, 0.60, 0.10, 0.15, 0.06, 0.79)
    assert difference(bmp_of(levels_of(signal, 8), CALIBRATED, ends, gammas)).mean() < 1.5


def test_a_profile_in_a_bmp_is_used() -> None:
    data = bmp_of(PLAIN, b"DEBM", profile=corpus.swapped_profile())
    assert np.abs(np.array(colour_of(data)) - (30, 100, 200)).max() <= 1


@pytest.mark.parametrize(
    "data",
    [
        bmp_of(PLAIN, b"BGRs", P3_ENDS, (1, 1, 1)),
        bmp_of(PLAIN, b" niW", P3_ENDS, (1, 1, 1)),
        bmp_of(PLAIN, b"KNIL", profile=b"C:\\colours.icm\0"),
        bmp_of(PLAIN, b"DEBM", profile=b"broken" * 40),
        bmp_of(PLAIN, b"DEBM", profile=corpus.swapped_profile())[:-90],
        bmp_of(PLAIN, CALIBRATED),
        bmp_of(PLAIN, CALIBRATED, (0.3,) * 9, (1, 1, 1)),
        bmp_of(PLAIN, CALIBRATED, (-1.9,) * 9, (60_000.0,) * 3),
    ],
)
def test_a_bmp_of_srgb_or_with_unusable_colours_is_not_converted(data: bytes) -> None:
    assert colour_of(data) == (200, 100, 30)
