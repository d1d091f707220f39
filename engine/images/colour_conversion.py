"""Pixels of any colour space to sRGB, with 8 bits for each channel.

Colours outside of sRGB are clipped. In HDR, the white of a page becomes white. Brighter light is rolled off as far as
the highlights of the picture need it. Without highlights, a picture is converted as if it were not HDR.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from engine.images.colour_space import PQ_PEAK, REFERENCE_WHITE, SRGB, ColourSpace, hlg, pq, pq_signal
from engine.images.colour_tags import Tag

Plane = NDArray[np.float32]
Levels = NDArray[np.uint8] | NDArray[np.uint16]

_HLG_PEAK: Final = 1000.0
"""cd/m² of the display at which HLG's system gamma is 1.2: ITU-R BT.2100-2, table 5."""
_NOT_BRIGHTEST: Final = 0.999
"""The share of the pixels whose light is not clipped by the roll-off."""
_SAMPLE: Final = 2**20
"""Pixels that are sampled to measure the brightness of a picture."""
_BAND: Final = 2**18
"""Pixels converted at once, few enough to stay in the processor's cache."""
_STEPS: Final = 65_535
"""Steps of the tables that linear light indexes. Where sRGB is steepest, a step is a twentieth of a level."""


def _levels_by_light() -> NDArray[np.uint8]:
    light = np.arange(_STEPS + 1) / _STEPS
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * signal + 0.5).astype(np.uint8)


_LEVELS: Final = _levels_by_light()


Source = ColourSpace | ImageCms.ImageCmsTransform
"""What a picture is converted from: a colour space, or an ICC profile's transform to sRGB in mode ``RGB``."""


def source_of(tags: Iterable[Tag], mode: Literal["L", "RGB", "CMYK"]) -> Source:
    """The first tag that is valid for a picture of that mode; sRGB if none is."""
    for tag in tags:
        source = _transform_of(tag, mode) if isinstance(tag, bytes) else tag
        if source is not None and (mode != "CMYK" or isinstance(tag, bytes)):
            return source
    return SRGB


