"""Short runs of the simulation: assertions that hold at any speed of the machine."""

import asyncio

import pytest

from tests.benchmarks.simulation import placing, shards
from tests.postgresql import programs


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_three_bots_on_one_database_deliver_each_job_once(database: shards.Kind) -> None:
    if database == "postgresql" and programs() is None:
        pytest.skip("PostgreSQL is not installed")
    case = shards.Case(
        database, bots=3, workers=6, seconds=0.3, waiting=6, measured=0.5, every=0.1, jobs=10, starting=0
    )
    told = await asyncio.to_thread(lambda: asyncio.run(shards.measure(case)))
    assert (told.accepted, told.lost, told.delivered_twice, told.failed) == (30, 0, 0, 0)


@pytest.mark.parametrize("bots", [1, 4])
def test_placement_ends_jobs_sooner_than_the_first_free_worker(bots: int) -> None:
    first, placed = (
        placing.Simulation(placing.Case(policy, 0.5, bots=bots, seconds=400.0, warm=100.0)).run()
        for policy in ("first free", "soonest, idle first")
    )
    assert placed.mean < first.mean / 2
    # The two differ by a few jobs that began just before the end.
    assert placed.busy > 0.97 * first.busy


@pytest.mark.parametrize(("gpus", "cpus", "bots"), [(10, 90, 4), (2, 18, 1), (1, 3, 4), (0, 20, 1)])
def test_placement_leaves_no_worker_idle_while_jobs_wait(gpus: int, cpus: int, bots: int) -> None:
    placed = placing.Simulation(
        placing.Case("soonest, idle first", None, gpus, cpus, bots=bots, seconds=600.0, warm=200.0)
    ).run()
    assert placed.busy > 0.97
