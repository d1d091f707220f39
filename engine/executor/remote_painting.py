"""One submitted painting: chooses a worker, follows it, and continues on another one from the last checkpoint.

A worker may die or shut down, the scheduler may be lost, and a faster worker may join. None of these ends the painting.
"""

import asyncio
import contextlib
import enum
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, replace
from typing import Any, Final, TypeVar, get_type_hints

from distributed import Client, Future, Queue
from distributed.client import FutureCancelledError
from distributed.scheduler import KilledWorker
from pydantic import TypeAdapter, ValidationError

from engine.errors import (
    AtelierError,
    NotAPicture,
    OperatorError,
    PaintingCancelled,
    PaintingPaused,
    PictureError,
    StorageFailed,
    WorkerLost,
)
from engine.executor import placement
from engine.executor.connection import ANSWER_TIMEOUT, SchedulerConnection
from engine.executor.placement import Assignments, WorkerLoad
from engine.images.kinds import KINDS
from engine.progress import Progress, Result
from engine.worker import tasks
from engine.worker.protocol import BEGUN, FINISH, LEFT, PAUSE, PaintingOrder, resource_of

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_FAILURES: Final = 3
"""The painting fails when this many workers in a row fail at it without a new checkpoint."""
PAUSE_TIMEOUT: Final = 6.0
"""Seconds that :meth:`RemotePainting.pause` waits for the current step."""
RETRY_PAUSE: Final = 0.5
"""Seconds before another attempt where the last one may fail again. Four times longer after each failure to read
pictures."""


class End(enum.Enum):
    """Why a task on a worker ended without an answer."""

    DIED = "its worker died"
    LEFT = "its worker left"
    LOST = "the scheduler is lost"
    MOVED = "another worker will finish it sooner"
    INVALID = "its worker sent invalid data"


_LONGEST: Final = 2000
"""The longest text in an error, in characters."""
_LARGEST: Final = 2**53
"""The largest number in an error. JSON keeps integers up to this one exactly."""
_PROGRESS: Final = TypeAdapter(Progress)
_RESULT: Final = TypeAdapter(Result)


