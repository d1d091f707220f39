"""Compressed gateway frames: one stream for the whole connection, flushed after each (Discord: Gateway, Compression).

discord.py asks for Zstandard where its Python has it (from 3.14, or with the package ``zstandard``), else for zlib.
"""

import importlib
import zlib
from collections.abc import Callable

Compress = Callable[[bytes], bytes]


def _zlib_stream() -> Compress:
    stream = zlib.compressobj()
    return lambda frame: stream.compress(frame) + stream.flush(zlib.Z_SYNC_FLUSH)


def _zstandard_stream() -> Compress:
    library = importlib.import_module("zstandard")
    stream = library.ZstdCompressor().compressobj()
    return lambda frame: bytes(stream.compress(frame) + stream.flush(library.COMPRESSOBJ_FLUSH_BLOCK))


def _standard_library_zstd_stream() -> Compress:
    library = importlib.import_module("compression.zstd")
    stream = library.ZstdCompressor()
    return lambda frame: bytes(stream.compress(frame, mode=stream.FLUSH_BLOCK))


_STREAMS: dict[str, tuple[Callable[[], Compress], ...]] = {
    "zlib-stream": (_zlib_stream,),
    "zstd-stream": (_standard_library_zstd_stream, _zstandard_stream),
}


def stream(name: str) -> Compress | None:
    """Begin a stream of the kind that the gateway's address names; None where this Python can't make it."""
    for begin in _STREAMS.get(name, ()):
        try:
            return begin()
        except ImportError:
            continue
    return None
