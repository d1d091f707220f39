"""Headers, which are read without a decoder."""

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PictureDamaged
from engine.images import headers
from engine.images.codec import decode
from engine.images.headers import MAX_SCANS, MAX_SEGMENTS, frames_of
from tests.engine.images import clips, corpus


def test_a_second_header_of_a_png_cannot_change_the_size() -> None:
    second = corpus.chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    rows = (b"\0" + bytes([9, 8, 7]) * 40) * 40
    assert decode(corpus.png(40, 40, 8, 2, rows, second)).rgb.size == (40, 40)


def test_a_jpeg_with_countless_scans_is_refused() -> None:
    assert decode(corpus.many_scans(5)).width == 96
    with pytest.raises(PictureDamaged, match="scans"):
        decode(corpus.many_scans(MAX_SCANS + 1))


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"\xff\x00", b"\xff\xd0", b"\xff\xd8", b"\xff\xfe\0\2"])
def test_a_jpeg_with_too_many_segments_is_refused_early(filler: bytes) -> None:
    data = corpus.sample("JPEG")
    with pytest.raises(PictureDamaged, match=r"JPEG with (\d+) segments") as refused:
        decode(data[:2] + b"\xff\xfe\0\2" + filler * (2**22 // len(filler)) + data[2:])
    assert int(refused.value.detail.split()[2]) <= MAX_SEGMENTS + 1


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_frames_are_counted_without_a_decoder(format: str) -> None:
    moving = clips.file(format, clips.frames(7))
    assert frames_of(moving) == 7
    assert frames_of(moving[:40]) == 1
    assert frames_of(corpus.sample(format)) == 1


def test_a_file_cannot_have_more_frames_than_it_has_room_for() -> None:
    png, avif = (clips.file(format, clips.frames(7)) for format in ("PNG", "AVIF"))
    at, sizes = png.index(b"acTL") + 4, avif.index(b"stsz") + 12
    assert frames_of(png[:at] + b"\xff" * 4 + png[at + 4 :]) == 7
    assert frames_of(avif[:sizes] + b"\xff" * 4 + avif[sizes + 4 :]) <= len(avif) // 4


SAMPLES = [
    *(corpus.sample(format) for format in headers.Format),
    *(clips.file(format, clips.frames(3)) for format in ("GIF", "WEBP", "PNG", "AVIF")),
    corpus.saved(corpus.scene(), "JPEG", exif=corpus.exif_block(3, 1, b"\6\0\0\0")),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SAMPLES), st.floats(0, 1), st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=4))))
def test_a_cut_or_changed_file_is_read_to_its_end_at_most(
    data: bytes, share: float, changes: list[tuple[int, bytes]]
) -> None:
    hostile = bytearray(data[: round(share**3 * len(data))])  # mostly short: headers stand at the beginning
    for at, new in changes:
        hostile[at : at + len(new)] = new
    data = bytes(hostile)
    assert 1 <= frames_of(data) <= max(1, len(data) // 4)
    assert 1 <= headers.orientation(data[data.find(b"Exif") :]) <= 8
    assert headers.is_lossless(data) in {False, True}
    if format := headers.sniff(data):
        with contextlib.suppress(PictureDamaged, struct.error, IndexError):
            size = headers.size_of(format, data)
            assert size is None or min(size) >= 0


def test_frames_of_a_file_that_ends_early_and_of_endless_blocks_are_counted() -> None:
    moving = clips.file("GIF", clips.frames(7))
    assert 2 <= frames_of(moving[: len(moving) * 3 // 4]) < 7
    assert frames_of(moving[:-1] + b"!\0\0" * 2**20 + moving[800:]) == 7
