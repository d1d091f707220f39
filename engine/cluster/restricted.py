"""A Dask scheduler and a Dask worker that others can only use for painting.

The holder of a certificate of the cluster can do only this:

- have pictures checked and painted and networks trained (:data:`engine.cluster.safe_pickle.TASKS`), with any
  arguments. These contain the names of blobs, but not the place of the blob store;
- list workers and tasks, and read a result if they know its key;
- cancel anybody's task if they know its key;
- join as a worker, and receive other people's pictures to paint.

They can't run their own functions on a scheduler, a worker or a bot, upload files, add plugins, make actors, scatter
data, write to topics, or restart or shut down anything. Operations and messages that paintings don't need are refused.
A message can refer only to the Python objects of :mod:`engine.cluster.safe_pickle`. A task can have no annotation that
Dask would call. A worker checks each task again before it runs it.

Some risks remain with Dask. All certificates have the same rights. Messages are not limited in size or number, so a
holder can stall the cluster. A malicious pickle of allowed parts can crash the process that reads it. So give
certificates only to machines that you trust.
"""

import logging
import sys
import time
from collections.abc import Callable, Collection
from typing import Any, Final

from dask._task_spec import GraphNode, Task, TaskRef
from dask.typing import Key
from dask.utils import key_split
from distributed.active_memory_manager import ActiveMemoryManagerExtension
from distributed.core import Server
from distributed.protocol.serialize import Serialized
from distributed.queues import QueueExtension
from distributed.scheduler import Scheduler
from distributed.worker import Worker
from distributed.worker_state_machine import ExecuteFailureEvent, StateMachineEvent

from engine.cluster.safe_pickle import TASKS, Refused
from engine.worker.protocol import FINISH, PAUSE

log = logging.getLogger(__name__)

SCHEDULER_OPERATIONS: Final = frozenset({
    # A bot
    "register-client", "identity", "gather", "who_has", "has_what", "ncores", "ncores_running", "processing",
    # A worker
    "register-worker", "heartbeat_worker", "unregister", "retire_workers",
    # Pauses a painting
    "broadcast",
    # Progress, from a worker to a bot
    "queue_create", "queue_put", "queue_get", "queue_qsize",
})  # fmt: skip
"""The operations that the scheduler accepts."""

SCHEDULER_MESSAGES: Final = frozenset({
    # A bot
    "update-graph", "client-desires-keys", "client-releases-keys", "cancel-keys", "report-key", "heartbeat-client",
    "close-client", "queue_release",
    # A worker
    "task-finished", "task-erred", "release-worker-data", "add-keys", "long-running", "reschedule", "keep-alive",
    "worker-status-change", "request-refresh-who-has",
})  # fmt: skip
"""The messages that the scheduler accepts on an open connection."""

IGNORED: Final = frozenset({"subscribe-topic", "unsubscribe-topic", "log-event"})
"""Messages of Dask's clients and workers that the scheduler ignores. Topics would send anybody's text to each
subscriber, and Dask's client prints the topic ``print``.
"""

ANNOTATIONS: Final = frozenset({"workers", "resources", "priority"})
"""The annotations that a task may have: where and when to run."""

WORKER_OPERATIONS: Final = frozenset({"identity", "ping", "get_data"})
"""The operations that a worker accepts from any certificate, besides those of
:class:`engine.worker.plugin.PainterPlugin`. Its scheduler can also have it compute, release results and shut down.
"""

FORGETTING: Final = {
    # By default it also logs a thousand messages, each with a picture.
    "distributed.admin.low-level-log-length": 1,
    "distributed.admin.log-length": 1,
    "distributed.diagnostics.computations.max-history": 1,
    "distributed.diagnostics.erred-tasks.max-history": 1,
    # It samples the call stack a hundred times a second.
    "distributed.worker.profile.enabled": False,
}
"""Dask's settings that minimise its history of messages, log lines, tasks and profiles."""


