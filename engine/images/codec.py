"""Decodes pictures from outside into sRGB pixels, and encodes pixels into files.

The bytes are untrusted. The first bytes decide the format; a name or a content type is ignored.
:mod:`engine.images.headers` finds the size, and pictures over a limit are refused before Pillow reads the file.
Pillow's format classes are used directly. ``Image.open`` would add a bomb check that only warns, and would trust a
JPEG's index of further pictures (MPO). All errors of a decoder become a :class:`~engine.errors.PictureError`, except
``MemoryError``, which is about the machine.

A crash or a hang of a decoder ends its process. So a worker uses :mod:`engine.images.decoder`, which calls
:func:`decode` in another process.
"""

import contextlib
import re
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Literal

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from engine.errors import (
    NotAPicture,
    PictureDamaged,
    PictureError,
    PictureTooLarge,
    PictureTooNarrow,
    PictureTooSmall,
    PictureTransparent,
)
from engine.images import bmp, headers, png, png_pixels, truncated
from engine.images.colour_conversion import in_srgb, source_of
from engine.images.colour_space import ColourSpace
from engine.images.colour_tags import tags_of
from engine.images.kinds import kind_of
from engine.images.limits import Limits
from engine.images.raster import Box, Raster

BACKGROUND = (255, 255, 255)
"""The colour behind transparent content: white, as in most viewers."""

SHORTEST_SIDE = 16
"""The shortest side, in pixels, of a scaled picture: VGG19 halves it four times up to relu5_1."""

LOSSLESS_METHOD: Final = 1
LOSSLESS_EFFORT: Final = 0
"""Of a lossless WebP, for libwebp. A painting of 2048 × 2048 pixels takes 0.5 s and 73 % of a PNG's bytes. Method 0
saves 0.3 s and only 3 % of the bytes; more effort takes up to ten times as long for 1 %.
"""

_OPENERS: dict[headers.Format, type[ImageFile.ImageFile]] = {
    headers.Format.PNG: PngImagePlugin.PngImageFile,
    headers.Format.JPEG: JpegImagePlugin.JpegImageFile,
    headers.Format.WEBP: WebPImagePlugin.WebPImageFile,
    headers.Format.AVIF: AvifImagePlugin.AvifImageFile,
    headers.Format.GIF: GifImagePlugin.GifImageFile,
}

_CONTINUOUS = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
"""Modes in which the mean of two pixels is a pixel between them. They can be scaled before they are converted."""

_KIND_OF_COLOURS: dict[str, Literal["L", "RGB", "CMYK"]] = {
    **dict.fromkeys(("1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N"), "L"),
    "CMYK": "CMYK",
}
"""By mode. The other modes are ``RGB``."""

_BUFFER = threading.Lock()
"""Held while the size of Pillow's buffer is changed."""

_MOST_CONVERTED = 18_000_000
"""Pixels that are converted before they are scaled, where that gives a better picture. More would take too long."""

TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what makes the picture upright (EXIF 2.32, tag 0x0112)."""

UNSEEN = 3
"""The highest alpha that counts as invisible. Lossy formats may decode 0 as a few levels more."""

EXIF_OF_AVIF = re.compile(rb"(infe.{8})Exif", re.DOTALL)
"""The entry of the EXIF of an AVIF. The EXIF has no effect, as ``irot`` and ``imir`` give the orientation, but libavif
refuses the whole file if the EXIF is broken.
"""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: ``rgb`` in mode ``RGB``, sRGB, upright, flattened on :data:`BACKGROUND`; and ``alpha`` in
    mode ``L`` and of the same size, 0 transparent to 255 opaque, or None where everything is opaque.

    ``shown`` is None for a whole file. For a truncated file it is the share of the rows that the file holds, from
    :data:`engine.images.raster.LEAST_SHOWN` to 1; the other rows are transparent. At 1, only detail is missing.
    """

    rgb: Image.Image
    alpha: Image.Image | None = None
    shown: float | None = None

    @property
    def width(self) -> int:
        """Pixels."""
        return self.rgb.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.rgb.height


def decode(data: bytes, limits: Limits = Limits(), *, longer_side: int | None = None) -> Picture:
    """Decode a PNG, JPEG, WebP, AVIF, GIF or BMP; of an animation the first frame.

    :param longer_side: pixels that are enough for the caller. A larger picture is scaled down to it, as
        :func:`fitted` says; none is scaled up.
    :raises NotAPicture: the first bytes are of no accepted format.
    :raises PictureTooLarge: over one of ``limits``, found without decoding a pixel.
    :raises PictureTooSmall: a side is under ``limits.least``.
    :raises PictureTooNarrow: the aspect is over ``limits.aspect``.
    :raises PictureTruncated: the file ends before most of its picture.
    :raises PictureTransparent: no pixel is visible.
    :raises PictureDamaged: the format is accepted, but the contents can't be decoded.
    """
    if len(data) > limits.bytes:
        raise PictureTooLarge("bytes", len(data), limits.bytes)
    format = headers.sniff(data)
    if format is None:
        raise NotAPicture(kind_of(data))
    try:
        with pillow_quiet():
            return _decoded(format, data, limits, longer_side)
    except (PictureError, MemoryError):
        raise
    except Exception as error:
        # Pillow and the libraries under it document no closed set: OSError, SyntaxError, ValueError, EOFError,
        # OverflowError, struct.error, zlib.error and others are all seen for damaged files.
        raise PictureDamaged(f"{format}: {type(error).__name__}: {error}") from error


