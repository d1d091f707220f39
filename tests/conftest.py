"""What tests of several rooms share: one cluster of real workers for the whole run."""

from collections.abc import Iterator

import dask
import pytest
from distributed import LocalCluster

from engine.worker import THREADS, WorkerSettings, worker_options

pytest_plugins = ["tests.forks", "tests.postgresql", "tests.watchdog"]

WORKER = WorkerSettings(device="cpu", precision="float32", threads=1)


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with one painting worker, as an operator would start them."""
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                "distributed.deploy.lost-worker-timeout": "5 minutes",
            }
        ),
        LocalCluster(
            n_workers=1,
            threads_per_worker=THREADS,
            processes=True,
            dashboard_address="127.0.0.1:0",
            **worker_options(WORKER),
        ) as cluster,
    ):
        yield cluster.scheduler_address
