"""Which picture a PNG shows: the first frame of an animation, Apple's colours, the valid part of a damaged file."""

import struct
import tracemalloc
import zlib

import pytest
from PIL import Image

from engine.errors import PictureDamaged, PictureError, PictureTruncated
from engine.images.codec import Picture, decode
from tests.engine.images import corpus

WIDTH, HEIGHT = 48, 36


def rows_of(image: Image.Image) -> bytes:
    """Scanlines without a filter."""
    stride = image.width * len(image.getbands())
    data = image.tobytes()
    return b"".join(b"\0" + data[at : at + stride] for at in range(0, len(data), stride))


def header(width: int, height: int, colour: int = 2) -> bytes:
    return corpus.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))


def file(*chunks: bytes) -> bytes:
    return corpus.PNG_SIGNATURE + b"".join(chunks)


def pixels(image: Image.Image) -> bytes:
    return corpus.chunk(b"IDAT", zlib.compress(rows_of(image)))


END = corpus.chunk(b"IEND", b"")
RED, GREEN, BLUE = (Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("red", "lime", "blue"))


def at(picture: Picture, x: int, y: int) -> object:
    return picture.rgb.getpixel((x, y))


# --- Animations ---


def animation(frames: int = 2) -> bytes:
    return corpus.chunk(b"acTL", struct.pack(">II", frames, 0))


def control(  # a frame's position and disposal
    sequence: int,
    width: int = WIDTH,
    height: int = HEIGHT,
    left: int = 0,
    top: int = 0,
    dispose: int = 0,
    blend: int = 0,
) -> bytes:
    values = struct.pack(">IIIIIHHBB", sequence, width, height, left, top, 1, 10, dispose, blend)
    return corpus.chunk(b"fcTL", values)


