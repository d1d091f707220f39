"""What a scheduler and a worker unpickle: the values that a painting is made of, and nothing else.

Dask sends Python objects as pickles, and unpickling may call anything that can be imported. Here it may only name what
is in :data:`ALLOWED`: our recipes, results and errors, the two functions of a worker, Dask's wrapping of a task, and
Python's own exceptions. :func:`restrict` puts that into Dask, which has no setting for it, and looks whether it took.
"""

import builtins
import io
import logging
import os
import pickle
from collections.abc import Callable, Iterable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, Final

import distributed.client
import distributed.scheduler
from distributed.protocol import core
from distributed.protocol import pickle as dask_pickle
from distributed.protocol.serialize import ToPickle, deserialize, serialize

from engine import errors, worker
from engine.errors import ClusterUnsafe

log = logging.getLogger(__name__)

TASKS: Final = (worker.check_picture, worker.paint_picture)
"""The functions that a worker calls for others."""

ALLOWED: Final = {
    *(("engine.worker", task.__name__) for task in TASKS),
    ("engine.cluster.unpickling", "Refused"),
    ("engine.limits", "Limits"),
    ("engine.progress", "Progress"),
    ("engine.progress", "Result"),
    ("engine.recipe", "Recipe"),
    ("engine.worker", "WorkerInfo"),
    # How Dask wraps a call on its way from client to scheduler to worker.
    ("dask._expr", "Expr._reconstruct"),
    ("dask._expr", "LLGExpr"),
    ("dask._task_spec", "Task"),
    # What the scheduler tells a client about a worker that died.
    ("distributed.core", "Status"),
    ("distributed.scheduler", "KilledWorker"),
    ("distributed.scheduler", "WorkerState"),
    *(("engine.errors", name) for name, each in vars(errors).items() if isinstance(each, type)),
    *(
        ("builtins", name)
        for name, each in vars(builtins).items()
        if isinstance(each, type) and issubclass(each, BaseException)
    ),
}
"""Modules and names that a pickle may refer to."""


class Refused(pickle.UnpicklingError):
    """A pickle names something that has no business in a painting."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """Only what is allowed, found by exactly that name."""
        if (module, name) in ALLOWED:
            return super().find_class(module, name)
        if (module, name) == ("builtins", "type"):
            return _type_of_none  # how pickle spells it
        log.warning("refused a pickle with %s.%s", module, name)
        raise Refused(f"{module}.{name} is not part of a painting")


def restrict() -> None:
    """Let Dask unpickle nothing else in this process, from now on.

    Raises:
        ClusterUnsafe: this version of Dask unpickles in a way that is not known here.
    """
    dask_pickle.loads = loads
    # These took the function by name when they were imported.
    distributed.client.loads = distributed.scheduler.loads = loads  # type: ignore[attr-defined]
    # These use Python's own for a few messages.
    own: Any = SimpleNamespace(loads=loads, dumps=pickle.dumps)
    distributed.client.pickle = distributed.scheduler.pickle = own  # type: ignore[attr-defined]
    noisy = [logging.getLogger(name) for name in (__name__, core.__name__)]
    try:
        for logger in noisy:
            logger.disabled = True
        _try(os.getpid)
    finally:
        for logger in noisy:
            logger.disabled = False


def loads(data: bytes, *, buffers: Iterable[Any] = ()) -> Any:
    """Unpickle ``data``.

    Raises:
        Refused: it names something that is not in :data:`ALLOWED`.
    """
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()


def _type_of_none(*values: object) -> type[None]:
    if values != (None,):
        raise Refused("builtins.type is not part of a painting")
    return type(None)


def _try(forbidden: object) -> None:
    """Send ``forbidden`` along each way that Dask has."""
    message = core.dumps({"op": "anything", "spec": ToPickle(forbidden)})
    frames = serialize(forbidden, serializers=["pickle"])
    ways: list[Callable[[], object]] = [
        lambda: core.loads(message),
        lambda: deserialize(*frames),
    ]
    for way in ways:
        try:
            way()
        except Refused:
            continue
        raise ClusterUnsafe(
            f"distributed {version('distributed')} can't be kept from running other code than paintings. Install the "
            "version that this one was tested with."
        )
