"""The duties of process 1 in a container."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]

AS_PROCESS_1 = """
import os, signal, sys, time
from engine.cluster.signals import reap_as_process_1
reap_as_process_1()
assert os.getpid() != 1
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
read, write = os.pipe()
if not (middle := os.fork()):
    middle = os.getpid()
    if not (orphan := os.fork()):
        while os.getppid() == middle:
            time.sleep(0.01)
        os._exit(0)
    os.write(write, str(orphan).encode())
    os._exit(0)
os.waitpid(middle, 0)
orphan = int(os.read(read, 20))
while True:
    try:
        os.kill(orphan, 0)
    except ProcessLookupError:
        break
    time.sleep(0.05)
print("reaped", flush=True)
signal.pause()
"""


async def test_process_1_reaps_orphans_and_forwards_signals() -> None:
    """In a new process namespace, as in a container."""
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", sys.executable, "-c"),
        AS_PROCESS_1,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(20):
        if not await process.stdout.readline():
            told = (await process.stderr.read()).decode()
            if "unshare" in told:
                pytest.skip(told)
            raise AssertionError(told)
        (first,) = psutil.Process(process.pid).children()
        first.terminate()
        assert await process.wait() == 7
