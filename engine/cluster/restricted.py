"""A Dask scheduler and a Dask worker that do nothing for others but paint.

Whoever holds a certificate of the cluster may, and may only:

- have pictures checked and painted (:data:`engine.cluster.safe_pickle.TASKS`), with whatever arguments: the names of
  the blobs are among them, their place is not;
- ask who is there and what runs, and fetch a result whose key they know;
- cancel, by its key, what somebody else has asked for;
- join as a worker, and be given other people's pictures to paint.

They can't run functions of their own on a scheduler, a worker or a bot, upload files, add plugins, make actors, scatter
data, write to topics, restart or shut down anything: operations and messages that paintings don't need are refused, a
message names no Python objects but those of :mod:`engine.cluster.safe_pickle`, a task brings no annotation that could
be called, and a worker looks at each task once more before it calls it. What remains goes with Dask: all certificates
are equal, messages are not limited in size or number, so that a holder can stop the cluster's work, and a pickle of
allowed parts put together in a hostile way can make the process that reads it fail. So give certificates to machines
that you trust.
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
from engine.worker.protocol import PAUSE

log = logging.getLogger(__name__)

SCHEDULER_OPERATIONS: Final = frozenset({
    # A bot
    "register-client", "identity", "gather", "who_has", "has_what", "ncores", "ncores_running", "processing",
    # A worker
    "register-worker", "heartbeat_worker", "unregister", "retire_workers",
    # Has a worker pause a painting
    "broadcast",
    # Progress, from a worker to a bot
    "queue_create", "queue_put", "queue_get", "queue_qsize",
})  # fmt: skip
"""What the scheduler answers."""

SCHEDULER_MESSAGES: Final = frozenset({
    # A bot
    "update-graph", "client-desires-keys", "client-releases-keys", "cancel-keys", "report-key", "heartbeat-client",
    "close-client", "queue_release",
    # A worker
    "task-finished", "task-erred", "release-worker-data", "add-keys", "long-running", "reschedule", "keep-alive",
    "worker-status-change", "request-refresh-who-has",
})  # fmt: skip
"""What the scheduler listens to from those that are connected."""

IGNORED: Final = frozenset({"subscribe-topic", "unsubscribe-topic", "log-event"})
"""What Dask's clients and workers send and the scheduler ignores: topics would carry anybody's text to each subscriber.
Dask's client prints the topic ``print``.
"""

ANNOTATIONS: Final = frozenset({"workers", "resources", "priority"})
"""What a task may say about where and when it wants to run."""

WORKER_OPERATIONS: Final = frozenset({"identity", "ping", "get_data"})
"""The operations that a worker accepts from any certificate, besides those of
:class:`engine.worker.plugin.PainterPlugin`. Its scheduler can also have it compute, release results and shut down.
"""

FORGETTING: Final = {
    # A log of messages, too: a thousand, with a picture each.
    "distributed.admin.low-level-log-length": 1,
    "distributed.admin.log-length": 1,
    "distributed.diagnostics.computations.max-history": 1,
    "distributed.diagnostics.erred-tasks.max-history": 1,
    # It samples the call stack a hundred times a second.
    "distributed.worker.profile.enabled": False,
}
"""Dask's settings that make it keep next to no messages, log lines, tasks and profiles."""


