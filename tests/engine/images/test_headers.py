"""Headers, which are read without a decoder."""

import struct

import pytest

from engine.errors import PictureDamaged
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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_an_orientation_is_one_16_bit_number_in_either_byte_order(format: str) -> None:
    def turned(exif: bytes) -> bool:
        return decode(corpus.saved(corpus.scene(), format, exif=exif)).rgb.size == (64, 96)

    assert turned(corpus.exif_block(3, 1, b"\6\0\0\0"))
    assert turned(corpus.exif_block(3, 1, b"\0\6\0\0", "big"))
    for exif in (
        b"Exif\0\0",
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09",
        corpus.exif_block(3, 1, b"\0\0\0\0"),
        corpus.exif_block(3, 1, b"\x09\0\0\0"),
        corpus.exif_block(3, 1, b"\6\0\0\0", "big"),
        corpus.exif_block(3, 2, b"\6\0\6\0"),
        corpus.exif_block(4, 1, b"\6\0\0\0"),
        corpus.exif_block(1, 1, b"\6\0\0\0"),
        corpus.exif_block(2, 2, b"6\0\0\0"),
    ):
        assert not turned(exif), exif


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_frames_are_counted_without_a_decoder(format: str) -> None:
    moving = clips.file(format, clips.frames(7))
    assert frames_of(moving) == 7
    assert frames_of(moving[:40]) == 1
    assert frames_of(corpus.sample(format)) == 1


def test_frames_of_a_file_that_ends_early_and_of_endless_blocks_are_counted() -> None:
    moving = clips.file("GIF", clips.frames(7))
    assert 2 <= frames_of(moving[: len(moving) * 3 // 4]) < 7
    assert frames_of(moving[:-1] + b"!\0\0" * 2**20 + moving[800:]) == 7
