"""The short form of ``python -m tests.benchmarks.load``: counts and places, no times."""

import pytest

from tests.benchmarks.load import measure


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_every_member_is_acknowledged_sees_the_correct_place_and_gets_a_picture() -> None:
    """Fifty members invoke at once and go on until there were 200 jobs."""
    report = await measure(members=50, jobs=200)

    assert report.unacknowledged == report.refused == 0
    assert report.places == 55
    assert report.wrong_places == 0
    assert report.delivered == report.jobs >= 200
