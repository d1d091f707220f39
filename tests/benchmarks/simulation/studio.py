"""Workers that only take their time, shared by several bot processes, and the executor that a bot has of them.

``python -m tests.benchmarks.simulation.studio JSON`` is one process with all of them, behind a socket; it speaks lines
of JSON. Whatever they cost is neither the bots' nor the database's.
"""

import asyncio
import json
import random
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engine.blobs import Blobs
from engine.errors import PaintingCancelled, PaintingPaused
from engine.progress import Progress, Result
from engine.recipe import Recipe

PREVIEW = bytes(2000)
SPREAD = 0.25
"""How far paintings' times lie around the mean: were they all the same, all would end at once for ever."""


@dataclass(frozen=True)
class Setting:
    """What the workers are told."""

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
    """One painting at one worker."""

    job: str
    begun: float
    """Unix time."""
    planned: float
    ended: float
    idle: float
    """Seconds that the worker was without work before it."""


class Workers:
    """All of them: a painting that arrives takes the worker that is free for longest, or waits for its turn."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.stints: list[Stint] = []
        self._blobs = Blobs(setting.blobs)
        self._free = deque([time.time()] * setting.workers)
        self._waiting: deque[asyncio.Future[float]] = deque()
        self._random = random.Random(1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One bot's connection."""
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
            self.stints.append(Stint(content, begun, planned, ended, begun - since))
            self._release()
        tell(seconds=ended - begun)

    def _release(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(time.time())
                return
        self._free.append(time.time())


class StandInPainting:
    """:class:`engine.executor.api.PaintingHandle` by its interface."""

    def __init__(self, executor: "StandInExecutor", number: int, recipe: Recipe) -> None:
        self._executor = executor
        self._number = number
        self._recipe = recipe
        self._events: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._end: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def heard(self, told: dict[str, Any]) -> None:
        """Take what the workers say."""
        if self._end.done():
            return
        if "seconds" in told:
            picture = f"picture {self._number}".encode()
            self._end.set_result(Result(picture, "png", 512, 384, self._recipe, 10, told["seconds"], "finished"))
            self._events.put_nowait(None)
        else:
            step, steps, elapsed = told["step"], told["steps"], told["elapsed"]
            remaining = elapsed * (steps - step) / step
            preview = PREVIEW if step % 8 == 4 else None
            event = Progress(step, steps, 512, 1.0, 0.5, 0.5, elapsed, remaining, preview, told["checkpoint"])
            self._events.put_nowait(event)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """Yield every event until the end."""
        while (event := await self._events.get()) is not None:
            yield event

    async def result(self) -> Result:
        """The picture."""
        return await asyncio.shield(self._end)

    async def cancel(self) -> None:
        """Free the worker."""
        self._abandon(PaintingCancelled())

    async def pause(self) -> None:
        """Free the worker, to go on later."""
        self._abandon(PaintingPaused())

    def _abandon(self, reason: Exception) -> None:
        self._executor.forget(self._number)
        if not self._end.done():
            self._executor.say(cancel=self._number)
            self._end.set_exception(reason)
            self._end.exception()
            self._events.put_nowait(None)


class StandInExecutor:
    """:class:`engine.executor.api.Executor` by its interface."""

    cluster_id = "the simulated studio"

    def __init__(self, workers: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._workers = workers
        self._writer = writer
        self._paintings: dict[int, StandInPainting] = {}
        self._begun = 0
        self._listening = asyncio.create_task(self._listen(reader))

    async def check(self, picture: bytes) -> None:
        """Every picture is fine."""

    def submit(self, recipe: Recipe, content: str, _styles: Sequence[str], **_options: object) -> StandInPainting:
        """Hand a job to the workers."""
        self._begun += 1
        self._paintings[self._begun] = StandInPainting(self, self._begun, recipe)
        self.say(paint=self._begun, content=content)
        return self._paintings[self._begun]

    async def slots(self) -> int:
        """Of the whole pool, as the real one says."""
        return self._workers

    def say(self, **fields: Any) -> None:
        """Tell the workers."""
        self._writer.write(json.dumps(fields).encode() + b"\n")

    def forget(self, number: int) -> None:
        """A painting is over."""
        self._paintings.pop(number, None)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            told = json.loads(line)
            if painting := self._paintings.get(told["of"]):
                painting.heard(told)


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
