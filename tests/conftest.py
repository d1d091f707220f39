"""What tests of several rooms share: one cluster of real workers for the whole run."""

from collections.abc import Iterator
from dataclasses import replace

import dask
import hypothesis
import pytest
from distributed import LocalCluster

from engine.worker.plugin import THREADS, worker_options
from engine.worker.protocol import WorkerSettings

# A test never asserts a time: on a busy machine an example may take long.
hypothesis.settings.register_profile("atelier", deadline=None)
hypothesis.settings.load_profile("atelier")

pytest_plugins = ["tests.forks", "tests.postgresql", "tests.watchdog"]

WORKER = WorkerSettings(device="cpu", precision="float32", threads=1)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the worker of :func:`scheduler` has pictures and checkpoints."""
    return str(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="session")
def scheduler(place: str) -> Iterator[str]:
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
            **worker_options(replace(WORKER, blobs=place)),
        ) as cluster,
    ):
        yield cluster.scheduler_address
