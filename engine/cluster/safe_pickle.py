"""Restricts what schedulers, workers and bots deserialise to the values that paintings need.

Dask's messages refer to Python objects in two ways. By default, both can reach any importable object:

- A pickle can refer to anything and call it. Here it can refer only to :data:`ALLOWED`: our recipes, results and
  errors, the functions of a worker, Dask's wrapper of a task, and Python's exceptions. It can construct values of
  these types. It can't call a function of ours or change a class.
- MessagePack's hook for enumerations returns any attribute of any module of ``dask`` and ``distributed``. Here it
  returns only members of :class:`distributed.core.Status`, the one enumeration that Dask sends.

Dask has no setting for this. :func:`restrict` patches Dask, and verifies that the patch works.
"""

import builtins
import io
import logging
import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from importlib.metadata import version
from types import FunctionType, SimpleNamespace
from typing import Any, ClassVar, Final, TypeVar

import distributed.client
import distributed.scheduler
from dask._expr import Expr
from distributed.core import Status
from distributed.protocol import core
from distributed.protocol import pickle as dask_pickle
from distributed.protocol.serialize import ToPickle, deserialize, msgpack_decode_default, serialize

from engine import errors
from engine.errors import ClusterUnsafe
from engine.worker.tasks import (
    check_picture,
    compose_pictures,
    make_thumbnail,
    paint_picture,
    shrink_picture,
    train_network,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

TASKS: Final = (check_picture, compose_pictures, make_thumbnail, paint_picture, shrink_picture, train_network)
"""The functions that a worker calls for bots."""

ALLOWED: Final = {
    *(("engine.worker.tasks", task.__name__) for task in TASKS),
    ("engine.worker.protocol", "PaintingOrder"),
    ("engine.cluster.safe_pickle", "Refused"),
    ("engine.progress", "Encoded"),
    ("engine.images.limits", "Limits"),
    *(("engine.networks.plan", name) for name in ("Plan", "Trained", "TrainedChunk", "TrainingOrder")),
    ("engine.progress", "Progress"),
    ("engine.progress", "Result"),
    ("engine.recipe", "Inputs"),
    ("engine.recipe", "Recipe"),
    # Dask's wrappers of a call between client, scheduler and worker.
    ("dask._expr", "Expr._reconstruct"),
    ("dask._expr", "LLGExpr"),
    ("dask._task_spec", "Task"),
    # The type of an error in a message: a pickle in bytes.
    ("builtins", "bytes"),
    # The scheduler's report to a client about a worker that died.
    ("builtins", "int"),
    ("collections", "defaultdict"),
    ("collections", "deque"),
    ("distributed.core", "Status"),
    ("distributed.scheduler", "KilledWorker"),
    ("distributed.scheduler", "WorkerState"),
    *(("engine.errors", name) for name, each in vars(errors).items() if isinstance(each, type)),
    *(
        ("builtins", name)
        for name, each in vars(builtins).items()
        # SystemExit and its like would end the process that reads the result of a task.
        if isinstance(each, type) and issubclass(each, Exception)
    ),
}
"""The modules and names that a pickle may refer to."""


class Refused(pickle.UnpicklingError):
    """A message refers to something that is not part of a painting."""


_Base: Any = pickle._Unpickler
"""The pure Python unpickler. The one in C allows only the look-up of names to be overridden."""


class _Unpickler(_Base):  # type: ignore[misc]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(_Base.dispatch)

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the allowed object of exactly that name."""
        if (module, name) in ALLOWED:
            return super().find_class(module, name)
        if (module, name) in _REPLACED:
            return _REPLACED[module, name]
        log.warning("refused a pickle with %s.%s", module, name)
        raise Refused(f"{module}.{name} is not part of a painting")

    def load_reduce(self) -> None:
        """Call a class or an allowed function, which constructs a value."""
        _refuse_call(self.stack[-2])
        super().load_reduce()

    dispatch[pickle.REDUCE[0]] = load_reduce

    def _instantiate(self, made: object, arguments: list[object]) -> None:
        _refuse_call(made)
        super()._instantiate(made, arguments)

    def load_build(self) -> None:
        """Set the state of a new value, never of a class, a function or an enumeration member."""
        if isinstance(self.stack[-2], type | FunctionType | Enum):
            raise Refused("a change of what is there is not part of a painting")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def restrict() -> None:
    """Permanently restrict what Dask deserialises in this process.

    Raises:
        ClusterUnsafe: the installed version of Dask deserialises in an unknown way.
    """
    dask_pickle.loads = loads
    # These imported the function by name.
    distributed.client.loads = distributed.scheduler.loads = loads  # type: ignore[attr-defined]
    # These use the standard module for a few messages.
    own: Any = SimpleNamespace(loads=loads, dumps=pickle.dumps)
    distributed.client.pickle = distributed.scheduler.pickle = own  # type: ignore[attr-defined]
    core.msgpack_decode_default = decoded  # type: ignore[attr-defined]
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
        Refused: it refers to something that is not in :data:`ALLOWED`.
    """
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()


def decoded(value: dict[Any, Any]) -> Any:
    """Decode a map of MessagePack.

    Raises:
        Refused: it is an enumeration that Dask doesn't send.
    """
    if "__Enum__" not in value:
        return msgpack_decode_default(value)
    named = value.get("__module__"), value.get("__name__")
    if named != (Status.__module__, Status.__name__):
        log.warning("refused a message with %s.%s", *named)
        raise Refused(f"{named[0]}.{named[1]} is not part of a painting")
    return Status[value["name"]]


def _refuse_call(called: object) -> None:
    if not isinstance(called, type) and not any(called is each for each in (Expr._reconstruct, *_REPLACED.values())):
        raise Refused("a call is not part of a painting")


def _type_of_none(*values: object) -> type[None]:
    if values != (None,):
        raise Refused("builtins.type is not part of a painting")
    return type(None)


def _error_with_arguments(kind: object, arguments: object, *_origin: object) -> Exception:
    return _kind_of_error(kind)(*_of_type(tuple, arguments))


def _error_with_attributes(kind: object, attributes: object, *_origin: object) -> Exception:
    checked = _kind_of_error(kind)
    error = checked.__new__(checked)
    for name, value in _of_type(dict, attributes).items():
        setattr(error, name, value)
    return error


def _no_traceback(*_frames: object) -> None:
    """Replace a traceback by None."""


def _kind_of_error(kind: object) -> type[Exception]:
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        raise Refused("an error of that kind is not part of a painting")
    return kind


def _of_type(wanted: type[T], value: object) -> T:
    if type(value) is not wanted:
        raise Refused("an error of that form is not part of a painting")
    return value


_REPLACED: Final[Mapping[tuple[str, str], Any]] = {
    # Pickle's form of type(None).
    ("builtins", "type"): _type_of_none,
    # Dask's form of an error and its traceback, made by tblib, in each answer that is an error.
    ("tblib.pickling_support", "unpickle_exception"): _error_with_arguments,
    ("tblib.pickling_support", "unpickle_exception_with_attrs"): _error_with_attributes,
    ("tblib.pickling_support", "unpickle_traceback"): _no_traceback,
    **{("tblib", name): SimpleNamespace for name in ("Code", "Frame", "Traceback")},
}
"""Further modules and names that a pickle may refer to, and their replacements."""


def _try(forbidden: object) -> None:
    """Check that each of Dask's ways to deserialise refuses ``forbidden``."""
    message = core.dumps({"op": "anything", "spec": ToPickle(forbidden)})
    frames = serialize(forbidden, serializers=["pickle"])
    named = {"__Enum__": True, "__module__": "distributed.utils", "__name__": "os", "name": "getpid"}
    ways: list[Callable[[], object]] = [
        lambda: core.loads(message),
        lambda: core.loads(core.dumps({"op": "anything", "spec": named})),
        lambda: deserialize(*frames),
    ]
    for way in ways:
        try:
            way()
        except Refused:
            continue
        raise ClusterUnsafe(
            f"distributed {version('distributed')} can't be kept from running other code than paintings. Install the "
            "version that Atelier was tested with."
        )
