"""An executor with an embedded worker. It takes seconds to start, so the tests of a module share it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
import pytest_asyncio

from engine.blobs import Blobs
from engine.executor.executor import DaskExecutor
from engine.executor.remote_painting import RemotePainting
from engine.images.limits import Limits
from engine.recipe import Inputs, Recipe
from engine.worker.protocol import WorkerSettings
from tests.engine.following import eventually
from tests.engine.images import corpus

CONTENT = corpus.saved(corpus.scene(), "PNG")
STYLE = corpus.saved(corpus.stripes(), "PNG")
CONTENT_NAME, STYLE_NAME = (sha256(data).hexdigest() for data in (CONTENT, STYLE))
SETTINGS = WorkerSettings(
    device="cpu", precision="float32", threads=1, memory=2 * 2**30, limits=Limits(pixels=3_000_000)
)
ENDLESS = Recipe(size=64, steps=10_000)


@pytest.fixture(scope="module")
def blobs(place: str) -> Blobs:
    """The blob store of a module, with the two pictures."""
    blobs = Blobs(place)
    assert (blobs.put(CONTENT), blobs.put(STYLE)) == (CONTENT_NAME, STYLE_NAME)
    return blobs


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded(blobs: Blobs) -> AsyncIterator[DaskExecutor]:
    """An executor with an embedded worker."""
    async with DaskExecutor.open(replace(SETTINGS, blobs=blobs.url)) as executor:
        yield executor


BEGUN: list[RemotePainting] = []


@pytest_asyncio.fixture(loop_scope="module")
async def no_paintings_left() -> AsyncIterator[None]:
    """Cancels the paintings of a test that failed, so that the next test does not wait for them."""
    yield
    while BEGUN:
        await BEGUN.pop().cancel()


def begin(
    executor: DaskExecutor,
    recipe: Recipe = ENDLESS,
    content: str = CONTENT_NAME,
    styles: Sequence[str] = (STYLE_NAME,),
    mask: str | None = None,
    **options: Any,
) -> RemotePainting:
    BEGUN.append(executor.submit(recipe, Inputs(content, tuple(styles), mask), **options))
    return BEGUN[-1]


async def process(executor: DaskExecutor) -> int:
    """Wait until there is a worker, and return its process id."""
    found: list[int] = []

    async def there() -> bool:
        found[:] = [each.process for each in await executor.workers()]
        return bool(found)

    await eventually(there)
    (one,) = found
    return one
