"""A short run of ``python -m tests.chaos``."""

from pathlib import Path

import pytest

from tests.chaos.run import Scenario, run


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_accepted_job_is_lost_or_answered_twice_under_kills_and_faults(tmp_path: Path) -> None:
    """Bots, a worker and the scheduler are killed and Discord fails, and each job has exactly one answer."""
    scenario = Scenario(jobs=8, members=4, minutes=0.4, settle=120, kill_every=2.0, fault_every=6.0)

    report = await run(scenario, tmp_path)

    assert report.findings == []
    assert report.jobs > 0
    assert sum(report.kills.values()) > 0
