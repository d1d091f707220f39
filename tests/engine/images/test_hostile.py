"""The short form of :mod:`tests.engine.images.fuzz`, and that the decoder's process refuses nothing that could be
decoded.
"""

import itertools

import pytest

from engine.images.codec import decode
from engine.images.decoder import Decoder
from tests.engine.images import bombs
from tests.engine.images.fuzz import run
from tests.engine.images.hostile import Input, mutations, systematic
from tests.engine.images.test_decoder import outcome

LIGHT = ("PNG, inflating texts", "PNG, endless EXIF", "JPEG, 64 megapixels", "JPEG, only a header",
         "JPEG, profile in parts", "GIF, 64 megapixels", "GIF, 10,000 frames", "GIF, comment in long blocks",
         "WEBP, canvas", "AVIF, understated", "BMP, endless palette", "BMP, far jumps")  # fmt: skip
"""A bomb of each kind, of those that are made and decoded in a second."""


def test_hostile_files_hurt_neither_worker_nor_machine() -> None:
    made = (Input("bomb", name, bombs.made(name)) for name in (*bombs.OVER, *LIGHT))
    inputs = itertools.chain(made, itertools.islice(systematic(), 0, None, 9), itertools.islice(mutations(1), 500))
    with Decoder() as decoder:
        report = run(inputs, decoder)
    assert report.inputs > 1_500
    assert report.crashes == []
    # A machine that is busy enough may come to the end of a bomb's deadline, but nothing else gets near it.
    assert not [death for death in report.deaths if not death.startswith("bomb: ")]
    assert {"decoded", "PictureDamaged", "PictureTooLarge", "NotAPicture", "PictureTooSmall"} <= report.outcomes.keys()


@pytest.mark.parametrize("kind", ["broken EXIF", "broken ICC", "absurd colours", "polyglot", "not a picture"])
def test_a_hostile_file_is_to_the_confined_decoder_what_it_is_to_any(kind: str) -> None:
    """Confined, it can open no file and import no module, which must make no difference."""
    inputs = [each for each in systematic() if each.kind == kind]
    with Decoder() as decoder:
        for each in inputs[:: max(1, len(inputs) // 60)]:
            there = outcome(lambda data=each.data: decoder.decode(data))  # type: ignore[misc]
            assert there == outcome(lambda data=each.data: decode(data)), each.name  # type: ignore[misc]
