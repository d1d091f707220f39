"""Pictures from outside into sRGB pixels, and pixels back into files.

The bytes are untrusted. Their first bytes decide the format (a claimed name or type counts for nothing),
:mod:`engine.headers` finds the size, what is over a limit is refused, and only then does Pillow see the file. Its
format classes are used directly, because ``Image.open`` would add a bomb check that warns and would take a JPEG's
index of further pictures (MPO) at its word. Whatever a decoder raises leaves as a
:class:`~engine.errors.PictureError`; only ``MemoryError`` passes, because it speaks of the machine.

A decoder that crashes or hangs takes its process along, so a worker decodes by way of :mod:`engine.decoder`, which
calls :func:`decode` in another one.
"""

import contextlib
import struct
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageCms,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from engine import headers
from engine.errors import NotAPicture, PictureDamaged, PictureError, PictureTooLarge, PictureTooNarrow, PictureTooSmall
from engine.limits import Limits

BACKGROUND = (255, 255, 255)
"""What transparent content is painted on: white, as paper and as most viewers show it."""

SHORTEST_SIDE = 16
"""In pixels, that a picture may be scaled to: VGG19's relu5_1 halves four times."""

_OPENERS: dict[headers.Format, type[ImageFile.ImageFile]] = {
    headers.Format.PNG: PngImagePlugin.PngImageFile,
    headers.Format.JPEG: JpegImagePlugin.JpegImageFile,
    headers.Format.WEBP: WebPImagePlugin.WebPImageFile,
    headers.Format.AVIF: AvifImagePlugin.AvifImageFile,
    headers.Format.GIF: GifImagePlugin.GifImageFile,
    headers.Format.BMP: BmpImagePlugin.BmpImageFile,
}

_CONTINUOUS = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})
"""Modes in which the mean of two pixels is a pixel between them, so that they can be scaled before all else."""

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what makes the picture upright (EXIF 2.32, tag 0x0112)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: ``rgb`` in mode ``RGB``, sRGB, upright, flattened on :data:`BACKGROUND`; and ``alpha`` in
    mode ``L`` and of the same size, 0 transparent to 255 opaque, or None where everything is opaque.
    """

    rgb: Image.Image
    alpha: Image.Image | None = None

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
    :raises PictureDamaged: the format is accepted, but the contents can't be decoded whole.
    """
    if len(data) > limits.bytes:
        raise PictureTooLarge("bytes", len(data), limits.bytes)
    format = headers.sniff(data)
    if format is None:
        raise NotAPicture
    try:
        with _pillow_quiet():
            return _decoded(format, data, limits, longer_side)
    except (PictureError, MemoryError):
        raise
    except Exception as error:
        # Pillow and the libraries under it document no closed set: OSError, SyntaxError, ValueError, EOFError,
        # OverflowError, struct.error, zlib.error and others are all seen for damaged files.
        raise PictureDamaged(f"{format}: {type(error).__name__}: {error}") from error


def fitted(size: tuple[int, int], longer_side: int) -> tuple[int, int]:
    """Scale a (width, height) to a longer side, keeping the aspect; no side under :data:`SHORTEST_SIDE` pixels."""
    longest = max(size)
    width, height = (max(SHORTEST_SIDE, round(side * longer_side / longest)) for side in size)
    return width, height


def encode(
    image: Image.Image,
    format: Literal["png", "jpeg", "webp"],
    *,
    alpha: Image.Image | None = None,
    quality: int = 92,
) -> bytes:
    """The bytes of a file that holds the pixels and nothing else: no EXIF, no profile (it is sRGB), no text.

    :param alpha: mode ``L``, the image's size. PNG and WebP carry it; JPEG can't, so there the image is put on
        :data:`BACKGROUND`.
    :param quality: 1 to 100, of JPEG and WebP; PNG is always lossless.
    :raises ValueError: ``alpha`` is of another size, or the format can't hold so long a side (WebP: 16,383 pixels,
        JPEG: 65,500).
    """
    bare = image.convert("RGB")
    if alpha is not None:
        if alpha.size != image.size:
            raise ValueError(f"alpha of {alpha.size} for an image of {image.size}")
        if format == "jpeg":
            bare = _flattened(bare, alpha)
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
            bare.save(out, "JPEG", quality=quality, subsampling="4:4:4", optimize=True, progressive=True)
        case "webp":
            bare.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()


def encode_within(
    image: Image.Image, max_bytes: int | None, *, alpha: Image.Image | None
) -> tuple[bytes, Literal["png", "jpeg"]]:
    """Encode as PNG, or, where that is over ``max_bytes``, as the best JPEG that is not.

    The alpha channel is given up with the PNG. A JPEG of the lowest quality is returned even if it is too large.
    """
    data = encode(image, "png", alpha=alpha)
    if max_bytes is None or len(data) <= max_bytes:
        return data, "png"
    for quality in (95, 90, 80, 65, 40):
        data = encode(image, "jpeg", alpha=alpha, quality=quality)
        if len(data) <= max_bytes:
            break
    return data, "jpeg"


