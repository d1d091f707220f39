"""The frames of moving pictures: decoded, and encoded again."""

import pytest

from engine.errors import ClipTooLong
from engine.images import animation
from engine.images.animation import FOREVER, Clip, decode_frames
from engine.images.animation_encoding import encode_clip, encode_clip_within
from engine.images.codec import Picture
from engine.images.limits import Limits
from tests.engine.images import clips, corpus
from tests.engine.painted import levels

FORMATS = ("GIF", "WEBP", "PNG", "AVIF")


def decoded(data: bytes, most: int = 48, limits: Limits = Limits(), **options: int) -> Clip:
    found = decode_frames(data, most, limits, **options)
    assert isinstance(found, Clip)
    return found


def positions(clip: Clip) -> list[int]:
    """The left edge of the green square in each frame."""
    rows = (((levels(picture.rgb) - (40, 160, 90)) ** 2).sum(axis=2)[picture.height // 2] for picture in clip.frames)
    return [int((row < 100).argmax()) for row in rows]


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_frames_times_repetitions_and_transparency_survive(format: str, transparent: bool) -> None:
    times = [40, 80, 120, 500, 60, 90]
    repeated = {"GIF": 2, "WEBP": 3, "PNG": 3, "AVIF": 0}[format]
    data = clips.file(format, clips.frames(transparent=transparent), duration=times, loop=repeated)
    clip = decoded(data)
    assert clip.milliseconds == tuple(times)
    assert clip.plays == (FOREVER if format == "AVIF" else 3)  # Pillow doesn't tell
    assert [picture.rgb.size for picture in clip.frames] == [(96, 64)] * 6
    assert all((picture.alpha is not None) == transparent for picture in clip.frames)
    for each in ("gif", "webp", "png"):
        again = decoded(encode_clip(clip, each))
        assert (again.milliseconds, again.plays) == (clip.milliseconds, clip.plays)
        for one, other in zip(clip.frames, again.frames, strict=True):
            assert abs(levels(one.rgb) - levels(other.rgb)).mean() < 8
            if transparent:
                assert one.alpha is not None
                assert other.alpha is not None
                assert abs(levels(one.alpha) - levels(other.alpha)).mean() < 2


def test_more_frames_are_thinned_evenly_and_last_as_long() -> None:
    clip = decoded(clips.file("GIF", clips.frames(12), duration=40), most=5, longer_side=48)
    assert clip.milliseconds == (80, 80, 120, 80, 120)
    assert clip.frames[0].rgb.size == (48, 32)
    assert positions(clip) == pytest.approx([4, 8, 12, 18, 22], abs=1)


def test_times_that_no_browser_shows_are_those_of_a_browser() -> None:
    assert decoded(clips.file("GIF", clips.frames(3), duration=[0, 10, 50])).milliseconds == (100, 100, 50)


def test_one_frame_is_a_picture() -> None:
    moving = clips.file("GIF", clips.frames())
    assert isinstance(decode_frames(moving, 1), Picture)
    for format in corpus.FORMATS:
        assert isinstance(decode_frames(corpus.sample(format), 48), Picture)


def test_a_file_that_ends_early_has_the_frames_before() -> None:
    data = clips.file("GIF", clips.frames(6))
    clip = decode_frames(data[: len(data) * 3 // 4], 48)
    assert isinstance(clip, Clip)
    assert 2 <= len(clip.frames) < 6


@pytest.mark.parametrize("format", ["GIF", "AVIF"])
def test_a_clip_with_too_many_pixels_or_frames_is_refused(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = clips.file(format, clips.frames())
    with pytest.raises(ClipTooLong) as caught:
        decode_frames(data, 48, Limits(pixels=6 * 96 * 64 - 1))
    assert (caught.value.frames, caught.value.pixels) == (6, 6 * 96 * 64)
    assert isinstance(decode_frames(data, 1, Limits(pixels=6 * 96 * 64 - 1)), Picture)
    monkeypatch.setattr(animation, "LONGEST", 5)
    with pytest.raises(ClipTooLong):
        decode_frames(data, 48)


def test_a_limit_of_bytes_gives_a_gif_then_a_webp_then_a_smaller_one() -> None:
    clip = clips.clip()
    assert encode_clip_within(clip, None).format == "webp"
    gif = encode_clip_within(clip, 100_000)
    assert (gif.format, gif.quality, gif.scaled_to) == ("gif", None, None)
    for limit in (len(gif.data) - 1, 1_200):
        found = encode_clip_within(clip, limit)
        assert found.format == "webp"
        assert len(found.data) <= limit
        assert len(decoded(found.data).frames) == 6
    assert found.scaled_to is not None
    assert decoded(found.data).frames[0].rgb.size == found.scaled_to
