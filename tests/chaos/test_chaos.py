"""The short form of ``python -m tests.chaos``: minutes of an operator's worst day in one."""

from pathlib import Path

import pytest

from tests.chaos.run import Scenario, run


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_accepted_job_is_lost_or_answered_twice_whatever_is_killed(tmp_path: Path) -> None:
    """Bots, a worker and the scheduler die under a handful of jobs while Discord fails: each job has its one answer."""
    scenario = Scenario(jobs=8, members=4, minutes=0.4, settle=120, kill_every=2.0, fault_every=6.0)

    report = await run(scenario, tmp_path)

    assert report.findings == []
    assert report.jobs > 0
    assert sum(report.kills.values()) > 0
