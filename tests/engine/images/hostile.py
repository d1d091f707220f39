"""Thousands of hostile files, made from a few valid ones: truncated, with flipped bytes, mislabelled, with absurd
headers or broken metadata. The most expensive ones are in :mod:`tests.engine.images.bombs`.
"""

import contextlib
import functools
import itertools
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageCms

from tests.engine.images import bombs, corpus
from tests.engine.images.colour_truth import ADOBE_CHRM, P3_ENDS, bmp_of, chart, chrm, cicp, gama, nclx


@dataclass(frozen=True, slots=True)
class Input:
    """One file: ``kind`` says how it was changed, ``name`` which file was changed, and where."""

    kind: str
    name: str
    data: bytes


# --- Sound files ---


@functools.cache
def seeds() -> dict[str, bytes]:
    """A small valid file of every kind that the decoders distinguish, with metadata if its format can contain any."""
    scene = corpus.scene()
    clear = scene.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(scene.size))
    palette = scene.quantize(32)
    frames: dict[str, object] = {"save_all": True, "append_images": [corpus.stripes(), scene], "duration": 40}
    extras: dict[str, object] = {"exif": exif(), "icc_profile": corpus.swapped_profile()}
    save = corpus.saved
    return {
        "PNG RGB": save(scene, "PNG", **extras),
        "PNG RGBA": save(clear, "PNG", **extras),
        "PNG palette": save(palette, "PNG", transparency=bytes(range(32))),
        "PNG grey and alpha": save(clear.convert("LA"), "PNG"),
        "PNG 1 bit": save(scene.convert("1"), "PNG"),
        "PNG 16-bit grey": bombs.png(96, 64, 16, 0, corpus.chunk(b"tRNS", b"\0\0"), fill=7),
        "PNG 16-bit RGB": bombs.png(96, 64, 16, 2, corpus.chunk(b"tRNS", bytes(6)), fill=7),
        "PNG interlaced": bombs.png(96, 64, 8, 6, interlaced=True, fill=99),
        "PNG in PQ": bombs.png(96, 64, 8, 2, cicp(9, 16), fill=99),
        "PNG 16-bit in HLG": bombs.png(96, 64, 16, 6, cicp(9, 18), gama(1), chrm(ADOBE_CHRM), fill=99),
        "PNG 16-bit grey and alpha, linear": bombs.png(96, 64, 16, 4, gama(1), fill=99),
        "PNG of Adobe RGB": bombs.png(96, 64, 8, 6, gama(0.4547), chrm(ADOBE_CHRM), interlaced=True, fill=99),
        "PNG animated": save(scene, "PNG", **frames),
        "PNG animated without its default image": hidden_default(scene),
        "PNG of Apple": of_apple(clear),
        "JPEG": save(scene, "JPEG", comment=b"comment", **extras),
        "JPEG progressive": save(scene, "JPEG", progressive=True, restart_marker_blocks=4),
        "JPEG grey": save(scene.convert("L"), "JPEG", icc_profile=corpus.grey_profile(1.8)),
        "JPEG CMYK": save(scene.convert("CMYK"), "JPEG", exif=exif()),
        "JPEG of several": save(scene, "MPO", save_all=True, append_images=[corpus.stripes()]),
        "WEBP lossy": save(scene, "WEBP", **extras),
        "WEBP lossy with alpha": save(clear, "WEBP", method=0),
        "WEBP lossless": save(clear, "WEBP", lossless=True, method=0, **extras),
        "WEBP bare lossless": save(scene, "WEBP", lossless=True, method=0),
        "WEBP animated": save(scene, "WEBP", method=0, **frames),
        "AVIF": save(scene, "AVIF", speed=10, **extras),
        "AVIF with alpha": save(clear, "AVIF", speed=10),
        "AVIF in PQ": nclx(save(scene, "AVIF", speed=10), 9, 16),
        "AVIF animated": save(scene, "AVIF", speed=10, **frames),
        "GIF": save(palette, "GIF", comment=b"comment"),
        "GIF not interlaced": save(palette, "GIF", interlace=0, transparency=3),
        "GIF animated": save(palette, "GIF", disposal=2, **frames),
        "BMP": save(scene, "BMP"),
        "BMP with alpha": save(clear, "BMP"),
        "BMP palette": save(palette, "BMP"),
        "BMP 1 bit": save(scene.convert("1"), "BMP"),
        "BMP 16 bit": bombs.bmp(96, 64, 16, 0, bytes(range(256)) * 48),
        "BMP bit fields": bombs.bmp(96, 64, 32, 3, struct.pack("<III", 0xFF0000, 0xFF00, 0xFF) + bytes(96 * 64 * 4)),
        "BMP runs": bombs.bmp(96, 64, 8, 1, (b"\x60\x07\0\0" * 63) + b"\x60\x07\0\x01"),
        "BMP runs of half bytes": bombs.bmp(96, 64, 4, 2, (b"\x60\x12\0\0" * 63) + b"\x60\x21\0\x01"),
        "BMP calibrated": bmp_of(chart(), bytes(4), P3_ENDS, (1.8, 1.8, 1.8)),
        "BMP with a profile": bmp_of(chart(), b"DEBM", profile=corpus.swapped_profile()),
        "BMP runs of colours": bombs.bmp(96, 64, 24, 4, (b"\x60\1\2\3\0\0" * 63) + b"\x60\1\2\3\0\1"),
        "BMP from a clipboard": from_clipboard(clear),
        "BMP of OS/2": b"BM" + struct.pack("<IHHIIHHHH", 0, 0, 0, 26, 12, 96, 64, 1, 24) + bytes(range(96)) * 192,
    }


