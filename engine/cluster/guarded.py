"""A Dask scheduler and a Dask worker that do nothing for others but paint.

Whoever holds a certificate of the cluster may, and may only:

- have pictures checked and painted (:data:`engine.cluster.unpickling.TASKS`), with whatever arguments;
- ask who is there and what runs, and fetch a result whose key they know;
- cancel, by its key, what somebody else has asked for;
- join as a worker, and be given other people's pictures to paint.

They can't run functions of their own on a scheduler or a worker, upload files, add plugins, make actors, scatter data,
restart or shut down anything: those operations are blocked, their pickles are refused, and a worker looks at each task
once more before it calls it. What remains goes with Dask: all certificates are equal, messages are not limited in size
or number, so that a holder can stop the cluster's work, and a pickle of allowed parts put together in a hostile way can
make the process that reads it fail. So give certificates to machines that you trust.
"""

import time
from collections.abc import Collection
from typing import Any, Final

from dask._task_spec import GraphNode, Task, TaskRef
from dask.typing import Key
from distributed.active_memory_manager import ActiveMemoryManagerExtension
from distributed.core import Server
from distributed.queues import QueueExtension
from distributed.scheduler import Scheduler
from distributed.spans import SpansSchedulerExtension
from distributed.stealing import WorkStealing
from distributed.worker import Worker
from distributed.worker_state_machine import ExecuteFailureEvent, StateMachineEvent

from engine.cluster.unpickling import TASKS, Refused

SCHEDULER_OPERATIONS: Final = frozenset({
    # A bot
    "register-client", "identity", "gather", "who_has", "has_what", "ncores", "ncores_running", "processing",
    "versions",
    # A worker
    "register-worker", "heartbeat_worker", "unregister", "retire_workers",
    # Sends an operation to workers, which let pass what is in WORKER_OPERATIONS.
    "broadcast",
    # Progress, from a worker to a bot
    "queue_create", "queue_put", "queue_get", "queue_qsize",
})  # fmt: skip
"""What the scheduler answers."""

SCHEDULER_MESSAGES: Final = frozenset({
    # A bot
    "update-graph", "client-desires-keys", "client-releases-keys", "cancel-keys", "report-key", "heartbeat-client",
    "close-client", "subscribe-topic", "unsubscribe-topic", "queue_release",
    # A worker
    "task-finished", "task-erred", "release-worker-data", "add-keys", "long-running", "reschedule", "keep-alive",
    "log-event", "worker-status-change", "request-refresh-who-has", "steal-response",
})  # fmt: skip
"""What the scheduler listens to from those that are connected."""

WORKER_OPERATIONS: Final = frozenset({"identity", "ping", "get_data"})
"""What a worker answers to anybody, besides the operations that :class:`engine.worker.Studio` adds; the scheduler it is
connected to may also tell it what to compute, to forget, and to leave.
"""


class PaintingScheduler(Scheduler):
    """A scheduler for paintings. :func:`engine.cluster.unpickling.restrict` must have been called in its process."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            # Dask would begin a painting anew; the executor goes on from its last checkpoint.
            allowed_failures=0,
            extensions={
                "amm": ActiveMemoryManagerExtension,
                "queues": QueueExtension,
                "spans": SpansSchedulerExtension,
                "stealing": WorkStealing,
            },
            **options,
        )
        _block(self, SCHEDULER_OPERATIONS)
        for name in self.stream_handlers.keys() - SCHEDULER_MESSAGES:
            del self.stream_handlers[name]

    async def retire_workers(  # type: ignore[override]
        self, workers: list[str], *, stimulus_id: str | None = None, **_options: Any
    ) -> dict[str, Any]:
        """Let ``workers`` leave; no other choice of workers, which could be given as a pickled function."""
        return await super().retire_workers(workers, close_workers=False, remove=True, stimulus_id=stimulus_id)


class PaintingWorker(Worker):
    """A worker for paintings. :func:`engine.cluster.unpickling.restrict` must have been called in its process."""

    def __init__(self, scheduler: str, **options: Any) -> None:
        super().__init__(scheduler, **options)
        _block(self, WORKER_OPERATIONS)

    async def close(self, *, reason: str = "worker-close", **_options: Any) -> str | None:  # type: ignore[override]
        """Leave the scheduler, without waiting for a painting: its process ends, or has paused it before."""
        closed: str | None = await super().close(executor_wait=False, nanny=False, reason=reason)
        return closed

    async def execute(self, key: Key, *, stimulus_id: str) -> StateMachineEvent:
        """Called by Dask for each task that is to run."""
        task = self.state.tasks[key]
        if is_painting(task.run_spec) and not (task.annotations or {}).get("executor"):
            return await super().execute(key, stimulus_id=stimulus_id)
        return ExecuteFailureEvent.from_exception(
            Refused("That task is not part of a painting"),
            key=key,
            run_id=task.run_id,
            stimulus_id=f"refused-{time.time()}",
        )


def is_painting(task: object) -> bool:
    """Whether a Dask task calls one of :data:`engine.cluster.unpickling.TASKS` on plain values."""
    return (
        type(task) is Task
        and any(task.func is each for each in TASKS)
        and not any(isinstance(each, GraphNode | TaskRef) for each in (*task.args, *task.kwargs.values()))
    )


def _block(server: Server, allowed: Collection[str]) -> None:
    """Refuse every other operation that ``server`` has now; what is added to it later is ours."""
    server.blocked_handlers = [name for name in server.handlers if name not in allowed]
