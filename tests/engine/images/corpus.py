"""Pictures and hostile files made in memory, so that the repository contains none."""

import functools
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Literal

from PIL import Image, ImageChops, ImageCms, ImageDraw

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP")


def scene(width: int = 96, height: int = 64) -> Image.Image:
    """A gradient with a red upper left and a blue lower right corner: no two of its eight orientations agree."""
    horizontal = Image.linear_gradient("L").rotate(90).resize((width, height))
    vertical = Image.linear_gradient("L").resize((width, height))
    image = Image.merge("RGB", (horizontal, vertical, Image.new("L", (width, height), 90)))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width // 4, height // 4), fill=(220, 20, 30))
    draw.rectangle((width * 3 // 4, height * 3 // 4, width, height), fill=(20, 40, 210))
    return image


def stripes(width: int = 96, height: int = 64) -> Image.Image:
    """Slanted strokes in two colours over a third: a texture unlike :func:`scene`."""
    image = Image.new("RGB", (width, height), (250, 200, 40))
    draw = ImageDraw.Draw(image)
    for number, x in enumerate(range(-height, width, 9)):
        draw.line((x, height, x + height, 0), fill=((20, 60, 140), (190, 60, 30))[number % 2], width=4)
    return image


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    """The file that Pillow writes."""
    out = BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@functools.cache
def sample(format: str) -> bytes:
    """The scene in one of :data:`FORMATS`."""
    return saved(scene(), format)


def exif_block(kind: int, count: int, value: bytes, order: Literal["little", "big"] = "little") -> bytes:
    """EXIF of one tag, the orientation, with a value of four bytes."""
    mark = b"II*\0" if order == "little" else b"MM\0*"
    numbers = (8, 4), (1, 2), (0x0112, 2), (kind, 2), (count, 4)
    offset, entries, *entry = (number.to_bytes(size, order) for number, size in numbers)
    return b"Exif\0\0" + mark + offset + entries + b"".join(entry) + value + bytes(4)


def chunk(name: bytes, payload: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG with any header: ``rows`` are filtered scanlines, and ``chunks`` are between the header and the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows, 9))
    return PNG_SIGNATURE + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def png_bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A black 1-bit PNG, whole and valid, that inflates to ``width`` x ``height`` pixels."""
    deflate = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    pixels = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    # Deflate shrinks zeros 1000 to 1, so a second pass isn't needed: 112 MB of rows are 110 KB here.
    return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif_bomb(width: int = 65_535, height: int = 65_535) -> bytes:
    """A small screen whose first frame is ``width`` x ``height`` and asks to be disposed of, so readers fill it."""
    header = b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0x80, 0, 0) + bytes(6)
    control = b"\x21\xf9\x04" + struct.pack("<BHBB", 0b1000, 0, 0, 0)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0)
    return header + control + frame + b"\x02\x02\x44\x01\x00\x3b"


def bmp_bomb(width: int = 200_000, height: int = 100_000) -> bytes:
    """A BMP header alone."""
    return b"BM" + struct.pack("<IHHI", 60, 0, 0, 54) + struct.pack("<IiiHH", 40, width, height, 1, 24) + bytes(24)


def webp_bomb(width: int = 16_384, height: int = 16_384) -> bytes:
    """An extended WebP with a canvas of ``width`` x ``height`` and a tiny animation frame."""
    frame = saved(Image.new("RGB", (32, 32)), "WEBP", lossless=True)[12:]
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size
    animation = b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body = bytes(6) + struct.pack("<I", 31)[:3] * 2 + struct.pack("<I", 100)[:3] + b"\0" + frame
    chunks = b"WEBP" + extended + animation + b"ANMF" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


def jpeg_bomb(width: int = 65_500, height: int = 65_500) -> bytes:
    """A small JPEG whose frame header was changed."""
    data = bytearray(saved(scene(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def avif_bomb(width: int = 20_000, height: int = 12_000) -> bytes:
    """A small AVIF whose size property (``ispe``) was changed."""
    data = bytearray(saved(scene(), "AVIF"))
    at = data.index(b"ispe") + 8
    data[at : at + 8] = struct.pack(">II", width, height)
    return bytes(data)


def gif(screen: tuple[int, int], frame: Image.Image, left: int, top: int) -> bytes:
    """A GIF with one frame, in mode ``P``, at that place on the screen."""
    whole = saved(frame, "GIF", interlace=0)
    at = whole.index(b"\x2c\0\0\0\0" + struct.pack("<HH", *frame.size))
    place = struct.pack("<HH", left, top)
    return whole[:6] + struct.pack("<HH", *screen) + whole[10 : at + 1] + place + whole[at + 5 :]


BOMBS: dict[str, Callable[[], bytes]] = {
    "PNG": png_bomb,
    "GIF": gif_bomb,
    "BMP": bmp_bomb,
    "WEBP": webp_bomb,
    "JPEG": jpeg_bomb,
    "AVIF": avif_bomb,
}


def many_scans(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: each costs a decoder a pass over all pixels."""
    data = saved(scene(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def swapped_profile() -> bytes:
    """An ICC profile like sRGB with the red and blue primaries swapped, so that its red is blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def rgb_profile(gamma: float) -> bytes:
    """An ICC profile of sRGB's primaries with the given gamma."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        (at,) = struct.unpack_from(">I", profile, profile.index(name, 132) + 4)
        profile[at : at + 14] = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    return bytes(profile)


def grey_profile(gamma: float) -> bytes:
    """A monochrome ICC profile (v2, D50) with the given gamma, written by hand."""

    def text(kind: bytes, value: bytes) -> bytes:
        return kind + bytes(4) + value

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    name = text(b"desc", struct.pack(">I", 5) + b"grey\0" + bytes(79))
    tags = [(b"desc", name), (b"wtpt", white), (b"kTRC", curve), (b"cprt", text(b"text", b"none\0\0\0\0"))]
    table, body, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for signature, value in tags:
        padded = value + bytes(-len(value) % 4)
        table += signature + struct.pack(">II", at + len(body), len(padded))
        body += padded
    size = at + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def mean_difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of two pictures, in levels, 0 to 255."""
    histogram = ImageChops.difference(one, other).histogram()
    return sum(level % 256 * count for level, count in enumerate(histogram)) / (one.width * one.height * 3)
