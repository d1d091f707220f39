"""What tests of several rooms share: one cluster of real workers, and one database server, for the whole run."""

from collections.abc import Iterator

import dask
import pytest
from distributed import LocalCluster

from engine.worker import PAINT

pytest_plugins = ["tests.postgresql"]


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with one painting worker, as an operator would start them."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=True,
            resources={PAINT: 1},
            memory_limit=None,
            dashboard_address=None,
        ) as cluster,
    ):
        yield cluster.scheduler_address
