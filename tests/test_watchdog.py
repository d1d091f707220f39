"""Runs of pytest that would never end, each a process of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
timeout = 0.2
timeout_grace = 1
"""
LOST = """
import asyncio, time

async def busy():
    while True:
        time.sleep(0.01)
        await asyncio.sleep(0)

async def test_hangs():
    tasks = [asyncio.create_task(busy()) for _ in range(3)]  # one of them gets the exception
    await forever()

async def forever():
    await asyncio.Event().wait()
"""
STUBBORN = """
import asyncio, pytest_asyncio, pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def thing():
    yield
    await forever()

async def test_hangs(thing):
    assert "first" == "fault"

async def forever():
    await asyncio.Event().wait()
"""
DEAF = """
import collections, itertools

def forever():
    collections.deque(itertools.repeat(0), maxlen=0)  # hears no signal, and lets no other thread run

def test_hangs():
    forever()
"""
LEFT = """
import threading

def test_leaves_a_thread():
    threading.Thread(target=forever).start()

def forever():
    threading.Event().wait()
"""
NAMES = "in test_it.py::test_hangs"
RUNS = {
    "an exception that is lost": (LOST, [NAMES, "test_it.py:14 in forever"]),
    "a fixture after a failure": (STUBBORN, [NAMES, "assert 'first' == 'fault'"]),
    "a thread that lets no other run": (DEAF, ['test_it.py", line 5 in forever']),
    "a thread at the end": (LEFT, ["in what comes after the tests", 'test_it.py", line 8 in forever']),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, "subprocess.Popen[str]"]]:
    """All of them, side by side."""
    plugins = ("-p", "tests.watchdog", "-p", "no:cacheprovider", "-p", "no:randomly")
    with contextlib.ExitStack() as stack:
        begun = {}
        for name, (code, _) in RUNS.items():
            folder = tmp_path_factory.mktemp("run")
            (folder / "pytest.ini").write_text(SETTINGS)
            (folder / "test_it.py").write_text(code)
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *plugins, folder],
                cwd=Path(__file__).parents[1],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            begun[name] = stack.enter_context(process)
            stack.callback(process.kill)
        yield begun


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_hangs_ends_and_says_where(runs: Mapping[str, "subprocess.Popen[str]"], name: str) -> None:
    told, _ = runs[name].communicate(timeout=60)
    assert runs[name].returncode == 1
    _, expected = RUNS[name]
    for words in (*expected, "most recent call first"):
        assert words in told
