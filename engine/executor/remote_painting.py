"""One painting on its way: finds a worker, follows it, and starts elsewhere from its last checkpoint where that fails.

A worker may die or leave, the scheduler may go away, and a better worker may come: none of it ends the painting.
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
from engine.executor.connection import ANSWER, Pool
from engine.executor.placement import Board, Seat
from engine.images.kinds import KINDS
from engine.progress import Progress, Result
from engine.worker import tasks
from engine.worker.protocol import BEGUN, LEFT, PAUSE, PaintingOrder, resource_of

T = TypeVar("T")

log = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""How often in a row a worker may die under a painting, without a new checkpoint, before the painting is given up."""
PATIENCE: Final = 6.0
"""Seconds that a painting which is to pause has for the step in hand."""
BREATH: Final = 0.5
"""Seconds before an attempt that might fail as the last one did; four times more each time for pictures that can't be
reached."""


class End(enum.Enum):
    """How something that was sent to a worker ends without an answer."""

    DIED = "its worker died"
    LEFT = "its worker left"
    LOST = "the scheduler is gone"
    MOVED = "another worker will be done sooner"
    INVALID = "its worker sent invalid data"


_LONGEST: Final = 2000
"""Characters of a text in an error."""
_LARGEST: Final = 2**53
"""Numbers in an error: those that JSON keeps exactly."""
_PROGRESS: Final = TypeAdapter(Progress)
_RESULT: Final = TypeAdapter(Result)