class RemotePainting:
    """A painting on the workers of a Dask cluster. See :class:`engine.executor.api.PaintingHandle`."""

    def __init__(
        self, order: PaintingOrder, connection: SchedulerConnection, assignments: Assignments, *, idle_first: bool
    ) -> None:
        """``order`` contains the checkpoint to resume from, if there is one."""
        self._order = order
        self._connection = connection
        self._assignments = assignments
        self._idle_first = idle_first
        """For the first attempt. Later ones move to where the painting ends soonest."""
        self._events: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._done = 0
        self._failures = 0
        self._begun = False
        self._pausing = False
        self._place: tuple[str, str] | None = None
        """Worker and channel of the current attempt."""
        self._told = False
        """Whether the worker knows that the painting has to finish."""
        self._excluded: set[tuple[str, int]] = set()
        """Workers, by address and process, that shut down or died. The scheduler may still list them."""
        self._blind: set[tuple[str, int]] = set()
        """Workers that could not read the pictures. They are used only if there are no others."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """See :class:`engine.executor.api.PaintingHandle`."""
        while (event := await self._events.get()) is not None:
            yield event

    async def result(self) -> Result:
        """See :class:`engine.executor.api.PaintingHandle`."""
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled():
                raise (PaintingPaused if self._pausing else PaintingCancelled) from None
            raise

    async def cancel(self) -> None:
        """See :class:`engine.executor.api.PaintingHandle`."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def finish_early(self) -> None:
        """See :class:`engine.executor.api.PaintingHandle`."""
        self._order = replace(self._order, finish=True)
        await self._tell()

    async def _tell(self) -> None:
        """Tell the worker of the current attempt to finish."""
        if self._place is not None and not self._told:
            address, channel = self._place
            self._told = bool(await self._connection.ask(address, FINISH, channel=channel))

    async def pause(self) -> None:
        """See :class:`engine.executor.api.PaintingHandle`. Waits :data:`PAUSE_TIMEOUT` seconds for the current step."""
        if self._task.done():
            return
        self._pausing = True
        if self._place is not None:
            address, channel = self._place
            if await self._connection.ask(address, PAUSE, channel=channel):
                await asyncio.wait([self._task], timeout=PAUSE_TIMEOUT)
        await self.cancel()

    def _ended(self, task: "asyncio.Task[Result]") -> None:
        self._events.put_nowait(None)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: nobody has to await the result

    async def _run(self) -> Result:
        """Attempt the painting until it has an outcome."""
        while True:
            outcome = await self._attempt()
            failure: AtelierError | None = None
            match outcome:
                case Result():
                    return outcome
                case End.DIED | End.INVALID:
                    self._failures += 1
                    failure = WorkerLost(self._failures)
                case StorageFailed():
                    self._failures += 1
                    failure = outcome
                case PaintingPaused():
                    pass
                case Exception():
                    raise outcome
            if self._pausing:
                raise PaintingPaused
            if failure is not None and self._failures >= MAX_FAILURES:
                raise failure
            reason = outcome.value if isinstance(outcome, End) else repr(outcome)
            log.warning("a painting continues elsewhere, from step %d or an earlier one: %s", self._done, reason)
            if isinstance(outcome, StorageFailed):
                await asyncio.sleep(RETRY_PAUSE * 4**self._failures)
            elif outcome is End.LOST:
                await asyncio.sleep(RETRY_PAUSE)

    async def _attempt(self) -> "Result | End | Exception":
        """Have one worker paint, and publish its progress. Returns the worker's exception instead of raising it."""
        client = await self._connection.client()
        left = placement.pixels(self._order.recipe, self._done)
        load = await self._connection.until(lambda: placement.choose(self._loads(), left, idle_first=self._idle_first))
        self._idle_first = False
        incarnation = load.worker, self._connection.workers[load.worker].process
        channel = self._assignments.assign(load, left)
        self._begun = False
        self._told = self._order.finish
        try:
            outcome = _validated(await self._follow(client, channel, *incarnation))
        except ValidationError:
            outcome = End.INVALID
        except OSError:
            return End.LOST
        except Exception:  # a restarted scheduler does not know our channel
            await self._connection.refresh()
            if self._connection.lost(client):
                return End.LOST
            raise
        finally:
            self._place = None
            self._assignments.remove(channel)
        if outcome is End.DIED or outcome is End.LEFT or isinstance(outcome, PaintingPaused):
            self._excluded.add(incarnation)
        elif isinstance(outcome, StorageFailed):
            self._blind.add(incarnation)
        return outcome

    async def _follow(self, client: Client, channel: str, address: str, process: int) -> "Result | End | Exception":
        def over() -> End | None:
            if end := absent(self._connection, client, address, process):
                return end
            left = placement.pixels(self._order.recipe, self._done)
            if not self._begun and placement.worth_moving(self._loads(channel), address, left):
                return End.MOVED
            return None

        with contextlib.closing(Queue(channel, client=client)) as queue:
            # Not `await queue`: that creates it a second time, so that the scheduler keeps it after one release.
            await queue._started
            future: Future[Result | AtelierError] = client.submit(
                tasks.paint_picture,
                channel,
                self._order,
                pure=False,
                # On this worker only, and without Dask's retries: Dask knows neither costs nor checkpoints.
                workers=[address],
                resources={resource_of(self._order.version): 1},
            )
            self._place = address, channel

            async def watch() -> "Result | End | Exception":
                outcome = await answer(self._connection, future, over)
                await queue.put(None)  # after all messages of the worker
                return outcome

            watching = asyncio.create_task(watch())
            listening = asyncio.create_task(self._listen(queue, channel))
            try:
                await asyncio.wait({watching, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done() and (end := listening.result()):
                    return end
                outcome = await watching
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    return await listening or outcome
            finally:
                for task in (watching, listening):
                    task.cancel()
                await asyncio.gather(watching, listening, return_exceptions=True)
                await forget(self._connection, client, future)

    async def _listen(self, queue: Queue, channel: str) -> End | None:
        """Receive the worker's messages until it shuts down or the painting has ended."""
        while (message := await queue.get()) is not None:
            if message == LEFT:
                return End.LEFT
            self._receive(channel, message)
            if self._order.finish:  # the first message may have arrived before the painting
                await self._tell()
        return None

    def _loads(self, channel: str = "") -> list[WorkerLoad]:
        workers = self._connection.workers
        usable = {at: each for at, each in workers.items() if (at, each.process) not in self._excluded}
        seeing = {at: each for at, each in usable.items() if (at, each.process) not in self._blind}
        return self._assignments.loads(seeing or usable, apart_from=channel)

    def _receive(self, channel: str, message: Any) -> None:
        self._begun = True
        if message == BEGUN:
            return
        progress = _PROGRESS.validate_python(message)
        self._done = progress.step
        self._assignments.update(channel, progress.remaining)
        if progress.checkpoint:
            self._failures = 0
            self._order = replace(self._order, resume=progress.checkpoint)
        self._events.put_nowait(progress)


def _validated(outcome: object) -> "Result | End | Exception":
    """Check what a worker returned for a painting."""
    if isinstance(outcome, Exception):
        return validated_error(outcome)
    if isinstance(outcome, End):
        return outcome
    try:
        received = {each.name: getattr(outcome, each.name) for each in fields(Result)}
        return _RESULT.validate_python(received | {"recipe": received["recipe"].model_dump()})
    except (AttributeError, TypeError, ValueError):
        return End.INVALID


def validated_error(error: Exception) -> Exception | End:
    """Check an error that a worker raised or returned, because its fields become part of texts for members.

    An error of ours is rebuilt from its fields. :attr:`End.INVALID` for fields of wrong types or absurd values, and for
    base classes, whose text would be shown unchanged. Other errors are returned unchanged: their text is never shown.
    """
    if not isinstance(error, AtelierError):
        return error
    kind = type(error)
    if kind in {AtelierError, PictureError}:
        return End.INVALID
    hints = {name: hint for name, hint in get_type_hints(kind.__init__).items() if name != "return"}
    try:
        values = [TypeAdapter(hint).validate_python(getattr(error, name), strict=True) for name, hint in hints.items()]
    except (AttributeError, ValidationError):
        return End.INVALID
    if not hints and issubclass(kind, OperatorError):  # its text is for the operator; members see a general one
        values = [str(error)[:_LONGEST]]
    if any(len(each) > _LONGEST if isinstance(each, str) else not 0 <= each <= _LARGEST for each in values):
        return End.INVALID
    if kind is NotAPicture and values[0] not in KINDS:
        return End.INVALID
    return kind(*values)


def absent(connection: SchedulerConnection, client: Client, address: str, process: int) -> End | None:
    """Why a worker will not answer any more; None while it is present."""
    if connection.lost(client):
        return End.LOST
    return None if (address, process) in connection.present else End.DIED


async def answer(
    connection: SchedulerConnection, future: "Future[T]", over: Callable[[], End | None]
) -> T | End | Exception:
    """Wait for a worker's answer, or until ``over`` returns why there will be none.

    Returns the worker's exception. Raises only errors in the exchange with the scheduler.
    """
    value = _value(future)
    waiting = asyncio.create_task(value)
    ended = asyncio.create_task(connection.until(over))
    try:
        await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
        return await (waiting if waiting.done() else ended)
    finally:
        for task in (waiting, ended):
            task.cancel()
        await asyncio.gather(waiting, ended, return_exceptions=True)


async def _value(future: "Future[T]") -> T | End | Exception:
    """The future's value. The cancellation of a future must not look like the cancellation of the task that waits."""
    try:
        value: T = await future
    except KilledWorker:
        return End.DIED
    except FutureCancelledError:
        return End.LOST
    except Exception as error:
        return error
    return value


async def forget(connection: SchedulerConnection, client: Client, future: "Future[Any]") -> None:
    """Cancel and release a task now, so that Dask never computes it again, instead of at garbage collection."""
    with contextlib.suppress(OSError):
        if not connection.lost(client):
            await future.cancel(force=True)
    future.release()