class QuietScheduler(Scheduler):
    """A scheduler for paintings that keeps nothing of a task that has ended, and serves HTTP only for a dashboard."""

    def __init__(self, *, dashboard: bool = False, **options: Any) -> None:
        self._answers_http = dashboard
        super().__init__(
            # Dask would restart a painting; the executor resumes it from its last checkpoint.
            allowed_failures=0,
            # Without spans, which would be kept for each task, and stealing, which paintings don't allow.
            extensions={"amm": ActiveMemoryManagerExtension, "queues": QueueExtension},
            dashboard=dashboard,
            **options,
        )
        _take_off_path(self)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Called by Dask with or without a dashboard. Any user of this machine could connect."""
        if self._answers_http:
            super().start_http_server(*arguments, **options)  # type: ignore[no-untyped-call]

    def heartbeat_worker(self, *, extensions: object = None, **options: Any) -> dict[str, Any]:
        """Accept a worker's heartbeat without its report of spans.

        Also clears Dask's cache of task names, which would grow to 100,000 entries of 600 bytes.
        """
        key_split.cache_clear()
        answer: dict[str, Any] = super().heartbeat_worker(**options)
        return answer


class PaintingScheduler(QuietScheduler):
    """A scheduler that accepts only the operations and messages above.

    Call :func:`engine.cluster.safe_pickle.restrict` first in its process.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        _block(self, SCHEDULER_OPERATIONS)
        for name in self.stream_handlers.keys() - SCHEDULER_MESSAGES:
            del self.stream_handlers[name]
        self.stream_handlers |= dict.fromkeys(IGNORED, _ignore)

    async def update_graph(  # type: ignore[override]
        self,
        client: str,
        expr_ser: Serialized,
        keys: set[Key],
        internal_priority: dict[Key, int] | None = None,
        annotations: dict[str, Any] | None = None,
        **_others: Any,
    ) -> None:
        """Accept a bot's tasks. Drop the rest of Dask's message: source code for the dashboard, and actors."""
        await super().update_graph(
            client=client,
            expr_ser=expr_ser,
            keys=keys,
            span_metadata={"collections": []},
            internal_priority=internal_priority,
            submitting_task=None,
            annotations=annotations,
        )

    def _apply_annotations(
        self, tasks: Any, annotations_by_type: Any, global_annotations: dict[str, Any] | None = None
    ) -> set[Key]:
        """Check annotations, because Dask calls those that are callable.

        Raises:
            Refused: a bot does not send this annotation.
        """
        if annotations_by_type:
            raise Refused("annotations of single tasks are not part of a painting")
        for name, value in (global_annotations or {}).items():
            if name not in ANNOTATIONS or not _is_plain(value):
                raise Refused(f"the annotation {name} is not part of a painting")
        kept: set[Key] = super()._apply_annotations(tasks, annotations_by_type, global_annotations)
        return kept

    async def broadcast(  # type: ignore[override]
        self, *, msg: dict[str, Any], workers: Collection[str], **_others: Any
    ) -> dict[str, Any]:
        """Send workers the message that pauses or finishes a painting.

        Raises:
            Refused: it is another message, or one of ``workers`` has not joined.
        """
        known = msg.keys() == {"op", "channel"} and msg["op"] in {PAUSE, FINISH}
        if not known or not set(workers) <= self.workers.keys():
            log.warning("refused a message to workers")
            raise Refused("that message to workers is not part of a painting")
        answers: dict[str, Any] = await super().broadcast(msg=msg, workers=workers, on_error="ignore")
        return answers

    async def retire_workers(  # type: ignore[override]
        self, workers: list[str], *, stimulus_id: str | None = None, **_options: Any
    ) -> dict[str, Any]:
        """Retire the named workers. Dask also accepts a pickled function here; this method does not."""
        return await super().retire_workers(workers, close_workers=False, remove=True, stimulus_id=stimulus_id)


class QuietWorker(Worker):
    """A worker for paintings that serves no HTTP and reports no spans."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, extensions={})
        _take_off_path(self)

    def start_http_server(self, *_arguments: Any, **_options: Any) -> None:
        """Called by Dask."""

    async def heartbeat(self) -> None:
        """Called by Dask twice a second, or less often in a large cluster."""
        key_split.cache_clear()
        await super().heartbeat()


class PaintingWorker(QuietWorker):
    """A worker that accepts only the operations above.

    Call :func:`engine.cluster.safe_pickle.restrict` first in its process.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _block(self, WORKER_OPERATIONS)

    async def close(self, *, reason: str = "worker-close", **_options: Any) -> str | None:  # type: ignore[override]
        """Leave the scheduler without waiting for a painting. It has paused before, or ends with the process."""
        closed: str | None = await super().close(executor_wait=False, nanny=False, reason=reason)
        return closed

    async def execute(self, key: Key, *, stimulus_id: str) -> StateMachineEvent:
        """Called by Dask to run a task."""
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
    """Whether a Dask task calls one of :data:`engine.cluster.safe_pickle.TASKS` on plain values."""
    return (
        type(task) is Task
        and any(task.func is each for each in TASKS)
        and not any(isinstance(each, GraphNode | TaskRef) for each in (*task.args, *task.kwargs.values()))
    )


def _is_plain(value: object) -> bool:
    """Whether ``value`` consists only of numbers, strings and collections of them."""
    match value:
        case dict():
            return type(value) is dict and _is_plain([*value, *value.values()])
        case list() | tuple() | set():
            return all(map(_is_plain, value))
        case _:
            return value is None or type(value) in {bool, int, float, str}


def _ignore(**_message: Any) -> None:
    """Ignore a message."""


def _take_off_path(server: Server) -> None:
    """Remove the folder for uploaded files, which Dask puts first on Python's path."""
    if server.local_directory in sys.path:
        sys.path.remove(server.local_directory)
    server._updated_sys_path = False


def _block(server: Server, allowed: Collection[str]) -> None:
    """Refuse all other present operations of ``server``. Operations that are added later are ours."""
    for name in server.handlers.keys() - allowed:
        server.handlers[name] = _refusing(name)


def _refusing(operation: str) -> Callable[..., None]:
    def refuse(**_message: Any) -> None:
        log.warning("refused the operation %s", operation)
        raise Refused(f"the operation {operation} is not part of a painting")

    return refuse