def _check_size(width: int, height: int, limits: Limits) -> None:
    if max(width, height) > limits.side:
        raise PictureTooLarge("side", max(width, height), limits.side)
    if width * height > limits.pixels:
        raise PictureTooLarge("pixels", width * height, limits.pixels)
    if min(width, height) < limits.least:
        raise PictureTooSmall(width, height, limits.least)
    if max(width, height) > limits.aspect * min(width, height):
        raise PictureTooNarrow(width, height, limits.aspect)


class _Quiet:
    """Counts who is inside, because ``catch_warnings`` is process-wide: with two threads that leave in the order in
    which they entered, the second would bring back the first one's filters for good.
    """

    lock = threading.Lock()
    inside = 0
    filters = contextlib.ExitStack()


@contextlib.contextmanager
def _pillow_quiet() -> Iterator[None]:
    """Silence Pillow's own warnings, which speak of metadata that we don't use (a broken EXIF block, for one)."""
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
    if size := headers.size_of(format, data):
        _check_size(*size, limits)
    is_png = format is headers.Format.PNG
    with _OPENERS[format](BytesIO(headers.bare_png(data) if is_png else data)) as image:
        _check_size(*image.size, limits)  # again, because now it is the decoder's word
        longest = max(image.size)
        size = fitted(image.size, longer_side) if longer_side and longest > longer_side else None
        if size and longer_side:
            width, height = (max(1, side * longer_side // longest) for side in image.size)
            image.draft(None, (width, height))
        image.load()
        if is_png and "transparency" in image.info:
            image.info["transparency"] = _scaled_key(image.info["transparency"], depth=data[24], colour=data[25])
        profile = image.info.get("icc_profile")
        transposition = _TRANSPOSITIONS.get(_orientation_of(image))
        early = size is not None and image.mode in _CONTINUOUS and "transparency" not in image.info
        loaded = _scaled(image, size) if early else image
        alpha = _alpha_of(loaded)
        rgb = _eight_bits(loaded)
    del image, loaded  # and with them what their decoder holds, which can be three times the pixels
    rgb = _in_srgb(rgb, profile if isinstance(profile, bytes) else None)
    rgb.info = {}
    if alpha is not None:
        rgb = _flattened(rgb, alpha)
        alpha.info = {}
    rgb = _scaled(rgb, size)
    alpha = _scaled(alpha, size) if alpha is not None else None
    if transposition is not None:
        rgb = rgb.transpose(transposition)
        alpha = alpha.transpose(transposition) if alpha is not None else None
    return Picture(rgb, alpha)


def _scaled(image: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """To ``size``, if there is one. A gap of 3 averages whole pixels first, and only where there are six for one."""
    if size is None or image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _orientation_of(image: Image.Image) -> int:
    """1 to 8; 1, upright, where there is no EXIF or it is broken."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OSError, EOFError, struct.error):
        return 1
    return orientation if isinstance(orientation, int) else 1


def _scaled_key(key: object, *, depth: int, colour: int) -> object:
    """A PNG's transparent grey or colour in the units of the pixels: the file has it in its own bit depth, and Pillow
    widens the pixels of 2 and 4 bits and keeps the high bytes of 16-bit colours, but leaves the key as it was.
    """
    if colour == 0 and isinstance(key, int) and depth in {2, 4}:
        return key * (255 // (2**depth - 1))
    if colour == 2 and isinstance(key, tuple) and depth == 16:
        return tuple(value >> 8 for value in key)
    return key


def _alpha_of(image: Image.Image) -> Image.Image | None:
    """The alpha channel in mode ``L``, whichever way the file has it, or None where all of it is opaque."""
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


def _eight_bits(image: Image.Image) -> Image.Image:
    """Without alpha and palette, in one of the modes ``L``, ``RGB`` and ``CMYK``, with 8 bits for each channel."""
    image.info.pop("transparency", None)
    match image.mode:
        case "I" | "I;16" | "I;16L" | "I;16B" | "I;16N":
            # Pillow's conversion to L would clip at 255 instead of scaling.
            return image.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
        case "1" | "LA":
            return image.convert("L")
        case "L" | "RGB" | "CMYK":
            return image
        case _:
            return image.convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Mode ``L``, ``RGB`` or ``CMYK`` to sRGB, by the embedded ICC ``profile`` if it is sound and fits the mode."""
    if profile:
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[image.mode]
            if source.profile.xcolor_space.strip() == space:
                transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
                if not (image.mode == "RGB" and _changes_nothing(transform)):
                    return transform.apply(image)
    return image.convert("RGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether the profile is sRGB under another name, as in most photos: then rounding errors are all it would add."""
    levels = range(0, 256, 17)
    probe = Image.frombytes(
        "RGB", (256, 16), bytes(v for r in levels for g in levels for b in levels for v in (r, g, b))
    )
    before, after = probe.tobytes(), transform.apply(probe).tobytes()
    return all(abs(a - b) <= 1 for a, b in zip(before, after, strict=True))


def _flattened(rgb: Image.Image, alpha: Image.Image) -> Image.Image:
    paper = Image.new("RGB", rgb.size, BACKGROUND)
    paper.paste(rgb, mask=alpha)
    return paper
