"""How OpenMP's threads wait, as the library reports when it is loaded (``OMP_DISPLAY_ENV``)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only GNU's library tells")

ROOT = Path(__file__).parents[3]
NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
WORKER = """
import asyncio, sys

from engine.executor.executor import DaskExecutor
from engine.worker.protocol import WorkerSettings


async def main():
    async with DaskExecutor.open(WorkerSettings(device="cpu", threads=1, blobs=sys.argv[1])) as executor:
        await executor.workers()


if __name__ == "__main__":
    asyncio.run(main())
"""

LIBRARY = """
import ctypes, importlib.util, pathlib

from engine.runtime.openmp import spin_briefly

spin_briefly()
(torch,) = importlib.util.find_spec("torch").submodule_search_locations
(library,) = pathlib.Path(torch, "lib").glob("libgomp*")
ctypes.CDLL(str(library))
"""
"""Loads torch's OpenMP without torch, which takes seconds."""


def reporting_openmp() -> dict[str, str]:
    """An environment without settings of OpenMP, which reports those that it uses."""
    inherited = {name: value for name, value in os.environ.items() if name not in NAMES}
    return inherited | {"PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "verbose"}


def told(folder: Path, *command: str, **environment: str) -> str:
    """OpenMP's report in a process with no settings except ``environment``."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=reporting_openmp() | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "OPENMP DISPLAY ENVIRONMENT" in done.stderr
    return done.stderr


def test_a_worker_spins_briefly(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(WORKER, encoding="utf-8")
    assert "GOMP_SPINCOUNT = '1000'" in told(tmp_path, "start.py", str(tmp_path))


@pytest.mark.parametrize(
    ("operators_own", "spins"),
    [({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0"), ({"KMP_BLOCKTIME": "5"}, "300000")],
)
def test_a_setting_of_the_operator_is_unchanged(operators_own: dict[str, str], spins: str, tmp_path: Path) -> None:
    """300,000 is the library's default."""
    assert f"GOMP_SPINCOUNT = '{spins}'" in told(tmp_path, "-c", LIBRARY, **operators_own)


def test_this_process_spins_briefly() -> None:
    assert any(name in os.environ for name in NAMES)
