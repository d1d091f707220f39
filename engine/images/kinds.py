"""Recognises files of other kinds than pictures, so that the error message can say what to do."""

from typing import Final

KINDS: Final = (
    "",
    "HEIC",
    "video",
    "web page",
    "SVG",
    "PDF",
    "EPS",
    "TIFF",
    "camera's raw",
    "JPEG XL",
    "JPEG 2000",
    "Photoshop",
    "icon",
)
"""The kinds that are recognised; empty for any other."""

_MARKS: Final = (
    (b"%PDF-", "PDF"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"FUJIFILMCCD-RAW", "camera's raw"),
    (b"IIRO", "camera's raw"),
    (b"IIRS", "camera's raw"),
    (b"IIU\0", "camera's raw"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "icon"),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"FLV\1", "video"),
    (b"\0\0\1\xba", "video"),
    (b"\0\0\1\xb3", "video"),
)
_RAW_OF_CANON: Final = b"CR\x02"
_STILL_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_QUICKTIME: Final = frozenset({b"moov", b"mdat", b"wide"})
_TEXT: Final = 4096
"""Bytes at the start of a text that are searched for its kind."""


def kind_of(data: bytes) -> str:  # noqa: PLR0911 - one return for each kind is the clearest form
    """One of :data:`KINDS`."""
    for mark, kind in _MARKS:
        if data.startswith(mark):
            return "camera's raw" if kind == "TIFF" and data[8:11] == _RAW_OF_CANON else kind
    if data[4:8] == b"ftyp":  # ISO/IEC 14496-12: the first brand says how the file is best taken
        if data[8:12] == b"crx ":
            return "camera's raw"
        return "HEIC" if data[8:12] in _STILL_BRANDS else "video"
    if data[4:8] in _QUICKTIME or (data.startswith(b"RIFF") and data[8:12] == b"AVI "):
        return "video"
    text = data[:_TEXT].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<"):
        if b"<svg" in text and b"<html" not in text:
            return "SVG"
        if text.startswith(b"<!doctype html") or b"<html" in text:
            return "web page"
    return ""
