"""The kinds of files that are recognised and refused."""

import pytest
from PIL import Image

from engine.errors import NotAPicture
from engine.images.codec import decode
from engine.images.kinds import KINDS
from tests.engine.images import corpus

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


def box(brand: bytes, *compatible: bytes) -> bytes:
    """The first box of an ISO base media file."""
    brands = brand + bytes(4) + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(200)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (box(b"heic", b"mif1", b"heic"), "HEIC"),
        (box(b"mif1", b"mif1", b"heic"), "HEIC"),
        (box(b"heix", b"mif1", b"heix", b"MiHE"), "HEIC"),
        (box(b"hevc", b"msf1", b"hevc"), "HEIC"),
        (box(b"isom", b"isom", b"avc1"), "video"),
        (box(b"qt  ", b"qt  "), "video"),
        (box(b"crx ", b"crx ", b"isom"), "camera's raw"),
        (b"\x1aE\xdf\xa3" + bytes(99), "video"),
        (b"RIFF\x24\0\0\0AVI LIST" + bytes(99), "video"),
        (corpus.saved(corpus.scene(), "TIFF"), "TIFF"),
        (b"MM\0*" + bytes(99), "TIFF"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(99), "camera's raw"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(99), "camera's raw"),
        (b"\xff\x0a" + bytes(99), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), "JPEG XL"),
        (corpus.saved(corpus.scene(), "JPEG2000"), "JPEG 2000"),
        (corpus.saved(corpus.scene(), "PDF"), "PDF"),
        (corpus.saved(corpus.scene(), "EPS"), "EPS"),
        (corpus.saved(Image.new("RGB", (32, 32)), "ICO"), "icon"),
        (b"8BPS\0\1" + bytes(64), "Photoshop"),
        (SVG, "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n" + SVG, "SVG"),
        (b"<!DOCTYPE html><html><body>" + SVG + b"</body></html>", "web page"),
        (b"\n<HTML lang=en>", "web page"),
        *((corpus.saved(corpus.scene(), format), "") for format in ("PCX", "PPM", "TGA")),
        (b"GIF90a" + bytes(64), ""),
        (b"RIFF\x24\0\0\0WAVEfmt " + bytes(64), ""),
        (b"BMW builds cars, and this is a text about them.", ""),
        (b"<note>a text</note>", ""),
        (b"MZ" + bytes(99), ""),
        (b"B", ""),
        (b"", ""),
    ],
)
def test_the_error_names_the_kind_of_the_file(data: bytes, kind: str) -> None:
    with pytest.raises(NotAPicture) as refused:
        decode(data)
    assert refused.value.kind == kind
    assert kind in KINDS
