"""The library on both databases and a real blob store."""

import asyncio
import os

import pytest

from bot.jobs.database.styles import Library
from bot.jobs.errors import StyleNameTaken, StyleNameUnusable, TooManyStyles
from bot.library.built_in import BUILT_IN, PICTURES, TRAINED
from bot.library.library import LibraryPolicy, Reader, StyleLibrary, cleaned, reference
from engine.errors import AtelierError
from engine.networks.file import NetworkFile
from tests.bot.jobs.conftest import ANN, JobHarness, opened

MINE = Library("member", ANN)
READER = Reader(ANN, 7)


def age(harness: JobHarness) -> None:
    """Make all blobs too old to be protected by their age."""
    folder = harness.blobs.folder
    assert folder is not None
    for blob in harness.blobs:
        os.utime(folder / blob.name[:2] / blob.name, (0, 0))


async def test_a_picture_is_kept_while_its_style_or_a_job_needs_it(harness: JobHarness) -> None:
    library = StyleLibrary(harness.store, harness.storage, harness.executor, LibraryPolicy())
    for name in ("Waves", "Sky"):
        await library.add(MINE, name, name.encode(), ANN)
    async with harness.running():
        _, painting = await harness.accept_and_paint(ANN, b"photo")
        await harness.accept(ANN, b"photo 2", b"Waves")
        age(harness)
        await harness.storage.sweep()
        assert {b"Waves", b"Sky"} < harness.kept()
        for name in ("waves", "sky"):
            await library.remove(name, READER)
        await harness.storage.sweep()
        assert b"Waves" in harness.kept()
        assert b"Sky" not in harness.kept()
        painting.finish()
        assert (await harness.executor.painting(2)).styles == [b"Waves"]
        harness.executor.paintings[1].finish()


async def test_concurrent_additions_cannot_share_a_name_or_exceed_the_limit(harness: JobHarness, url: str) -> None:
    async with opened(url) as other_store:
        libraries = [
            StyleLibrary(each, harness.storage, harness.executor, LibraryPolicy(max_per_member=2))
            for each in (harness.store, other_store)
        ]

        async def add(*names: str) -> list[type[AtelierError]]:
            adding = (library.add(MINE, name, b"picture", ANN) for library, name in zip(libraries, names, strict=True))
            ends = await asyncio.gather(*adding, return_exceptions=True)
            return [type(end) for end in ends if isinstance(end, AtelierError)]

        assert await add("Straße", "STRASSE") == [StyleNameTaken]
        assert await add("Waves", "Sky") == [TooManyStyles]
        assert len(await libraries[0].search("", READER, 25, built_in=False)) == 2


async def test_the_search_lists_names_that_begin_with_the_text_first_and_has_no_wildcards(harness: JobHarness) -> None:
    library = StyleLibrary(harness.store, harness.storage, harness.executor, LibraryPolicy())
    for name in ("Old sea", "Seaside", "100 % oil", "1000 oils"):
        await library.add(MINE, name, b"picture", ANN)
    await library.add(Library("server", 7), "Sea", b"picture", ANN)
    await library.add(Library("server", 8), "Sea elsewhere", b"picture", ANN)

    async def found(text: str) -> list[str]:
        return [each.name for each in await library.search(text, READER, 25, built_in=False)]

    assert await found("SEA") == ["Seaside", "Sea", "Old sea"]
    assert await found("100 %") == ["100 % oil"]
    assert await found("_") == []
    assert await found("\x00\ud800") == ["100 % oil", "1000 oils", "Old sea", "Seaside", "Sea"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [(" ##a\n b\u202e ", "a b"), ("e\u0301", "é"), ("👩‍🎨", "👩‍🎨"), ("x" * 50, "x" * 50)],
)
def test_names_are_cleaned(name: str, shown: str) -> None:
    assert cleaned(name) == shown


@pytest.mark.parametrize("name", ["", " # ", "\u200d\u0301", "x" * 51, "\ufdfa" * 50])
def test_unreadable_names_are_refused(name: str) -> None:
    with pytest.raises(StyleNameUnusable):
        cleaned(name)


def test_each_built_in_style_has_its_picture() -> None:
    assert {each.file.name for each in BUILT_IN} == {each.name for each in PICTURES.glob("*.jpg")}
    assert (
        len({reference(each) for each in BUILT_IN}) == len({each.name.casefold() for each in BUILT_IN}) == len(BUILT_IN)
    )
    assert sum(each.file.stat().st_size for each in BUILT_IN) <= 1_500_000


def test_a_network_paints_some_of_the_built_in_styles() -> None:
    assert TRAINED.stat().st_size <= 8_000_000
    painted = {each.id: network for each in BUILT_IN if (network := each.network())}
    assert {NetworkFile.read(each).card.styles[0] for each in painted.values()} == {
        "Gold leaf",
        "Linocut",
        "Mosaic",
        "Risograph",
    }