def hidden_default(scene: Image.Image) -> bytes:
    """An animated PNG whose first frame is a part of the scene."""
    frame = scene.crop((0, 0, 50, 40))
    rows = b"".join(b"\0" + frame.crop((0, y, 50, y + 1)).tobytes() for y in range(40))
    chunks = (
        corpus.chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 50, 40, 20, 10, 1, 10, 1, 1)),
        corpus.chunk(b"fdAT", struct.pack(">I", 1) + zlib.compress(rows)),
    )
    whole = bombs.png(96, 64, 8, 2, corpus.chunk(b"acTL", struct.pack(">II", 1, 0)))
    return whole[:-12] + b"".join(chunks) + whole[-12:]


def of_apple(clear: Image.Image) -> bytes:
    """A PNG in Apple's variant: an additional first chunk, and pixels without a zlib header."""
    deflate = zlib.compressobj(9, wbits=-15)
    rows = b"".join(b"\0" + clear.crop((0, y, 96, y + 1)).tobytes() for y in range(64))
    parts = (
        corpus.chunk(b"CgBI", struct.pack(">I", 0x50002002)),
        corpus.chunk(b"IHDR", struct.pack(">IIBBBBB", 96, 64, 8, 6, 0, 0, 0)),
        corpus.chunk(b"IDAT", deflate.compress(rows) + deflate.flush()),
        corpus.chunk(b"IEND", b""),
    )
    return corpus.PNG_SIGNATURE + b"".join(parts)


def from_clipboard(clear: Image.Image) -> bytes:
    """BITMAPV5HEADER without bit fields, but with a mask of alpha."""
    pixels = clear.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    info = struct.pack("<IiiHHIIiiII", 124, 96, 64, 1, 32, 0, len(pixels), 0, 0, 0, 0)
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = (info + masks + b"BGRs").ljust(124, b"\0")
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels), 0, 0, 138) + header + pixels


def exif(orientation: int = 6) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010E] = "a camera's description"
    block.get_ifd(0x8825)[2] = (48.0, 8.0, 30.0)
    return block.tobytes()


# --- Cuts and flips ---


