"""What a picture from outside may measure. In a module of its own, so that the bot loads no decoder."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What a picture from outside may measure: ``bytes`` of its file, ``pixels`` in all, pixels of its longer
    ``side``, ``least``, the pixels that its shorter side must have, and ``aspect``, how many times its shorter side
    the longer one may be. Checked before any pixel is decoded.
    """

    bytes: int = 16 * 2**20
    pixels: int = 64_000_000
    side: int = 16_384
    least: int = 32
    aspect: int = 8
