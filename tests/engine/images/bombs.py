"""Files that cost a decoder the most: some are over the limits, the others are the most expensive within them.

Each function makes one file of at most 16 MB in memory; those in :data:`WITHIN` claim no more than 64 megapixels, so
that nothing but the decoder's memory and deadline can bound them.
"""

import functools
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.engine.images import corpus

FULL = 2**24 - 2**16
"""Bytes: almost the limit for a file."""

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(
    width: int, height: int, depth: int, colour: int, *chunks: bytes, interlaced: bool = False, fill: int = 0
) -> bytes:
    """A valid PNG of one colour. Its rows are never in memory at once: deflate compresses 1000 bytes into 1."""
    deflate = zlib.compressobj(9)
    pixels = bytearray()
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        row = b"\0" + bytes([fill]) * ((columns * depth * _SAMPLES[colour] + 7) // 8)
        for _ in range(rows if columns > 0 else 0):
            pixels += deflate.compress(row)
    pixels += deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    parts = [corpus.chunk(b"IHDR", header), *chunks, corpus.chunk(b"IDAT", bytes(pixels)), corpus.chunk(b"IEND", b"")]
    return corpus.PNG_SIGNATURE + b"".join(parts)


def zeros(megabytes: int) -> bytes:
    """Compressed zeros, which take a thousandth of their size."""
    deflate = zlib.compressobj(9)
    return b"".join(deflate.compress(bytes(2**20)) for _ in range(megabytes)) + deflate.flush()


def png_of_inflating_texts() -> bytes:
    """64 texts and a profile that inflate to 200 MB each."""
    text = zeros(200)
    texts = [corpus.chunk(b"zTXt", b"Comment\0\0" + text), corpus.chunk(b"iTXt", b"Comment\0\1\0\0\0" + text)] * 32
    return png(64, 64, 8, 2, corpus.chunk(b"iCCP", b"icc\0\0" + text), *texts)


def png_of_empty_chunks(name: bytes) -> bytes:
    """A PNG with 1.3 million empty chunks."""
    whole = png(64, 64, 8, 2)
    at = whole.index(b"IDAT") - 4
    return whole[:at] + corpus.chunk(name, b"") * (FULL // 12) + whole[at:]


def png_of_single_bytes() -> bytes:
    """64 megapixels. Each compressed byte has its own chunk."""
    whole = png(8000, 8000, 8, 6)
    at = whole.index(b"IDAT")
    (length,) = struct.unpack_from(">I", whole, at - 4)
    parts = (corpus.chunk(b"IDAT", bytes([byte])) for byte in whole[at + 4 : at + 4 + length])
    return whole[: at - 4] + b"".join(parts) + whole[at + 8 + length :]


def png_with_a_key() -> bytes:
    """16-bit grey with a transparent level, which the decoder must compare with every pixel."""
    return png(8000, 8000, 16, 0, corpus.chunk(b"tRNS", b"\x12\x34"))


def png_with_a_palette() -> bytes:
    return png(8000, 8000, 8, 3, corpus.chunk(b"PLTE", bytes(768)), corpus.chunk(b"tRNS", bytes(256)))


def jpeg(width: int, height: int, **options: object) -> bytes:
    return corpus.saved(Image.new("RGB", (width, height), (90, 60, 200)), "JPEG", **options)


def jpeg_of_scans(scans: int) -> bytes:
    """A progressive JPEG of 64 megapixels whose last scan is repeated. Each scan is a pass over all coefficients."""
    data = jpeg(8000, 8000, progressive=True, quality=30)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def jpeg_of_segments(marker: int, payload: bytes, count: int) -> bytes:
    """``count`` application segments or comments before the picture."""
    data = corpus.saved(corpus.scene(), "JPEG")
    return data[:2] + (struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload) * count + data[2:]


def jpeg_of_profile_parts() -> bytes:
    """A profile in 255 segments, 16 MB of it."""
    data = corpus.saved(corpus.scene(), "JPEG")
    parts = [b"ICC_PROFILE\0" + bytes([number, 255]) + bytes(65_000) for number in range(1, 256)]
    segments = b"".join(struct.pack(">BBH", 0xFF, 0xE2, len(part) + 2) + part for part in parts)
    return data[:2] + segments + data[2:]


def gif(width: int, height: int, *extensions: bytes, frames: int = 1, pixels: bytes = b"\x02\x02\x44\x01\x00") -> bytes:
    """A logical screen of any size whose frames fill it but end after one pixel."""
    header = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + pixels
    return header + b"".join(extensions) + frame * frames + b"\x3b"


def gif_of_runs(width: int = 8000, height: int = 8000) -> bytes:
    """A complete GIF of one colour, whose codes represent longer and longer runs."""
    return corpus.saved(Image.new("P", (width, height)), "GIF")


def gif_of_comments(block: int) -> bytes:
    """Nearly 16 MB of comment in blocks of this number of bytes."""
    blocks = (bytes([block]) + b"a" * block) * (FULL // (block + 1))
    return gif(64, 64, b"\x21\xfe" + blocks + b"\0")


def webp(width: int, height: int, **options: object) -> bytes:
    return corpus.saved(Image.new("RGBA", (width, height), (90, 60, 200, 90)), "WEBP", **{"method": 0, **options})


def webp_of_frames(frames: int) -> bytes:
    """An animation on a canvas of 60 megapixels; each frame has a few pixels."""
    data = corpus.webp_bomb(16_000, 3_800)
    at = data.index(b"ANMF")
    body = data[8:at] + data[at:] * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


@functools.cache
def _large_avif() -> bytes:
    return corpus.saved(Image.new("RGB", (5_600, 5_600), (90, 60, 200)), "AVIF", speed=10, quality=30, max_threads=2)


def avif() -> bytes:
    return _large_avif()


def avif_that_understates() -> bytes:
    """A frame of 31 megapixels in a container that declares 96 x 64. Only libavif sees the real size."""
    data = bytearray(_large_avif())
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", 96, 64)
    return bytes(data)


def avif_that_overstates(width: int = 8_000, height: int = 8_000) -> bytes:
    return corpus.avif_bomb(width, height)


def bmp(width: int, height: int, bits: int, compression: int, pixels: bytes = b"", colours: int = 0) -> bytes:
    """``compression``: 0 none, 1 runs of bytes, 2 runs of half bytes, 3 bit fields."""
    palette = bytes(4 << bits) if bits <= 8 else b""
    start = 54 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, colours, 0)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + palette + pixels


def bmp_of_runs(run: bytes, size: int = FULL) -> bytes:
    """8-bit BMP of nothing but the run: ``\\x01\\x07`` paints one pixel, ``\\x00\\x02\\xff\\xff`` jumps far ahead."""
    return bmp(8000, 8000, 8, 1, run * (size // len(run)))


OVER: dict[str, Callable[[], bytes]] = {f"{name} over the limits": make for name, make in corpus.BOMBS.items()}
"""Their headers are enough to refuse them."""

WITHIN: dict[str, Callable[[], bytes]] = {
    "PNG, 1 bit": lambda: corpus.png_bomb(8000, 8000),
    "PNG, 16-bit RGBA": lambda: png(8000, 8000, 16, 6, fill=80),
    "PNG, interlaced RGBA": lambda: png(8000, 8000, 8, 6, interlaced=True, fill=80),
    "PNG, grey with a key": png_with_a_key,
    "PNG, transparent palette": png_with_a_palette,
    "PNG, a chunk for each byte": png_of_single_bytes,
    "PNG, empty chunks of pixels": lambda: png_of_empty_chunks(b"IDAT"),
    "PNG, empty chunks of nothing": lambda: png_of_empty_chunks(b"nOne"),
    "PNG, inflating texts": png_of_inflating_texts,
    "PNG, endless EXIF": lambda: png(64, 64, 8, 2, corpus.chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + bytes(FULL))),
    "PNG, HLG with a clear colour": lambda: png(
        8000, 8000, 8, 2, corpus.chunk(b"cICP", b"\x09\x12\0\1"), corpus.chunk(b"tRNS", bytes(6)), fill=99
    ),
    "PNG, 16 bits of HLG": lambda: png(
        4000, 2200, 16, 6, corpus.chunk(b"cICP", b"\x09\x12\0\1"), interlaced=True, fill=99
    ),
    "PNG, long strip": lambda: png(16_384, 2_048, 16, 2),
    "JPEG, 64 megapixels": lambda: jpeg(8000, 8000),
    "JPEG, 60 scans": lambda: jpeg_of_scans(50),
    "JPEG, 2000 scans": lambda: jpeg_of_scans(2_000),
    "JPEG, only a header": lambda: corpus.jpeg_bomb(8000, 8000),
    "JPEG, countless segments": lambda: jpeg_of_segments(0xE1, b"", FULL // 4),
    "JPEG, 4000 EXIF blocks": lambda: jpeg_of_segments(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(4000), 4_000),
    "JPEG, profile in parts": jpeg_of_profile_parts,
    "GIF, 64 megapixels": gif_of_runs,
    "GIF, large screen": lambda: gif(8000, 8000),
    "GIF, 10,000 frames": lambda: gif(8000, 8000, frames=10_000),
    "GIF, comment in long blocks": lambda: gif_of_comments(255),
    "GIF, comment in short blocks": lambda: gif_of_comments(1),
    "GIF, countless extensions": lambda: gif(64, 64, *[b"\x21\xf9\x04\0\0\0\0\0"] * (FULL // 8)),
    "WEBP, lossy with alpha": lambda: webp(8000, 8000, quality=1),
    "WEBP, lossless": lambda: webp(8000, 8000, lossless=True, quality=0),
    "WEBP, canvas": lambda: corpus.webp_bomb(16_000, 4_000),
    "WEBP, 10,000 frames": lambda: webp_of_frames(10_000),
    "AVIF, 31 megapixels": avif,
    "AVIF, understated": avif_that_understates,
    "AVIF, overstated": avif_that_overstates,
    "BMP, only a header": lambda: bmp(8000, 8000, 24, 0),
    "BMP, 1 bit": lambda: bmp(8000, 8000, 1, 0, bytes(8_000_000)),
    "BMP, endless palette": lambda: bmp(64, 64, 8, 0, bytes(FULL), colours=2**32 - 1),
    "BMP, long runs": lambda: bmp_of_runs(b"\xff\x07", 502_000),
    "BMP, short runs": lambda: bmp_of_runs(b"\x01\x07"),
    "BMP, empty runs": lambda: bmp_of_runs(b"\x00\x07"),
    "BMP, far jumps": lambda: bmp_of_runs(b"\x00\x02\xff\xff", 4_000),
    "BMP, ends of lines": lambda: bmp_of_runs(b"\x00\x00"),
}
"""Valid or not, they pass every limit that can be checked in a header."""


NAMES = (*OVER, *WITHIN)


def made(name: str) -> bytes:
    """The file of that name."""
    return (OVER | WITHIN)[name]()
