"""The limits for pictures from outside. In a module of its own, so that the bot loads no decoder."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for a picture from outside. They are checked before any pixel is decoded."""

    bytes: int = 16 * 2**20
    """The largest file."""
    pixels: int = 64_000_000
    """The largest width times height."""
    side: int = 16_384
    """The longest side in pixels."""
    least: int = 32
    """The shortest side in pixels."""
    aspect: int = 8
    """The largest ratio of the longer side to the shorter one."""
