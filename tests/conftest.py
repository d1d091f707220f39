"""Fixtures for several packages: one cluster with a real worker for each pytest process, and free ports."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import dask
import hypothesis
import pytest
from distributed import LocalCluster

from engine.worker.plugin import THREADS, worker_options
from engine.worker.protocol import WorkerSettings
from tests.ports import free_port

# No test asserts a time: on a busy machine an example may take long.
hypothesis.settings.register_profile("atelier", deadline=None)
hypothesis.settings.load_profile("atelier")

pytest_plugins = ["tests.browser", "tests.forks", "tests.postgresql"]

WORKER = WorkerSettings(device="cpu", precision="float32", threads=1)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Three processes for the whole suite, which often waits; only this process for a part of the suite."""
    return 3 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


@pytest.fixture
def unused_tcp_port() -> int:
    """A free port that no outgoing connection of another process can take, unlike pytest-asyncio's."""
    return free_port()


@pytest.fixture
def unused_tcp_port_factory() -> Callable[[], int]:
    """A function that returns further free ports."""
    return free_port


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The blob folder of the worker of :func:`scheduler`."""
    return str(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="session")
def scheduler(place: str) -> Iterator[str]:
    """The address of a scheduler with one worker, started like an operator's."""
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
