"""Simulated workers that sleep instead of painting, shared by several bot processes, and a bot's executor for them.

``python -m tests.benchmarks.simulation.cluster JSON`` is one process with all workers. It exchanges lines of JSON over
a socket. Its CPU time counts neither for the bots nor for the database.
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.blobs import Blobs
from engine.progress import Progress, Result
from engine.recipe import Inputs, Recipe
from tests.doubles.executor import FakeExecutor, FakePainting

PREVIEW = bytes(2000)
SPREAD = 0.25
"""The spread of the painting times around the mean. With equal times, all paintings would end at the same time."""


@dataclass(frozen=True)
class Setting:
    """The settings of the workers."""

    socket: str
    blobs: str
    out: str
    workers: int
    seconds: float
    """The mean time of a painting."""
    every: float
    """Seconds between two events of a painting."""


@dataclass(frozen=True)
class Stint:
    """One painting of one worker."""

    begun: float
    """Unix time."""
    planned: float
    idle: float
    """The seconds for which the worker was idle before it."""


class Workers:
    """All workers. A new painting gets the worker that has been idle for longest, or waits in a queue."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.stints: list[Stint] = []
        self._blobs = Blobs(setting.blobs)
        self._free = deque([time.time()] * setting.workers)
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._random = random.Random(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the connection of one bot."""
        paintings: dict[int, asyncio.Task[None]] = {}
        while line := await reader.readline():
            told = json.loads(line)
            if "paint" in told:
                number = told["paint"]
                paintings[number] = asyncio.create_task(self._paint(number, told["content"], writer))
                paintings[number].add_done_callback(partial(_forget, paintings, number))
            elif told["cancel"] in paintings:
                paintings[told["cancel"]].cancel()
        for task in list(paintings.values()):
            task.cancel()

    async def _paint(self, number: int, content: str, writer: asyncio.StreamWriter) -> None:
        def tell(**fields: Any) -> None:
            writer.write(json.dumps({"of": number} | fields).encode() + b"\n")

        if self._free:
            since = self._free.popleft()
        else:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                since = await waiting
            except asyncio.CancelledError:
                if waiting.done() and not waiting.cancelled():
                    self._release()
                elif waiting in self._waiting:
                    self._waiting.remove(waiting)
                raise
        begun = time.time()
        planned = self.setting.seconds * (1 + SPREAD * (2 * self._random.random() - 1))
        steps = max(1, round(planned / self.setting.every))
        try:
            for step in range(1, steps + 1):
                await asyncio.sleep(begun + planned * step / steps - time.time())
                checkpoint = None
                if step == steps // 2:
                    checkpoint = await asyncio.to_thread(self._blobs.put, f"checkpoint of {content}".encode())
                tell(step=step, steps=steps, elapsed=time.time() - begun, checkpoint=checkpoint)
        finally:
            ended = time.time()
            self.stints.append(Stint(begun, planned, begun - since))
            self._release()
        tell(seconds=ended - begun)

    def _release(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(time.time())
                return
        self._free.append(time.time())


class SimulatedExecutor(FakeExecutor):
    """A bot's executor, whose paintings are made by :class:`Workers` in another process."""

    def __init__(self, blobs: Blobs, workers: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(blobs)
        self.cluster_id = "the simulated cluster"
        self.slots_now = workers
        self._writer = writer
        self._open: dict[int, FakePainting] = {}
        self._begun = 0
        self._listening = asyncio.create_task(self._listen(reader))

    def submit(self, recipe: Recipe, inputs: Inputs[str], **_: Any) -> FakePainting:
        """Send a painting to the workers."""
        self._begun += 1
        painting = self._open[self._begun] = FakePainting(recipe)
        painting.end.add_done_callback(partial(self._ended, self._begun))
        self._send(paint=self._begun, content=inputs.content)
        return painting

    def _ended(self, number: int, end: asyncio.Future[Result]) -> None:
        del self._open[number]
        if end.exception() is not None:  # it was cancelled or paused
            self._send(cancel=number)

    def _send(self, **fields: Any) -> None:
        self._writer.write(json.dumps(fields).encode() + b"\n")

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            message = json.loads(line)
            painting = self._open.get(message["of"])
            if painting is None or painting.ended:
                continue
            if "seconds" in message:
                painting.finish(f"picture {message['of']}".encode(), seconds=message["seconds"])
                continue
            step, steps, elapsed = message["step"], message["steps"], message["elapsed"]
            remaining = elapsed * (steps - step) / step
            preview = PREVIEW if step % 8 == 4 else None
            progress = Progress(step, steps, 512, 1.0, 0.5, 0.5, elapsed, remaining, preview, message["checkpoint"])
            painting.publish(progress)


def _forget(paintings: dict[int, asyncio.Task[None]], number: int, _task: asyncio.Task[None]) -> None:
    del paintings[number]


async def _serve(setting: Setting) -> list[Stint]:
    workers = Workers(setting)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with await asyncio.start_unix_server(workers.serve, setting.socket):
        await stopped.wait()
        return workers.stints


def main() -> None:
    """Serve until SIGTERM, then write what was painted."""
    setting = Setting(**json.loads(sys.argv[1]))
    stints = asyncio.run(_serve(setting))
    Path(setting.out).write_text(json.dumps([vars(stint) for stint in stints]))


if __name__ == "__main__":
    main()
