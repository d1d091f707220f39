"""The kinds of pictures that are made of a job's pictures. In a module of its own, so that the bot loads no Pillow."""

from typing import Literal

Composition = Literal["thumbnail", "comparison", "webp", "gif"]
"""``thumbnail``: a small JPEG of one picture. ``comparison``: a JPEG of a photo and its painting, side by side.
``webp`` and ``gif``: a timelapse, an animation that ends with the painting.
"""