def in_srgb(image: Image.Image, source: Source, low: Image.Image | None = None) -> Image.Image:
    """The picture in mode ``RGB``.

    :param image: in mode ``L``, ``P``, ``RGB`` or ``CMYK``, or, with a colour space, ``I;16``.
    :param low: the lower eight bits of each value where it has 16, of which ``image`` then has the upper eight.
    """
    if isinstance(source, ColourSpace) and source.is_srgb:
        return image.convert("RGB")
    if image.mode == "P":
        colours = bytes(image.getpalette("RGB") or b"")
        palette = Image.frombytes("RGB", (len(colours) // 3, 1), colours)
        image = image.copy()
        image.putpalette(in_srgb(palette, source).tobytes())
        return image.convert("RGB")
    if isinstance(source, ImageCms.ImageCmsTransform):
        return source.apply(image if image.mode == source.input_mode else image.convert(source.input_mode))
    convert = _Conversion(source, image, low)
    done = Image.new("RGB", image.size)
    for top, levels in _bands(image, low, max(1, _BAND // image.width)):
        done.paste(Image.merge("RGB", [Image.fromarray(plane) for plane in convert(levels)]), (0, top))
    return done


def _transform_of(profile: bytes, mode: Literal["L", "RGB", "CMYK"]) -> Source | None:
    """An ICC profile's transform; None if it is broken or for another mode. As in browsers, RGB is valid for grey."""
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
        icc = ImageCms.ImageCmsProfile(BytesIO(profile))
        kind = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}.get(icc.profile.xcolor_space.strip())
        if kind == mode or (kind == "RGB" and mode == "L"):
            transform = ImageCms.buildTransform(icc, ImageCms.createProfile("sRGB"), kind, "RGB")
            return SRGB if kind == "RGB" and _changes_nothing(transform) else transform
    return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether the profile is sRGB under another name, as in most photos: then rounding errors are all it would add."""
    levels = range(0, 256, 17)
    probe = Image.frombytes(
        "RGB", (256, 16), bytes(v for r in levels for g in levels for b in levels for v in (r, g, b))
    )
    before, after = probe.tobytes(), transform.apply(probe).tobytes()
    return all(abs(a - b) <= 1 for a, b in zip(before, after, strict=True))


class _Conversion:
    """From levels of a colour space, a plane for each channel, to levels of sRGB."""

    def __init__(self, space: ColourSpace, image: Image.Image, low: Image.Image | None) -> None:
        size: Literal[256, 65_536] = 65_536 if low is not None or image.mode == "I;16" else 256
        self._space = space
        self._light = space.linear(size)
        self._is_hlg = hlg in space.curves
        self._peak = _HLG_PEAK / REFERENCE_WHITE if self._is_hlg else PQ_PEAK / REFERENCE_WHITE
        self._roll_off: Plane | None = None
        is_hdr = self._is_hlg or pq in space.curves
        if is_hdr:
            self._roll_off = self._roll_off_for(image, low)
        self._tables: list[NDArray[np.uint8]] = []
        if image.mode in {"L", "I;16"} or (not is_hdr and np.array_equal(space.to_srgb, np.eye(3))):
            every = np.arange(size).astype(np.uint16)
            self._tables = self._mixed([every] * 3)

    def __call__(self, levels: Sequence[Levels]) -> list[NDArray[np.uint8]]:
        if len(levels) == 1:
            levels = [levels[0]] * 3
        if self._tables:
            return [table[plane] for table, plane in zip(self._tables, levels, strict=True)]
        return self._mixed(levels)

    def _mixed(self, levels: Sequence[Levels]) -> list[NDArray[np.uint8]]:
        red, green, blue = self._linear(levels)
        if self._roll_off is not None:
            ratio = self._roll_off[_steps(np.sqrt(_brightest(red, green, blue) / self._peak))]
            red, green, blue = red * ratio, green * ratio, blue * ratio
        return [
            _LEVELS[_steps(float(row[0]) * red + float(row[1]) * green + float(row[2]) * blue)]
            for row in self._space.to_srgb
        ]

    def _linear(self, levels: Sequence[Levels]) -> list[Plane]:
        light = [table[plane] for table, plane in zip(self._light, levels, strict=True)]
        if not self._is_hlg:
            return light
        # BT.2100's OOTF: the light of the scene to that of the display.
        luminance = sum(float(share) * plane for share, plane in zip(self._space.luminances, light, strict=True))
        gain = np.power(luminance, 0.2, dtype=np.float32) * self._peak
        return [plane * gain for plane in light]

    def _roll_off_for(self, image: Image.Image, low: Image.Image | None) -> Plane | None:
        """The factor for all three channels by the light of the brightest one: BT.2390-10, section 5.4.1.

        None if nothing is brighter than the white of a page.
        """
        every = max(1, image.width * image.height // _SAMPLE)
        sample = [
            _brightest(*self._linear(levels * 3 if len(levels) == 1 else levels)).ravel()
            for _, levels in _bands(image, low, 1, every)
        ]
        peak = float(np.quantile(np.concatenate(sample), _NOT_BRIGHTEST))
        if peak <= 1:
            return None
        source, target = pq_signal(np.array([peak, 1.0]))
        light = (np.arange(_STEPS + 1) / _STEPS) ** 2 * self._peak
        signal = np.minimum(pq_signal(light) / source, 1)
        white = target / source
        knee = 1.5 * white - 0.5
        t = np.maximum(signal - knee, 0) / (1 - knee)
        spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
        rolled = pq(np.where(signal < knee, signal, spline) * source)
        return np.divide(rolled, light, out=np.ones_like(light), where=light > 0).astype(np.float32)


def _brightest(red: Plane, green: Plane, blue: Plane) -> Plane:
    return np.maximum(np.maximum(red, green), blue)


def _steps(light: Plane) -> NDArray[np.uint16]:
    """Indexes into a table by linear light, which is clipped to [0, 1]."""
    np.clip(light, 0, 1, out=light)
    light *= _STEPS
    light += 0.5
    return light.astype(np.uint16)


def _bands(
    image: Image.Image, low: Image.Image | None, rows: int, every: int = 1
) -> Iterator[tuple[int, list[Levels]]]:
    """Bands of ``rows`` rows, one in ``every``: the number of the first row, and the levels of each channel."""
    for top in range(0, image.height, rows * every):
        box = (0, top, image.width, min(top + rows, image.height))
        levels: list[Levels] = [np.asarray(channel) for channel in image.crop(box).split()]
        if low is not None:
            levels = [
                plane.astype(np.uint16) << 8 | np.asarray(lower)
                for plane, lower in zip(levels, low.crop(box).split(), strict=True)
            ]
        yield top, levels