class QuietScheduler(Scheduler):
    """A scheduler for paintings that keeps nothing of a task that has ended, and answers no HTTP by itself."""

    def __init__(self, *, dashboard: bool = False, **options: Any) -> None:
        self._answers_http = dashboard
        super().__init__(
            # Dask would start a painting over; the executor resumes it from its last checkpoint.
            allowed_failures=0,
            # Not among them: spans, of which one is kept for each task, and stealing, which no painting allows.
            extensions={"amm": ActiveMemoryManagerExtension, "queues": QueueExtension},
            dashboard=dashboard,
            **options,
        )
        _take_off_path(self)

    def start_http_server(self, *arguments: Any, **options: Any) -> None:
        """Called by Dask with or without a dashboard. Every user of this machine could connect."""
        if self._answers_http:
            super().start_http_server(*arguments, **options)  # type: ignore[no-untyped-call]

    def heartbeat_worker(self, *, extensions: object = None, **options: Any) -> dict[str, Any]:
        """Take a worker's heartbeat, without its report of spans.

        It is also the time to clear Dask's cache of task names: a hundred thousand, 600 bytes each.
        """
        key_split.cache_clear()
        answer: dict[str, Any] = super().heartbeat_worker(**options)
        return answer


class PaintingScheduler(QuietScheduler):
    """A scheduler that takes the operations and messages above alone. :func:`engine.cluster.safe_pickle.restrict` must
    have been called in its process.
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
        """Take a bot's tasks, without what else Dask's client sends: its code, for the dashboard, and its actors."""
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
        """Check annotations: Dask calls those that it can.

        Raises:
            Refused: one of them is not what a bot sends.
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
        """Have workers pause a painting.

        Raises:
            Refused: it is another message, or for somebody who hasn't joined.
        """
        if msg.keys() != {"op", "channel"} or msg["op"] != PAUSE or not set(workers) <= self.workers.keys():
            log.warning("refused a message to workers")
            raise Refused("that message to workers is not part of a painting")
        answers: dict[str, Any] = await super().broadcast(msg=msg, workers=workers, on_error="ignore")
        return answers

    async def retire_workers(  # type: ignore[override]
        self, workers: list[str], *, stimulus_id: str | None = None, **_options: Any
    ) -> dict[str, Any]:
        """Let ``workers`` leave; no other choice of workers, which could be given as a pickled function."""
        return await super().retire_workers(workers, close_workers=False, remove=True, stimulus_id=stimulus_id)


class QuietWorker(Worker):
    """A worker for paintings that answers no HTTP, and tells nothing about spans."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, extensions={})
        _take_off_path(self)

    def start_http_server(self, *_arguments: Any, **_options: Any) -> None:
        """Called by Dask."""

    async def heartbeat(self) -> None:
        """Called by Dask once or twice a second, or less often among many."""
        key_split.cache_clear()
        await super().heartbeat()


class PaintingWorker(QuietWorker):
    """A worker that takes the operations above alone. :func:`engine.cluster.safe_pickle.restrict` must have been called
    in its process.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
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
    """Whether a Dask task calls one of :data:`engine.cluster.safe_pickle.TASKS` on plain values."""
    return (
        type(task) is Task
        and any(task.func is each for each in TASKS)
        and not any(isinstance(each, GraphNode | TaskRef) for each in (*task.args, *task.kwargs.values()))
    )


def _is_plain(value: object) -> bool:
    """Whether ``value`` is numbers and texts alone, in collections or not."""
    match value:
        case dict():
            return type(value) is dict and _is_plain([*value, *value.values()])
        case list() | tuple() | set():
            return all(map(_is_plain, value))
        case _:
            return value is None or type(value) in {bool, int, float, str}


def _ignore(**_message: Any) -> None:
    """Take a message and do nothing."""


def _take_off_path(server: Server) -> None:
    """Dask has Python look for modules in a folder of ``server`` first, for files that somebody uploads."""
    if server.local_directory in sys.path:
        sys.path.remove(server.local_directory)
    server._updated_sys_path = False


def _block(server: Server, allowed: Collection[str]) -> None:
    """Refuse every other operation that ``server`` has now; what is added to it later is ours."""
    for name in server.handlers.keys() - allowed:
        server.handlers[name] = _refusing(name)


def _refusing(operation: str) -> Callable[..., None]:
    def refuse(**_message: Any) -> None:
        log.warning("refused the operation %s", operation)
        raise Refused(f"the operation {operation} is not part of a painting")

    return refuse