class Painting:
    """A painting that was submitted: iterate over its progress, await its result, pause or cancel it."""

    def __init__(self, order: PaintingOrder, pool: Pool, board: Board) -> None:
        """``order`` says from which checkpoint to begin."""
        self._order = order
        self._pool = pool
        self._board = board
        self._events: asyncio.Queue[Progress | None] = asyncio.Queue()
        self._done = 0
        self._died = 0
        self._begun = False
        self._pausing = False
        self._place: tuple[str, str] | None = None
        """Worker and channel of the attempt that runs."""
        self._shunned: set[tuple[str, int]] = set()
        """Workers, by address and process, that left or died: the scheduler may not know yet."""
        self._blind: set[tuple[str, int]] = set()
        """Those that could not reach its pictures: others come first."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def __aiter__(self) -> AsyncIterator[Progress]:
        """Yield every event until the painting ends, however it ends; one consumer only."""
        while (event := await self._events.get()) is not None:
            yield event

    async def result(self) -> Result:
        """Wait for the end.

        Raises:
            PaintingCancelled: :meth:`cancel` was called.
            PaintingPaused: :meth:`pause` was called; it goes on from the last checkpoint that was told, if any.
            WorkerLost: workers died under it, or sent invalid data, :data:`ATTEMPTS` times in a row.
            BlobLost: one of its pictures is gone.
            StorageFailed: workers can't reach its pictures, :data:`ATTEMPTS` times in a row.
            AtelierError: whatever else the painting itself raised in the worker.
        """
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled():
                raise (PaintingPaused if self._pausing else PaintingCancelled) from None
            raise

    async def cancel(self) -> None:
        """Stop the painting and free its worker; harmless when it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def pause(self) -> None:
        """Stop after the step in hand, telling a checkpoint of it as the last progress; harmless when it has ended.

        A painting that waits for a worker stops at once, one whose step takes over :data:`PATIENCE` seconds then: both
        go on later from the last checkpoint that was told before.
        """
        if self._task.done():
            return
        self._pausing = True
        if self._place is not None:
            address, channel = self._place
            if await self._pool.ask(address, PAUSE, channel=channel):
                await asyncio.wait([self._task], timeout=PATIENCE)
        await self.cancel()

    def _ended(self, task: "asyncio.Task[Result]") -> None:
        self._events.put_nowait(None)
        if not task.cancelled():
            task.exception()  # whoever wants it asks for the result; nobody has to

    async def _run(self) -> Result:
        """Attempt until there is an outcome."""
        while True:
            outcome = await self._attempt()
            failure: AtelierError | None = None
            match outcome:
                case Result():
                    return outcome
                case End.DIED | End.INVALID:
                    self._died += 1
                    failure = WorkerLost(self._died)
                case StorageFailed():
                    self._died += 1
                    failure = outcome
                case PaintingPaused():
                    pass
                case Exception():
                    raise outcome
            if self._pausing:
                raise PaintingPaused
            if failure is not None and self._died >= ATTEMPTS:
                raise failure
            said = outcome.value if isinstance(outcome, End) else repr(outcome)
            log.warning("a painting goes on elsewhere, from step %d or before: %s", self._done, said)
            if isinstance(outcome, StorageFailed):
                await asyncio.sleep(BREATH * 4**self._died)
            elif outcome is End.LOST:
                await asyncio.sleep(BREATH)

    async def _attempt(self) -> "Result | End | Exception":
        """Have one worker paint, and tell what it tells; what it raises is given back, not raised."""
        client = await self._pool.client()
        left = placement.pixels(self._order.recipe, self._done)
        seat = await self._pool.until(lambda: placement.choose(self._seats(), left))
        incarnation = seat.worker, self._pool.workers[seat.worker].process
        channel = self._board.put(seat, left)
        self._begun = False
        try:
            outcome = _validated(await self._follow(client, channel, *incarnation))
        except ValidationError:
            outcome = End.INVALID
        except OSError:
            return End.LOST
        except Exception:  # a scheduler that was started anew knows nothing of our channel
            await self._pool.refresh()
            if self._pool.lost(client):
                return End.LOST
            raise
        finally:
            self._place = None
            self._board.remove(channel)
        if outcome is End.DIED or outcome is End.LEFT or isinstance(outcome, PaintingPaused):
            self._shunned.add(incarnation)
        elif isinstance(outcome, StorageFailed):
            self._blind.add(incarnation)
        return outcome

    async def _follow(self, client: Client, channel: str, address: str, process: int) -> "Result | End | Exception":
        def over() -> End | None:
            if end := absent(self._pool, client, address, process):
                return end
            left = placement.pixels(self._order.recipe, self._done)
            if not self._begun and placement.worth_moving(self._seats(channel), address, left):
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
                # Not where Dask would have it, and never again without us: it knows neither costs nor checkpoints.
                workers=[address],
                resources={resource_of(self._order.version): 1},
            )
            self._place = address, channel

            async def watch() -> "Result | End | Exception":
                outcome = await answer(self._pool, future, over)
                await queue.put(None)  # behind all that was told
                return outcome

            watching = asyncio.create_task(watch())
            listening = asyncio.create_task(self._listen(queue, channel))
            try:
                await asyncio.wait({watching, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done() and (end := listening.result()):
                    return end
                outcome = await watching
                async with asyncio.timeout(ANSWER):
                    return await listening or outcome
            finally:
                for task in (watching, listening):
                    task.cancel()
                await asyncio.gather(watching, listening, return_exceptions=True)
                await forget(self._pool, client, future)

    async def _listen(self, queue: Queue, channel: str) -> End | None:
        """Tell what the worker tells, until it leaves or there is nothing more to come."""
        while (told := await queue.get()) is not None:
            if told == LEFT:
                return End.LEFT
            self._heard(channel, told)
        return None

    def _seats(self, channel: str = "") -> list[Seat]:
        workers = self._pool.workers
        usable = {at: each for at, each in workers.items() if (at, each.process) not in self._shunned}
        seeing = {at: each for at, each in usable.items() if (at, each.process) not in self._blind}
        return self._board.seats(seeing or usable, apart_from=channel)

    def _heard(self, channel: str, told: Any) -> None:
        self._begun = True
        if told == BEGUN:
            return
        progress = _PROGRESS.validate_python(told)
        self._done = progress.step
        self._board.progressed(channel, progress.remaining)
        if progress.checkpoint:
            self._died = 0
            self._order = replace(self._order, resume=progress.checkpoint)
        self._events.put_nowait(progress)


def _validated(outcome: object) -> "Result | End | Exception":
    """Check what a worker returned for a painting."""
    if isinstance(outcome, Exception):
        return validated_error(outcome)
    if isinstance(outcome, End):
        return outcome
    try:
        told = {each.name: getattr(outcome, each.name) for each in fields(Result)}
        return _RESULT.validate_python(told | {"recipe": told["recipe"].model_dump()})
    except (AttributeError, TypeError, ValueError):
        return End.INVALID


def validated_error(error: Exception) -> Exception | End:
    """Check an error that a worker raised or returned, since members read text made from its fields.

    An error of ours is rebuilt from its fields. :attr:`End.INVALID` for fields of wrong types or absurd values, and for
    base classes, whose text would be shown unchanged. Other errors are returned unchanged: no member reads them.
    """
    if not isinstance(error, AtelierError):
        return error
    kind = type(error)
    if kind in {AtelierError, PictureError}:
        return End.INVALID
    hints = {name: hint for name, hint in get_type_hints(kind.__init__).items() if name != "return"}
    try:
        told = [TypeAdapter(hint).validate_python(getattr(error, name), strict=True) for name, hint in hints.items()]
    except (AttributeError, ValidationError):
        return End.INVALID
    if not hints and issubclass(kind, OperatorError):  # members get other words
        told = [str(error)[:_LONGEST]]
    if any(len(each) > _LONGEST if isinstance(each, str) else not 0 <= each <= _LARGEST for each in told):
        return End.INVALID
    if kind is NotAPicture and told[0] not in KINDS:
        return End.INVALID
    return kind(*told)


def absent(pool: Pool, client: Client, address: str, process: int) -> End | None:
    """Why nothing more is to be expected of a worker; None while it is there."""
    if pool.lost(client):
        return End.LOST
    return None if (address, process) in pool.present else End.DIED


async def answer(pool: Pool, future: "Future[T]", over: Callable[[], End | None]) -> T | End | Exception:
    """Wait for what a worker was asked for, or until ``over`` says why there will be nothing.

    What the worker raised is given back: here, only the talk with the scheduler raises.
    """
    value = _value(future)
    waiting = asyncio.create_task(value)
    ended = asyncio.create_task(pool.until(over))
    try:
        await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
        return await (waiting if waiting.done() else ended)
    finally:
        for task in (waiting, ended):
            task.cancel()
        await asyncio.gather(waiting, ended, return_exceptions=True)


async def _value(future: "Future[T]") -> T | End | Exception:
    """A cancelled future is no cancellation of whoever waits for it."""
    try:
        value: T = await future
    except KilledWorker:
        return End.DIED
    except FutureCancelledError:
        return End.LOST
    except Exception as error:
        return error
    return value


async def forget(pool: Pool, client: Client, future: "Future[Any]") -> None:
    """Stop what was asked for, and have it computed never again: now, not when the garbage collector finds it."""
    with contextlib.suppress(OSError):
        if not pool.lost(client):
            await future.cancel(force=True)
    future.release()