def truncations() -> Iterator[Input]:
    """Each seed truncated to each percentage of its length, from 0 to 99."""
    for (name, data), percent in itertools.product(seeds().items(), range(100)):
        yield Input("truncated", f"{name} at {percent} %", data[: len(data) * percent // 100])


def flips() -> Iterator[Input]:
    """One inverted byte: each of the first 48, where the headers are, and 48 spread over the rest."""
    for name, data in seeds().items():
        rest = range(48, len(data), max(1, len(data) // 48))
        for at in (*range(48), *rest):
            yield Input("byte flipped", f"{name} at {at}", data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])


# --- Headers ---

SIDES = (0, 1, 31, 33, 8_000, 16_384, 16_385, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def resized(data: bytes, width: int, height: int) -> bytes:
    """The file, with another size in its header; numbers too large for the field lose their high bits."""
    out = bytearray(data)
    if data.startswith(corpus.PNG_SIGNATURE):
        out[16:24] = struct.pack(">II", width, height)
        out[29:33] = struct.pack(">I", zlib.crc32(out[12:29]))
    elif data.startswith(b"\xff\xd8"):
        at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        out[at + 5 : at + 9] = struct.pack(">HH", height & 0xFFFF, width & 0xFFFF)
    elif data.startswith(b"GIF"):
        size = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
        out[6:10] = size
        at = data.index(b"\x2c", 13 + 3 * 2 ** ((data[10] & 7) + 1))
        out[at + 5 : at + 9] = size
    elif data[12:16] == b"VP8X":
        out[24:30] = struct.pack("<I", width - 1 & 0xFFFFFF)[:3] + struct.pack("<I", height - 1 & 0xFFFFFF)[:3]
    elif data[12:16] == b"VP8 ":
        out[26:30] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    elif data[12:16] == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        bits = bits & 0xF0000000 | (width - 1 & 0x3FFF) | (height - 1 & 0x3FFF) << 14
        out[21:25] = struct.pack("<I", bits)
    elif b"ispe" in data[:2000]:
        at = data.index(b"ispe") + 8
        out[at : at + 8] = struct.pack(">II", width, height)
    elif data[14] == 12:
        out[18:22] = struct.pack("<HH", width & 0xFFFF, height & 0xFFFF)
    else:
        out[18:26] = struct.pack("<II", width, height)
    return bytes(out)


def sizes() -> Iterator[Input]:
    """Each seed with every pair of absurd sides."""
    for name, data in seeds().items():
        for width, height in (*itertools.product(SIDES, (64, 8_000, 2**31)), *((side, side) for side in SIDES)):
            yield Input("absurd size", f"{name} as {width} x {height}", resized(data, width, height))


# --- Metadata ---


def broken_exif() -> Iterator[tuple[str, bytes]]:
    """Invalid TIFF structures, little endian."""

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    def directory(*entries: bytes, following: int = 0) -> bytes:
        listed = struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", following)
        return b"Exif\0\0II*\0\x08\0\0\0" + listed

    for orientation in (0, 9, 255, 65_535):
        yield f"orientation {orientation}", directory(entry(0x0112, 3, 1, orientation))
    for kind in (0, 1, 2, 4, 5, 7, 9, 10, 12, 13, 16, 255, 65_535):
        yield f"orientation of type {kind}", directory(entry(0x0112, kind, 1, 6))
    for count in (0, 2, 255, 2**16, 2**31, 2**32 - 1):
        yield f"orientation {count} times", directory(entry(0x0112, 3, count, 8))
    yield "directory that follows itself", directory(entry(0x0112, 3, 1, 6), following=8)
    for tag in (0x8769, 0x8825, 0xA005, 0x014A):
        yield f"directory {tag:#x} inside itself", directory(entry(tag, 4, 1, 8), entry(0x0112, 3, 1, 6))
    for offset in (0, 7, 2**16, 2**31, 2**32 - 1):
        yield f"directory at {offset}", b"Exif\0\0II*\0" + struct.pack("<I", offset) + bytes(40)
        yield f"value at {offset}", directory(entry(0x010E, 2, 2**16, offset), entry(0x0112, 3, 1, 6))
    yield "65,535 entries", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(60)
    yield "5000 entries", directory(*[entry(tag, 2, 2**20, 8) for tag in range(5_000)])
    yield "many orientations", directory(*[entry(0x0112, 3, 1, value % 9) for value in range(200)])
    yield "BigTIFF", b"Exif\0\0II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + b"\xff" * 60
    for start in (b"", b"Exif\0\0", b"Exif\0\0II", b"Exif\0\0MM\0*", b"Exif\0\0II*\0\xff\xff\xff\xff", b"\0" * 99):
        yield f"bare {start!r}", start


def broken_profiles() -> Iterator[tuple[str, bytes]]:
    """From the profiles that littleCMS accepts: cut, with absurd numbers, or of another kind of picture."""
    sound = {
        "sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "Lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "grey": corpus.grey_profile(2.2),
    }
    for name, profile in sound.items():
        yield name, profile
        for percent in range(0, 100, 9):
            yield f"{name} at {percent} %", profile[: len(profile) * percent // 100]
        (tags,) = struct.unpack_from(">I", profile, 128)
        places = (0, 12, 16, 20, 36, 128, *(132 + 4 * word for word in range(min(tags, 12) * 3)))
        for at, value in itertools.product(places, (0, 1, 2**31 - 1, 2**32 - 1)):
            changed = bytearray(profile)
            changed[at : at + 4] = struct.pack(">I", value)
            yield f"{name} with {value} at {at}", bytes(changed)
        at = profile.find(b"curv")
        if at > 0:
            yield f"{name} with an endless curve", profile[: at + 8] + b"\x7f\xff\xff\xff" + profile[at + 12 :]
    yield "zeros", bytes(60_000)
    yield "text", b"broken"


def metadata() -> Iterator[Input]:
    """Broken EXIF and profiles in each format that carries them."""
    scene = corpus.scene()
    for name, block in broken_exif():
        yield Input("broken EXIF", f"AVIF, {name}", avif_with_exif(block))
    for format in ("PNG", "JPEG", "WEBP"):
        for name, block in broken_exif():
            yield Input("broken EXIF", f"{format}, {name}", corpus.saved(scene, format, exif=block))
        for name, profile in broken_profiles():
            yield Input("broken ICC", f"{format}, {name}", corpus.saved(scene, format, icc_profile=profile))
    grey = scene.convert("L")
    for name, profile in broken_profiles():
        yield Input("broken ICC", f"grey PNG, {name}", corpus.saved(grey, "PNG", icc_profile=profile))
    # Writing an AVIF takes 20 times as long, and its profile is read in the same way.
    for name, profile in itertools.islice(broken_profiles(), 0, None, 20):
        yield Input("broken ICC", f"AVIF, {name}", corpus.saved(scene, "AVIF", speed=10, icc_profile=profile))


def avif_with_exif(block: bytes) -> bytes:
    """An AVIF whose valid EXIF is replaced by a block of the same length: the writer accepts only valid EXIF."""
    template = Image.Exif()
    template[0x010E] = "x" * 400
    sound = template.tobytes()[6:]
    before, found, after = corpus.saved(corpus.scene(), "AVIF", speed=10, exif=template).partition(sound)
    assert found
    return before + block[6:].ljust(len(sound), b"\0")[: len(sound)] + after


def colours() -> Iterator[Input]:
    """Chunks and boxes of colours with absurd numbers."""
    numbers = (0, 1, 5, 99, 31_270, 100_000, 110_001, 2**31 - 1, 2**32 - 1)
    for place, number in itertools.product(range(8), numbers):
        changed = [*ADOBE_CHRM]
        changed[place] = number
        data = bombs.png(64, 64, 8, 2, gama(0.5), chrm(tuple(changed)), fill=99)
        yield Input("absurd colours", f"PNG, chromaticity {place} is {number}", data)
        ends = [int(end * 2**30) for end in P3_ENDS]
        bmp = bytearray(bmp_of(chart(), bytes(4), P3_ENDS, (1, 2, 3)))
        bmp[14 + 60 + 4 * place : 14 + 64 + 4 * place] = struct.pack("<I", number * ends[0] & 0xFFFFFFFF)
        bmp[14 + 96 + place % 12 : 14 + 97 + place % 12] = bytes([number & 0xFF])
        yield Input("absurd colours", f"BMP, endpoint {place} times {number}", bytes(bmp))
    for number in numbers:
        yield Input("absurd colours", f"PNG, gamma {number}", bombs.png(64, 64, 8, 2, gama(number / 1e5), fill=99))
        profile = bytearray(bmp_of(chart(), b"DEBM", profile=corpus.swapped_profile()))
        profile[14 + 112 : 14 + 120] = struct.pack("<II", number, number)
        yield Input("absurd colours", f"BMP, profile at {number}", bytes(profile))
    plain = corpus.saved(corpus.scene(64, 64), "AVIF", speed=10)
    for code in (0, 3, 10, 17, 22, 255, 256, 65_535):
        for primaries, transfer in ((code, 13), (12, code), (code, code)):
            png = bombs.png(64, 64, 16, 2, cicp(primaries & 255, transfer & 255), fill=99)
            yield Input("absurd colours", f"PNG, {primaries} and {transfer}", png)
            yield Input("absurd colours", f"AVIF, {primaries} and {transfer}", nclx(plain, primaries, transfer))
    for box in (b"meta", b"iprp", b"ipco", b"ipma", b"pitm", b"colr"):
        at = plain.index(box)
        for size in (0, 1, 7, 8, 9, 2**16, 2**32 - 1):
            yield Input(
                "absurd colours", f"AVIF, {box!r} of {size}", plain[: at - 4] + struct.pack(">I", size) + plain[at:]
            )


# --- Files of two kinds, and files of other kinds ---


def polyglots() -> Iterator[Input]:
    """Pictures that are also scripts or archives, and files that only claim to be pictures."""
    archive = b"PK\x03\x04" + bytes(26) + b"PK\x05\x06" + bytes(18)
    script = b"=1;alert(document.domain)//*/"
    page = b"<!DOCTYPE html><script>alert(1)</script>"
    for name, data in seeds().items():
        for tail in (archive, page, b"%PDF-1.7\n", b"<?php system('id');", b"\x7fELF" + bytes(60)):
            yield Input("polyglot", f"{name} and {tail[:8]!r}", data + tail)
        for head in (b"%PDF-1.7\n", b"#!/bin/sh\n", page, archive, b"\0"):
            yield Input("polyglot", f"{head[:8]!r} and {name}", head + data)
    for name in ("GIF", "GIF animated"):
        data = seeds()[name]
        yield Input("polyglot", f"{name} as a script", b"GIF89a/*" + data[8:] + b"*/" + script)
    jpeg = seeds()["JPEG"]
    for payload in (page, archive, b"%PDF-1.4\n", b"*/" + script):
        segment = struct.pack(">BBH", 0xFF, 0xFE, len(payload) + 2) + payload
        yield Input("polyglot", f"JPEG around {payload[:8]!r}", jpeg[:2] + segment + jpeg[2:])
    png = seeds()["PNG RGB"]
    for payload in (page, archive):
        yield Input("polyglot", f"PNG around {payload[:8]!r}", png[:33] + corpus.chunk(b"tEXt", payload) + png[33:])
    for one, other in itertools.permutations(("PNG RGB", "JPEG", "WEBP lossy", "AVIF", "GIF", "BMP"), 2):
        for length in (2, 4, 12, 16, 32):
            yield Input("polyglot", f"{one}'s mark on {other}", seeds()[one][:length] + seeds()[other][length:])
    for format in ("TIFF", "ICO", "PPM", "TGA", "PCX", "JPEG2000", "PDF", "EPS", "SGI", "DDS", "ICNS", "QOI"):
        yield Input("not a picture", format, corpus.saved(corpus.scene(64, 64), format))
    for text in (
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        b"8BPS\0\1" + bytes(64),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"push graphic-context\nfill 'url(https://example.com/|id)'\n",
        b"RIFF\x24\0\0\0WAVEfmt " + bytes(64),
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(64),
        b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + bytes(64),
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
        b"\x1f\x8b\x08" + bytes(99),
        bytes(5_000),
        b"\xff" * 5_000,
        page,
    ):
        yield Input("not a picture", repr(text[:12]), text)


def systematic() -> Iterator[Input]:
    """All inputs except the bombs, in a fixed order."""
    return itertools.chain(truncations(), flips(), sizes(), metadata(), colours(), polyglots())


# --- Random mutations ---

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutations(seed: int) -> Iterator[Input]:
    """Endless: files with one to four random changes, determined by ``seed``."""
    chance = random.Random(seed)
    files = list(seeds().items())
    for number in itertools.count():
        name, data = chance.choice(files)
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4))):
            _mutate(changed, chance, chance.choice(files)[1])
        if data.startswith(corpus.PNG_SIGNATURE) and chance.random() < 0.7:
            _mend(changed)
        yield Input("mutated", f"{name}, {seed}/{number}", bytes(changed))


def _mutate(data: bytearray, chance: random.Random, other: bytes) -> None:
    length = len(data)
    if not length:
        return
    # Half of the changes are in the headers.
    at = chance.randrange(min(length, 100)) if chance.random() < 0.5 else chance.randrange(length)
    span = chance.choice((1, 4, 16, 256, 4096))
    match chance.randrange(9):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            data[at] = chance.randrange(256)
        case 2:
            number = chance.choice(_NUMBERS)
            width = chance.choice((1, 2, 4))
            data[at : at + width] = (number & 256**width - 1).to_bytes(width, chance.choice(("big", "little")))
        case 3:
            del data[at : at + span]
        case 4:
            data[at:at] = data[at : at + span]
        case 5:
            data[at : at + span] = chance.randbytes(span)
        case 6:
            data[at:] = other[min(at, len(other) - 1) :]
        case 7:
            del data[at:]
        case 8:
            with contextlib.suppress(ValueError, IndexError, struct.error):  # no header is left of it
                data[:] = resized(bytes(data), chance.choice(SIDES), chance.choice(SIDES))


def _mend(data: bytearray) -> None:
    """Correct the checksums of a PNG, so that decoders read the content of its chunks."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            return
        data[at + 8 + length : at + 12 + length] = struct.pack(">I", zlib.crc32(data[at + 4 : at + 8 + length]))
        at += 12 + length