def frame(sequence: int, image: Image.Image, *, parts: int = 1) -> bytes:
    stream = zlib.compress(rows_of(image))
    size = -(-len(stream) // parts)
    pieces = [stream[part * size : (part + 1) * size] for part in range(parts)]
    return b"".join(
        corpus.chunk(b"fdAT", struct.pack(">I", sequence + number) + piece) for number, piece in enumerate(pieces)
    )


@pytest.mark.parametrize("dispose", [0, 1, 2])
@pytest.mark.parametrize("blend", [0, 1])
def test_a_default_image_that_is_not_a_frame_is_not_shown(dispose: int, blend: int) -> None:
    frames = (control(0, dispose=dispose, blend=blend), frame(1, GREEN, parts=3), control(4), frame(5, BLUE))
    picture = decode(file(header(WIDTH, HEIGHT), animation(), pixels(RED), *frames, END))
    assert at(picture, 9, 9) == (0, 255, 0)
    assert picture.alpha is None
    assert picture.rgb.size == (WIDTH, HEIGHT)


def test_a_default_image_that_is_a_frame_is_shown() -> None:
    data = file(header(WIDTH, HEIGHT), animation(), control(0), pixels(RED), control(1), frame(2, BLUE), END)
    assert at(decode(data), 9, 9) == (255, 0, 0)


def test_a_smaller_first_frame_keeps_its_place_on_a_transparent_canvas() -> None:
    scene = corpus.scene(20, 10)
    frames = (control(0, 20, 10, 5, 7), frame(1, scene))
    data = file(header(WIDTH, HEIGHT), animation(1), pixels(RED), *frames, END)
    picture = decode(data)
    assert picture.rgb.size == (WIDTH, HEIGHT)
    assert picture.rgb.crop((5, 7, 25, 17)).tobytes() == scene.tobytes()
    assert picture.alpha is not None
    assert picture.alpha.getbbox() == (5, 7, 25, 17)
    assert picture.alpha.crop((5, 7, 25, 17)).getextrema() == (255, 255)
    assert at(picture, 0, 0) == (255, 255, 255)
    assert decode(data, longer_side=24).rgb.size == (24, 18)


def test_the_palette_and_its_transparency_apply_to_the_first_frame() -> None:
    source = Image.new("P", (WIDTH, HEIGHT), 1)
    chunks = (corpus.chunk(b"PLTE", bytes([9, 9, 9, 200, 100, 50, 1, 2, 3])), corpus.chunk(b"tRNS", bytes([255, 90])))
    frames = (control(0, 30, 30, 2, 3), frame(1, source.crop((0, 0, 30, 30))))
    black = Image.new("P", (WIDTH, HEIGHT), 0)
    picture = decode(file(header(WIDTH, HEIGHT, 3), *chunks, animation(1), pixels(black), *frames, END))
    assert picture.alpha is not None
    assert [picture.alpha.getpixel(place) for place in ((1, 1), (2, 3), (31, 32), (32, 32))] == [0, 90, 90, 0]


@pytest.mark.parametrize(
    "frames",
    [
        (),
        (control(0),),
        (frame(0, GREEN),),
        (control(1), frame(2, GREEN)),
        (control(0), frame(2, GREEN)),
        (control(0, 0, HEIGHT), frame(1, GREEN)),
        (control(0, WIDTH + 1, HEIGHT), frame(1, GREEN)),
        (control(0, WIDTH, HEIGHT, 1), frame(1, GREEN)),
        (control(0, WIDTH, HEIGHT, 0, 2**32 - 1), frame(1, GREEN)),
        (control(0, 2**31, 2**31), frame(1, GREEN)),
        (corpus.chunk(b"fcTL", bytes(9)), frame(1, GREEN)),
        (control(0)[:-1] + b"\0", frame(1, GREEN)),
    ],
)
def test_an_invalid_first_frame_is_replaced_by_the_default_image(frames: tuple[bytes, ...]) -> None:
    data = file(header(WIDTH, HEIGHT), animation(), pixels(RED), *frames, END)
    assert at(decode(data), 9, 9) == (255, 0, 0)


def test_frames_without_an_animation_are_not_shown() -> None:
    frames = (control(0), frame(1, GREEN))
    for chunk in (b"", animation(0)):
        assert at(decode(file(header(WIDTH, HEIGHT), chunk, pixels(RED), *frames, END)), 9, 9) == (255, 0, 0)
    assert at(decode(file(header(WIDTH, HEIGHT), pixels(RED), animation(), *frames, END)), 9, 9) == (255, 0, 0)


# --- Apple's PNGs, and other chunks before the header ---


def raw_deflated(rows: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    return deflate.compress(rows) + deflate.flush()


def apple(image: Image.Image, flags: int, colour: int, *, parts: int = 1) -> bytes:
    stream = raw_deflated(rows_of(image))
    size = -(-len(stream) // parts)
    return file(
        corpus.chunk(b"CgBI", struct.pack(">I", flags)),
        header(image.width, image.height, colour),
        *(corpus.chunk(b"IDAT", stream[part * size : (part + 1) * size]) for part in range(parts)),
        END,
    )


@pytest.mark.parametrize("parts", [1, 4])
def test_apples_pngs_are_bgr(parts: int) -> None:
    scene = corpus.scene(WIDTH, HEIGHT)
    red, green, blue = scene.split()
    picture = decode(apple(Image.merge("RGB", (blue, green, red)), 0x50002006, 2, parts=parts))
    assert picture.rgb.tobytes() == scene.tobytes()
    assert picture.alpha is None


def test_apples_pngs_have_premultiplied_colours() -> None:
    """By the formula: what is stored is the colour times alpha over 255, in BGRA."""
    colour, alpha = (200, 100, 40), Image.linear_gradient("L").resize((WIDTH, HEIGHT))
    bands = [alpha.point([round(value * level / 255) for level in range(256)]) for value in reversed(colour)]
    picture = decode(apple(Image.merge("RGBA", (*bands, alpha)), 0x50002002, 6))
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == alpha.tobytes()
    for y in (9, 18, 27, HEIGHT - 1):
        level = alpha.tobytes()[y * WIDTH + 3]
        on_white = [value * level / 255 + 255 - level for value in colour]
        found = picture.rgb.getpixel((3, y))
        assert isinstance(found, tuple)
        assert all(abs(one - other) <= 2 for one, other in zip(found, on_white, strict=True))


def test_apples_flags_mean_opaque_or_not_premultiplied() -> None:
    stored = Image.new("RGBA", (WIDTH, HEIGHT), (40, 100, 200, 51))
    assert at(decode(apple(stored, 0x50002006, 6)), 5, 5) == (200, 100, 40)
    assert decode(apple(stored, 0x50002006, 6)).alpha is None
    on_white = tuple(round(value / 5 + 255 * 4 / 5) for value in (200, 100, 40))
    assert at(decode(apple(stored, 0x50002004, 6)), 5, 5) == on_white


def test_apples_grey_pngs_are_decoded() -> None:
    assert at(decode(apple(Image.new("L", (WIDTH, HEIGHT), 77), 0x50002006, 0)), 5, 5) == (77, 77, 77)


def test_apples_chunk_in_a_standard_png_is_ignored() -> None:
    scene = corpus.scene(WIDTH, HEIGHT)
    mark = corpus.chunk(b"CgBI", struct.pack(">I", 0x50002006))
    assert decode(file(mark, header(WIDTH, HEIGHT), pixels(scene), END)).rgb.tobytes() == scene.tobytes()


@pytest.mark.parametrize("first", [b"IDAT", b"tEXt", b"iDOT", b"CgBJ", b"JHDR", b"IEND"])
def test_a_png_with_another_first_chunk_is_damaged(first: bytes) -> None:
    with pytest.raises(PictureDamaged, match=f"begins with b'{first.decode()}'"):
        decode(file(corpus.chunk(first, b"\x50\0\x20\x06"), header(WIDTH, HEIGHT), pixels(RED), END))
    with pytest.raises(PictureDamaged):
        decode(file(corpus.chunk(b"CgBI", bytes(4)), corpus.chunk(first, b""), header(WIDTH, HEIGHT), pixels(RED), END))


# --- Checksums ---


def split(image: Image.Image, parts: int) -> list[bytes]:
    stream = zlib.compress(rows_of(image), 0)
    size = -(-len(stream) // parts)
    return [corpus.chunk(b"IDAT", stream[part * size : (part + 1) * size]) for part in range(parts)]


def test_a_wrong_checksum_is_ignored_if_the_pixels_are_valid() -> None:
    parts = [part[:-4] + b"\0\0\0\0" for part in split(corpus.scene(WIDTH, HEIGHT), 5)]
    picture = decode(file(header(WIDTH, HEIGHT), *parts, END))
    assert picture.rgb.tobytes() == corpus.scene(WIDTH, HEIGHT).tobytes()
    assert picture.shown is None


@pytest.mark.parametrize("broken", range(10))
def test_pixels_after_a_damaged_chunk_are_not_shown(broken: int) -> None:
    """A changed colour inflates as before; only the checksum shows it."""
    parts = split(corpus.scene(WIDTH, HEIGHT), 10)
    changed = bytearray(parts[broken])
    changed[len(changed) // 2] ^= 0x40
    data = file(header(WIDTH, HEIGHT), *parts[:broken], bytes(changed), *parts[broken + 1 :], END)
    if broken < 7:
        with pytest.raises(PictureTruncated):
            decode(data)
        return
    picture = decode(data)
    assert picture.shown is not None
    rows = round(picture.shown * HEIGHT)
    assert rows == (broken * (len(parts[0]) - 12) - 7) // (1 + 3 * WIDTH)
    there = (0, 0, WIDTH, rows)
    assert picture.rgb.crop(there).tobytes() == corpus.scene(WIDTH, HEIGHT).crop(there).tobytes()


def test_a_damaged_ancillary_chunk_is_ignored() -> None:
    clear = corpus.chunk(b"tRNS", struct.pack(">3H", 255, 0, 0))
    assert decode(file(header(WIDTH, HEIGHT), clear, pixels(_half_red()), END)).alpha is not None
    assert decode(file(header(WIDTH, HEIGHT), clear[:-1] + b"\0", pixels(_half_red()), END)).alpha is None


def test_a_damaged_header_is_refused() -> None:
    with pytest.raises(PictureError):
        decode(file(header(WIDTH, HEIGHT)[:-1] + b"\0", pixels(RED), END))


def test_exif_after_the_pixels_of_a_png_is_read() -> None:
    rows = (b"\0" + bytes([9, 8, 7]) * 40) * 50
    orientation = corpus.chunk(b"eXIf", corpus.exif_block(3, 1, b"\6\0\0\0")[6:])
    data = corpus.png(40, 50, 8, 2, rows)
    assert decode(data[:-12] + orientation + data[-12:]).rgb.size == (50, 40)


def test_compressed_texts_and_profiles_of_a_png_are_not_inflated() -> None:
    zeros = zlib.compress(bytes(40 * 2**20), 9)
    chunks = (
        corpus.chunk(b"zTXt", b"Comment\0\0" + zeros),
        corpus.chunk(b"iTXt", b"Comment\0\1\0\0\0" + zeros),
        corpus.chunk(b"iCCP", b"icc\0\0" + zeros),
        corpus.chunk(b"acTL", bytes(8)),
    )
    rows = (b"\0" + bytes([9, 8, 7]) * 40) * 40
    tracemalloc.start()
    try:
        assert at(decode(corpus.png(40, 40, 8, 2, rows, *chunks)), 0, 0) == (9, 8, 7)
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    finally:
        tracemalloc.stop()


def _half_red() -> Image.Image:
    image = BLUE.copy()
    image.paste(RED, (0, HEIGHT // 2))
    return image
