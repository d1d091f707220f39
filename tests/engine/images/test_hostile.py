"""A sample of the inputs of :mod:`tests.engine.images.fuzz`. The confinement makes no difference to the results."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from engine.images.codec import decode
from engine.images.decoder import Decoder
from tests.engine.images import bombs
from tests.engine.images.fuzz import run
from tests.engine.images.hostile import Input, colours, flips, metadata, mutations, polyglots, sizes, truncations
from tests.engine.images.test_decoder import outcome

LIGHT = ("PNG, endless EXIF", "JPEG, 64 megapixels", "JPEG, only a header", "JPEG, profile in parts",
         "GIF, 64 megapixels", "GIF, 10,000 frames", "GIF, comment in long blocks", "WEBP, canvas",
         "AVIF, understated", "BMP, endless palette", "BMP, far jumps")  # fmt: skip
"""Bombs that are made and decoded within about a second. Other tests have those over the limits and in texts."""


@pytest.mark.slow
def test_hostile_files_crash_no_worker() -> None:
    made = (Input("bomb", name, bombs.made(name)) for name in LIGHT)
    # The test below has the other kinds. 17 and 100 have no common factor, so the cuts of the seeds differ.
    broken = itertools.islice(itertools.chain(truncations(), flips(), sizes()), 0, None, 17)
    with Decoder() as decoder:
        report = run(itertools.chain(made, broken, itertools.islice(mutations(1), 250)), decoder)
    assert report.inputs > 850
    assert report.crashes == []
    # On a busy machine a bomb may reach the deadline; nothing else comes near it.
    assert not [death for death in report.deaths if not death.startswith("bomb: ")]
    assert {"decoded", "PictureDamaged", "PictureTooLarge", "NotAPicture", "PictureTooSmall"} <= report.outcomes.keys()


@pytest.mark.parametrize(("made", "step"), [(metadata, 13), (colours, 4), (polyglots, 7)])
def test_the_confined_decoder_gives_the_same_result_for_a_hostile_file(
    made: Callable[[], Iterator[Input]], step: int
) -> None:
    """It cannot open files or import modules, which must make no difference."""
    with Decoder() as decoder:
        for each in itertools.islice(made(), 0, None, step):
            assert outcome(partial(decoder.decode, each.data)) == outcome(partial(decode, each.data)), each.name