def fitted(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Scale a (width, height) to a longer side, keeping the aspect.

    Where the shorter side would have under :data:`SHORTEST_SIDE` pixels, it has that many, and the longer side more.
    """
    scale = max(longer_side / max(size), SHORTEST_SIDE / min(size))
    width, height = (max(SHORTEST_SIDE, round(side * scale)) for side in size)
    return width, height


def encode(
    image: Image.Image,
    format: Literal["png", "jpeg", "webp"],
    *,
    alpha: Image.Image | None = None,
    quality: int | None = 92,
) -> bytes:
    """Encode pixels as a file without metadata: no EXIF, no text, and no profile, as the colours are sRGB.

    :param alpha: mode ``L``, the image's size. PNG and WebP carry it; JPEG can't, so there the image is put on
        :data:`BACKGROUND`.
    :param quality: 1 to 100, of JPEG and WebP; None for a lossless WebP. PNG is always lossless.
    :raises ValueError: ``alpha`` is of another size, or the format can't hold so long a side (WebP: 16,383 pixels,
        JPEG: 65,500).
    """
    bare = image.convert("RGB")
    if alpha is not None:
        if alpha.size != image.size:
            raise ValueError(f"alpha of {alpha.size} for an image of {image.size}")
        if format == "jpeg":
            bare = flattened(bare, alpha)
        else:
            bare = bare.copy()
            bare.putalpha(alpha)
    if max(bare.size) > {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}[format]:
        raise ValueError(f"a side of {max(bare.size)} pixels is more than {format} can hold")
    if bare is image:
        bare = image.copy()
    bare.info = {}  # Pillow's writers would take profile, comment and transparency from here
    out = BytesIO()
    match format:
        case "png":
            bare.save(out, "PNG", compress_level=6)
        case "jpeg":
            # Full chroma: halved chroma smears the saturated strokes of a painting.
            with _large_buffer(bare):
                bare.save(out, "JPEG", quality=quality, subsampling="4:4:4", optimize=True, progressive=True)
        case "webp" if quality is None:
            bare.save(out, "WEBP", lossless=True, quality=LOSSLESS_EFFORT, method=LOSSLESS_METHOD)
        case "webp":
            bare.save(out, "WEBP", quality=quality, method=2)  # takes half the time of 4, for 4 % more bytes
    return out.getvalue()


def _check_size(width: int, height: int, limits: Limits) -> None:
    if max(width, height) > limits.side:
        raise PictureTooLarge("side", max(width, height), limits.side)
    if width * height > limits.pixels:
        raise PictureTooLarge("pixels", width * height, limits.pixels)
    if min(width, height) < limits.least:
        raise PictureTooSmall(width, height, limits.least)
    if max(width, height) > limits.aspect * min(width, height):
        raise PictureTooNarrow(width, height, limits.aspect)


def _check_visible(alpha: Image.Image) -> None:
    if not any(alpha.histogram()[UNSEEN + 1 :]):
        raise PictureTransparent


class _Quiet:
    """Counts who is inside, because ``catch_warnings`` is process-wide: with two threads that leave in the order in
    which they entered, the second would bring back the first one's filters for good.
    """

    lock = threading.Lock()
    inside = 0
    filters = contextlib.ExitStack()


@contextlib.contextmanager
def pillow_quiet() -> Iterator[None]:
    """Silence Pillow's warnings. They are about metadata that is not used, as a broken EXIF block."""
    with _Quiet.lock:
        if _Quiet.inside == 0:
            _Quiet.filters.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _Quiet.inside += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.inside -= 1
            if _Quiet.inside == 0:
                _Quiet.filters.close()


