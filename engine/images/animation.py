"""Decodes the frames of a GIF, WebP, PNG or AVIF that moves, as :mod:`engine.images.codec` decodes pictures.

The bytes are untrusted. A worker calls :func:`decode_frames` in the confined decoder, by
:meth:`engine.images.decoder.Decoder.decode_frames`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import AvifImagePlugin, GifImagePlugin, Image, ImageFile, PngImagePlugin, WebPImagePlugin

from engine.errors import ClipTooLong, PictureError, PictureTransparent
from engine.images import headers, png
from engine.images.codec import EXIF_OF_AVIF, TRANSPOSITIONS, UNSEEN, Picture, decode, fitted, flattened, pillow_quiet
from engine.images.colour_conversion import Source, in_srgb, source_of
from engine.images.colour_tags import tags_of
from engine.images.limits import Limits

LONGEST: Final = 1200
"""Frames of a file. Each takes a tenth of a millisecond, however small it is."""
SHORTEST_FRAME: Final = 20
"""Milliseconds. As in browsers, a frame with a shorter time is shown for :data:`DEFAULT_FRAME`."""
DEFAULT_FRAME: Final = 100
"""Milliseconds."""
LONGEST_FRAME: Final = 60_000
"""Milliseconds. A longer time is cut to it."""
FOREVER: Final = 0
"""As :attr:`Clip.plays`."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A moving picture."""

    frames: tuple[Picture, ...]
    """At least two, of one size. Equal frames that follow each other are one object."""
    milliseconds: tuple[int, ...]
    """How long each frame is shown."""
    plays: int = FOREVER
    """How often it is played; :data:`FOREVER` without end."""


def first_frame(picture: Clip | Picture) -> Picture:
    """The first frame of a clip, or the picture itself."""
    return picture.frames[0] if isinstance(picture, Clip) else picture


def decode_frames(
    data: bytes, most: int, limits: Limits = Limits(), *, longer_side: int | None = None
) -> Clip | Picture:
    """Decode the frames of a picture.

    Of more than ``most`` frames, as many are taken in even distances, and each is shown until the next one. A file that
    ends early, or is damaged from its second frame on, has the frames before.

    :param most: frames, at least 1.
    :param longer_side: as for :func:`engine.images.codec.decode`.
    :returns: a picture if the file has a single frame, or ``most`` is 1.
    :raises ClipTooLong: it has more than :data:`LONGEST` frames, or all together have more than ``limits.pixels``.
    :raises PictureError: as :func:`engine.images.codec.decode`, for the first frame. Only the clip as a whole has to be
        visible.
    """
    still: Picture | PictureTransparent
    try:
        still = decode(data, limits, longer_side=longer_side)
    except PictureTransparent as error:
        still = error
    clip = None
    if most > 1:
        try:
            with pillow_quiet():
                clip = _decoded(data, most, limits, longer_side)
        except (PictureError, MemoryError):
            raise
        except Exception:  # noqa: S110 - the errors of Pillow are no closed set, and the first frame is sound
            pass
    if clip is not None:
        return clip
    if isinstance(still, PictureError):
        raise still
    return still


def _decoded(data: bytes, most: int, limits: Limits, longer_side: int | None) -> Clip | None:
    """The clip; None if fewer than two frames can be decoded."""
    format = headers.sniff(data)
    image = _opened(format, data)
    if format is None or image is None:
        return None
    count: int = getattr(image, "n_frames", 1)
    hidden = int(getattr(image, "default_image", False))  # a first picture of a PNG that is no frame
    shown = count - hidden
    if shown < 2:
        return None
    if shown > LONGEST or count * image.width * image.height > limits.pixels:
        raise ClipTooLong(shown, count * image.width * image.height, limits.pixels)
    source = source_of(tags_of(format, data, image.info.get("icc_profile")), "RGB")
    transposition = TRANSPOSITIONS.get(headers.orientation(image.info.get("exif") or b""))
    kept = min(shown, most)
    chosen = {index * shown // kept for index in range(kept)}
    pictures = list[Picture]()
    times = list[int]()
    before = Image.new("RGBA", (1, 1))
    for index, frame in enumerate(_frames(image, hidden, count)):
        if index in chosen:
            pixels = frame.convert("RGBA")
            if transposition is not None:
                pixels = pixels.transpose(transposition)
            same = pictures and pixels.tobytes() == before.tobytes()
            pictures.append(pictures[-1] if same else _picture(pixels, source, longer_side))
            times.append(0)
            before = pixels
        times[-1] += _time(frame)
    if len(pictures) < 2:
        return None
    if not any(_is_visible(picture) for picture in pictures):
        raise PictureTransparent
    return Clip(tuple(pictures), tuple(min(time, LONGEST_FRAME) for time in times), _plays(format, image))


def _opened(format: headers.Format | None, data: bytes) -> ImageFile.ImageFile | None:
    """The file, if it may be a clip."""
    match format:
        case headers.Format.GIF:
            return GifImagePlugin.GifImageFile(BytesIO(data))
        case headers.Format.WEBP:
            return WebPImagePlugin.WebPImageFile(BytesIO(data))
        case headers.Format.AVIF:
            return AvifImagePlugin.AvifImageFile(BytesIO(EXIF_OF_AVIF.sub(rb"\1none", data)))
        case headers.Format.PNG:
            animation = png.animation(data)
            return None if animation is None else PngImagePlugin.PngImageFile(BytesIO(animation))
        case _:
            return None


def _frames(image: ImageFile.ImageFile, first: int, count: int) -> Iterator[ImageFile.ImageFile]:
    """The image at each of its frames, as far as they can be decoded."""
    for index in range(count):
        try:
            image.seek(index)
            image.load()
        except MemoryError:
            raise
        except Exception:
            return
        if index >= first:
            yield image


def _time(frame: ImageFile.ImageFile) -> int:
    """Milliseconds for which a frame is shown."""
    given = frame.info.get("duration", 0)
    return DEFAULT_FRAME if given < SHORTEST_FRAME else round(min(given, LONGEST_FRAME))


def _plays(format: headers.Format, image: ImageFile.ImageFile) -> int:
    loop = image.info.get("loop")
    if format is headers.Format.GIF:  # the number of repetitions, if it has any
        return 1 if loop is None else FOREVER if loop == 0 else int(loop) + 1
    return int(loop or FOREVER)


def _picture(pixels: Image.Image, source: Source, longer_side: int | None) -> Picture:
    alpha: Image.Image | None = pixels.getchannel("A")
    rgb = in_srgb(pixels.convert("RGB"), source)
    if alpha is not None and alpha.getextrema() == (255, 255):
        alpha = None
    if alpha is not None:
        rgb = flattened(rgb, alpha)
    if longer_side and max(pixels.size) > longer_side:
        size = fitted(pixels.size, longer_side)
        rgb = rgb.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        alpha = alpha and alpha.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    rgb.info = {}
    return Picture(rgb, alpha)


def _is_visible(picture: Picture) -> bool:
    return picture.alpha is None or any(picture.alpha.histogram()[UNSEEN + 1 :])