def _decoded(format: headers.Format, data: bytes, limits: Limits, longer_side: int | None) -> Picture:
    if stated := headers.size_of(format, data):
        _check_size(*stated, limits)
    still = png.still(data) if format is headers.Format.PNG else None
    raster = _raster(format, still, data, limits, longer_side)
    image, seen, shown = raster.image, raster.seen, raster.shown
    whole = stated or image.size
    size = fitted(whole, longer_side) if longer_side and max(whole) > longer_side else None
    transposition = TRANSPOSITIONS.get(headers.orientation(image.info.get("exif") or b""))
    # Pillow turns grey and alpha of 16 bits into RGBA.
    is_grey = still is not None and still.colour == png.GREY_AND_ALPHA
    source = source_of(
        tags_of(format, data, image.info.get("icc_profile")),
        "L" if is_grey else _KIND_OF_COLOURS.get(image.mode, "RGB"),
    )
    deep = still if still and still.is_deep else None
    # Scaled in another curve, black and white mix to another grey. In linear light, 8 bits keep few dark greys.
    convert_first = (
        isinstance(source, ColourSpace)
        and not source.is_srgb
        and (deep is not None or not source.has_srgb_curve)
        and image.width * image.height <= (png_pixels.MOST_DECODED_TWICE if deep else _MOST_CONVERTED)
    )
    # Scaling would mix a transparent colour with its neighbours.
    loaded = image.convert("RGBA") if image.mode == "RGB" and "transparency" in image.info else image
    if not convert_first and not seen and loaded.mode in _CONTINUOUS and "transparency" not in loaded.info:
        if loaded.mode in {"LA", "RGBA"}:
            _check_visible(loaded.getchannel("A"))  # before scaling makes small things invisible
        loaded = _scaled(loaded, size)
    alpha = _alpha_of(loaded)
    rgb, low = png_pixels.sixteen_bits(loaded, deep) if convert_first and deep else (_eight_bits(loaded), None)
    reduced = loaded.size != image.size
    del image, loaded, raster  # their decoder may hold three times as much as the pixels
    if seen:
        alpha = _only_within(seen, alpha, rgb.size)
    if alpha is not None and not reduced:
        _check_visible(alpha)
    rgb = in_srgb(rgb, source, low)
    rgb.info = {}
    if alpha is not None:
        rgb = flattened(rgb, alpha)
        alpha.info = {}
    rgb = _scaled(rgb, size)
    alpha = _scaled(alpha, size) if alpha is not None else None
    if transposition is not None:
        rgb = rgb.transpose(transposition)
        alpha = alpha.transpose(transposition) if alpha is not None else None
    return Picture(rgb, alpha, shown)


def _raster(
    format: headers.Format, still: png.Still | None, data: bytes, limits: Limits, longer_side: int | None
) -> Raster:
    if format is headers.Format.BMP:
        return bmp.read(data)

    def opened(file: bytes) -> ImageFile.ImageFile:
        image = _OPENERS[format](BytesIO(file))
        if still is None:
            _check_size(*image.size, limits)  # again, because the decoder may have found another size
        longest = max(image.size)
        if longer_side and longest > longer_side:
            wanted = max(fitted(image.size, longer_side))
            width, height = (max(1, side * wanted // longest) for side in image.size)
            image.draft(None, (width, height))
        return image

    if format is headers.Format.AVIF:
        data = EXIF_OF_AVIF.sub(rb"\1none", data)
    if still is None:
        return truncated.load(format, data, opened, ended=True)
    return png_pixels.finished(still, truncated.load(format, still.data, opened, ended=still.ended))


def _scaled(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """Scale to ``size``, if there is one. By the gap, a scale of 6 or more starts with averages of whole pixels."""
    if size is None or image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _alpha_of(image: Image.Image) -> Image.Image | None:
    """The alpha channel in mode ``L``, or None if the whole picture is opaque."""
    if not image.has_transparency_data:
        return None
    if image.mode in {"LA", "RGBA"}:
        alpha = image.getchannel("A")
    elif image.mode == "I;16":
        # Pillow would compare the key with grey values of 8 bits.
        key = int(image.info["transparency"]).to_bytes(2, "little")
        raw = image.tobytes()
        low, high = (
            Image.frombytes("L", image.size, raw[at::2]).point([255 * (level != key[at]) for level in range(256)])
            for at in (0, 1)
        )
        alpha = ImageChops.lighter(low, high)
    else:
        alpha = image.convert("RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def _only_within(box: Box, alpha: Image.Image | None, size: tuple[int, int]) -> Image.Image:
    """``alpha`` within the box, and 0 outside of it."""
    within = Image.new("L", size)
    within.paste(alpha.crop(box) if alpha is not None else 255, box)
    return within


def _eight_bits(image: Image.Image) -> Image.Image:
    """Without alpha, in one of the modes ``L``, ``P``, ``RGB`` and ``CMYK``, with 8 bits for each channel."""
    image.info.pop("transparency", None)
    match image.mode:
        case "I" | "I;16" | "I;16L" | "I;16B" | "I;16N":
            # Pillow's conversion to L would clip at 255 instead of scaling.
            return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
        case "1" | "LA":
            return image.convert("L")
        case "L" | "P" | "RGB" | "CMYK":
            return image
        case _:
            return image.convert("RGB")


@contextlib.contextmanager
def _large_buffer(image: Image.Image) -> Iterator[None]:
    """Have Pillow encode into a buffer that holds any JPEG of an image. By default it has a byte for each pixel.

    libjpeg fails if an optimised JPEG does not fit. With full chroma, a noisy picture takes more.
    """
    with _BUFFER:
        before = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = max(before, 4 * image.width * image.height)
        try:
            yield
        finally:
            ImageFile.MAXBLOCK = before


def flattened(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    """A picture on :data:`BACKGROUND`."""
    paper = Image.new("RGB", rgb.size, BACKGROUND)
    paper.paste(rgb, mask=alpha)
    return paper
